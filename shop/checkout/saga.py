"""Placing an order: reserve stock, hold store credit, open a payment. Each step is written down when it is done and
has its undo.

A crash between two steps leaves a row that is due: the clock resumes it. Undoing happens when the order ends without
money (`shop.checkout.closing`), in the opposite order, and only what this checkout has made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from flask import current_app
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from shop.checkout import cart as carts
from shop.checkout.models import Cart, CartLine, Saga, SagaStep
from shop.core import clock, ids, logs
from shop.core.db import changed, db, retried, writing
from shop.core.errors import BadInput, Refusal
from shop.inventory import stock
from shop.inventory.stock import OutOfStock
from shop.ledger import store_credit
from shop.orders import events, states
from shop.orders.models import Order, OrderLine
from shop.payments import registry, settle, start
from shop.payments.states import CREATED

log = logs.get()
LOOK_AGAIN = timedelta(seconds=10)


@dataclass(frozen=True)
class Buyer:
    """Who buys and where it goes. `user_id` is None for guests."""

    email: str
    name: str
    line1: str
    city: str
    country: str
    line2: str = ""
    postcode: str = ""
    user_id: int | None = None
    locale: str = "en"


@dataclass(frozen=True)
class Step:
    """`undo` runs inside the unit that ends the order; what needs the network has been closed before."""

    name: str
    undo: Callable[[int], None]


RESERVE_STOCK = Step("reserve_stock", stock.release)
HOLD_CREDIT = Step("hold_credit", store_credit.release)
OPEN_PAYMENT = Step("open_payment", lambda order_id: None)
STEPS = (RESERVE_STOCK, HOLD_CREDIT, OPEN_PAYMENT)


def place_order(cart_id: str, buyer: Buyer, provider: str, key: str, *, credit: int = 0) -> Order:
    """Turn the cart into an order, hold its stock and open its payment; the same `key` gives the same order.

    `credit` is how much of the buyer's store credit pays, in minor units of the cart's currency; never more than the
    total. Where it covers all of it nothing is opened. Raises Refusal and keeps the cart: `unknown_method`,
    `cart_empty`, `prices_moved`, `out_of_stock`, `not_enough_credit`, `cart_changed`. What the provider does is no
    reason to refuse: the order is there, and its page says how the payment stands.
    """
    if provider not in {m.provider for m in registry.methods(carts.load(cart_id).currency)}:
        raise BadInput("unknown_method", "Please choose one of the ways to pay that are listed.")
    try:
        order_id = retried(lambda: _place(cart_id, buyer, provider, key, credit))
    except (IntegrityError, Refusal) as refusal:
        db.session.rollback()
        return _placed_before(key, refusal)
    run(order_id)
    return db.session.get_one(Order, order_id, populate_existing=True)


def run(order_id: int) -> None:
    """Do the steps of a checkout that are not done yet. Safe to repeat, by several at once as well."""
    wanted = db.session.execute(select(Saga.provider, Saga.state).where(Saga.order_id == order_id)).one_or_none()
    db.session.rollback()
    if wanted is None or wanted.state != "RUNNING":
        return
    try:
        if settle.nothing_left_to_pay(order_id):
            _finish(order_id)
            return
        payment = start.open_payment(order_id, wanted.provider)
        if payment.state == CREATED and payment.created_at + LOOK_AGAIN <= clock.now():
            start.start(payment.id)
    except Refusal as refusal:
        log.info("saga.not_opened", order_id=order_id, code=refusal.code)
    _finish(order_id, OPEN_PAYMENT)


def _finish(order_id: int, *last: Step) -> None:
    with writing():
        finished = changed(
            update(Saga).where(Saga.order_id == order_id, Saga.state == "RUNNING").values(state="DONE", due_at=None)
        )
        if finished:
            _note(order_id, *last)


def _note(order_id: int, *steps: Step) -> None:
    """These are done."""
    db.session.add_all(SagaStep(order_id=order_id, name=step.name, done_at=clock.now()) for step in steps)


def undo(order_id: int) -> None:
    """Undo the steps that are done, last first, inside the unit that ends the order."""
    at = clock.now()
    done = set(
        db.session.scalars(
            update(SagaStep)
            .where(SagaStep.order_id == order_id, SagaStep.undone_at.is_(None))
            .values(undone_at=at)
            .returning(SagaStep.name)
        )
    )
    for step in reversed(STEPS):
        if step.name in done:
            step.undo(order_id)
    db.session.execute(update(Saga).where(Saga.order_id == order_id).values(state="UNDONE", due_at=None))


def due(limit: int = 200) -> list[int]:
    """Checkouts that were left half done."""
    query = select(Saga.order_id).where(Saga.due_at <= clock.now()).order_by(Saga.due_at).limit(limit)
    found = list(db.session.scalars(query))
    db.session.rollback()
    return found


def resume(order_id: int) -> None:
    """Go on with a checkout that was left half done, if nobody else is at it."""
    at = clock.now()
    with writing():
        claimed = changed(
            update(Saga)
            .where(Saga.order_id == order_id, Saga.due_at <= at)
            .values(due_at=at + LOOK_AGAIN, tries=Saga.tries + 1)
        )
    if claimed:
        run(order_id)


def _place(cart_id: str, buyer: Buyer, provider: str, key: str, credit: int) -> int:
    """What is held, in one unit with the order itself: either all of it is there or nothing."""
    at = clock.now()
    with writing():
        carts.hold(cart_id)
        cart = carts.load(cart_id)
        if not changed(delete(CartLine).where(CartLine.cart_id == cart_id)):
            raise BadInput("cart_empty", "Your cart is empty.", status=409)
        if cart.checkout_key != key:
            raise Refusal("cart_changed", "Your cart has changed since this page was shown. Please check it once more.")
        if any(line.price_was for line in cart.lines):
            raise Refusal("prices_moved", "Some prices have changed since you put things into your cart.")
        order = _order(cart, buyer, key, min(credit, cart.total.amount))
        db.session.add(order)
        db.session.flush()
        try:
            stock.reserve(order.id, {line.sku: line.quantity for line in cart.lines})
        except OutOfStock as refusal:
            raise _named(refusal, cart) from refusal
        db.session.add(Saga(order_id=order.id, provider=provider, due_at=at + LOOK_AGAIN))
        db.session.flush()
        _note(order.id, RESERVE_STOCK)
        if order.credit_amount:
            _hold_credit(order)
        db.session.execute(update(Cart).where(Cart.id == cart_id).values(checkout_key=ids.token(), changed_at=at))
        events.record(order.id, "order.placed", actor="buyer", target=states.PENDING)
        return order.id


def _hold_credit(order: Order) -> None:
    if order.user_id is None:
        raise BadInput("not_signed_in", "Please sign in to use your store credit.")
    store_credit.hold(order.id, order.user_id, order.credit)
    _note(order.id, HOLD_CREDIT)


def _order(cart: carts.CartView, buyer: Buyer, key: str, credit: int) -> Order:
    at = clock.now()
    order = Order(
        number=ids.order_number(),
        token=ids.token(),
        checkout_key=key,
        state=states.PENDING,
        currency=cart.currency,
        total_amount=cart.total.amount,
        credit_amount=credit,
        user_id=buyer.user_id,
        email=buyer.email.strip().lower(),
        name=buyer.name,
        line1=buyer.line1,
        line2=buyer.line2,
        city=buyer.city,
        postcode=buyer.postcode,
        country=buyer.country,
        locale=buyer.locale,
        placed_at=at,
        pay_by=at + timedelta(seconds=current_app.config["PAY_WITHIN"]),
        event_seq=0,
    )
    order.lines = [
        OrderLine(
            sku=line.sku,
            position=position,
            name=line.name,
            slug=line.slug,
            image=line.image,
            quantity=line.quantity,
            unit_amount=line.unit_price.amount,
            currency=cart.currency,
        )
        for position, line in enumerate(cart.lines)
    ]
    return order


def _placed_before(key: str, refusal: Exception) -> Order:
    """The order that this key has made; without one, the refusal stands."""
    order = db.session.scalars(select(Order).where(Order.checkout_key == key)).one_or_none()
    if order is None:
        raise refusal
    return order


def _named(refusal: OutOfStock, cart: carts.CartView) -> OutOfStock:
    names = {line.sku: line.name for line in cart.lines}
    short = [{**item, "name": names[str(item["sku"])]} for item in refusal.details["short"]]
    said = " ".join(
        f"Only {i['available']} {i['name']} left." if i["available"] else f"{i['name']} is sold out." for i in short
    )
    named = OutOfStock(short)
    named.message = f"{said} We kept your cart as it was."
    return named
