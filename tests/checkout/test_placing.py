"""Placing an order: one for each press that was meant, and a cart that is never lost."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from shop.catalogue.models import Product
from shop.checkout import cart, saga
from shop.checkout.models import Saga, SagaStep
from shop.core.db import db, writing
from shop.core.errors import BadInput, Refusal
from shop.inventory import stock
from shop.orders.models import Order, OrderLine
from shop.payments.models import Payment
from tests.shop_fixtures import KETTLE, PEN, UNITS, Race, Shop


def kinds(results: list[Any]) -> Counter[str]:
    return Counter(r.code if isinstance(r, Refusal) else type(r).__name__ for r in results)


def steps(order: Order) -> dict[str, bool]:
    """Which steps are done, and whether they were undone."""
    db.session.rollback()
    rows = db.session.scalars(db.select(SagaStep).where(SagaStep.order_id == order.id))
    return {row.name: row.undone_at is not None for row in rows}


def saga_state(order: Order) -> str:
    db.session.rollback()
    return db.session.get_one(Saga, order.id, populate_existing=True).state


# --- once ---


def test_the_same_checkout_key_gives_the_same_order_however_often(shop: Shop) -> None:
    """Case 3."""
    cart_id = shop.cart()
    key = cart.load(cart_id).checkout_key
    orders = [shop.place(cart_id, key=key).id for _ in range(3)]
    assert len(set(orders)) == 1
    assert len(shop.acquirer.payments) == 1


def test_two_tabs_that_show_one_cart_and_are_pressed_at_once_make_one_order(shop: Shop, race: Race) -> None:
    """Case 3."""
    for _ in range(4):
        cart_id = shop.cart((PEN, 1))
        key = cart.load(cart_id).checkout_key
        orders = race(lambda _, c=cart_id, k=key: shop.place(c, key=k).id)
        assert len(set(orders)) == 1, orders
        assert shop.count(Order) == len(shop.acquirer.payments)


def test_the_same_cart_with_two_keys_at_once_makes_one_order_and_tells_the_other_one_so(shop: Shop, race: Race) -> None:
    for _ in range(4):
        cart_id = shop.cart((PEN, 1))
        keys = [cart.load(cart_id).checkout_key, "another-key"]
        results = race(lambda n, c=cart_id, k=keys: shop.place(c, key=k[n % 2]))
        assert set(kinds(results)) <= {"Order", "cart_empty", "cart_changed"}
        assert kinds(results)["Order"] == 4
        assert len({r.id for r in results if isinstance(r, Order)}) == 1


def test_what_is_put_into_the_cart_while_it_is_being_placed_is_in_the_order_or_still_in_the_cart(
    shop: Shop, race: Race
) -> None:
    """Case 18: the cart is never lost."""
    for _ in range(12):
        cart_id = shop.cart((PEN, 1))
        key = cart.load(cart_id).checkout_key
        shop.restock(PEN)
        results = race(lambda n, c=cart_id, k=key: shop.place(c, key=k) if n == 0 else cart.add(c, KETTLE, 1), 2)
        assert kinds(results) == {"Order": 1, "NoneType": 1}, results
        db.session.rollback()
        bought = db.session.scalars(db.select(OrderLine.sku).where(OrderLine.order_id == results[0].id)).all()
        left = [line.sku for line in cart.load(cart_id).lines]
        assert sorted([*bought, *left]) == [KETTLE, PEN]
        shop.restock(KETTLE)


def test_the_loser_of_a_race_compensates_nothing_that_the_winner_made(shop: Shop, race: Race) -> None:
    """Case 16."""
    for _ in range(4):
        shop.restock(PEN)
        cart_id = shop.cart((PEN, 2))
        key = cart.load(cart_id).checkout_key
        results = race(lambda n, c=cart_id, k=key: shop.place(c, key=k) if n % 2 else shop.place(c, key="stale"))
        order = next(result for result in results if isinstance(result, Order))
        assert shop.can_sell(PEN) == UNITS - 2
        assert steps(order) == {"reserve_stock": False, "open_payment": False}
        assert [p.state for p in shop.payments(order)] == ["OPEN"]


def test_eight_who_resume_one_checkout_at_once_open_one_payment(shop: Shop, race: Race) -> None:
    for _ in range(4):
        order = left_half_done(shop)
        shop.wait(seconds=11)
        assert not [r for r in race(lambda _, o=order: saga.resume(o.id)) if isinstance(r, Exception)]
        assert len(shop.payments(order)) == 1
        assert shop.state(order) == "WAITING_PAYMENT"
        assert steps(order) == {"reserve_stock": False, "open_payment": False}
        assert saga_state(order) == "DONE"


def left_half_done(shop: Shop) -> Order:
    """An order whose buyer's process died right after placing it."""
    cart_id = shop.cart((PEN, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saga, "run", lambda _: None)
        return shop.place(cart_id)


# --- left half done ---


def test_a_checkout_that_was_left_half_done_is_resumed_after_ten_seconds_and_not_before(shop: Shop) -> None:
    order = left_half_done(shop)
    assert shop.standing(order).key == "preparing"
    shop.turn(seconds=9)
    assert shop.state(order) == "PENDING"
    shop.turn(seconds=2)
    assert shop.state(order) == "WAITING_PAYMENT"


def test_a_checkout_that_was_left_half_done_and_is_cancelled_is_undone(shop: Shop) -> None:
    order = left_half_done(shop)
    shop.cancel(order)
    assert (shop.state(order), saga_state(order), steps(order)) == ("CANCELLED", "UNDONE", {"reserve_stock": True})
    shop.turn(seconds=11)
    assert shop.count(Payment) == 0
    assert shop.can_sell(PEN) == UNITS


def test_pay_pressed_before_the_checkout_was_resumed_opens_the_one_payment(shop: Shop) -> None:
    order = left_half_done(shop)
    payment = shop.pay_again(order)
    shop.turn(seconds=11)
    assert [p.id for p in shop.payments(order)] == [payment.id]
    assert saga_state(order) == "DONE"


def test_what_ends_without_money_undoes_its_steps_and_what_is_paid_does_not(shop: Shop) -> None:
    paid, cancelled = shop.order(), shop.order()
    shop.acquirer.capture(shop.payment(paid).id)
    shop.hear(shop.payment(paid))
    shop.cancel(cancelled)
    assert (saga_state(paid), steps(paid)) == ("DONE", {"reserve_stock": False, "open_payment": False})
    assert (saga_state(cancelled), steps(cancelled)) == ("UNDONE", {"reserve_stock": True, "open_payment": True})


# --- refused, with nothing changed ---


def test_too_few_in_stock_keeps_the_cart_and_makes_no_order(shop: Shop) -> None:
    cart_id = shop.cart((KETTLE, 11), (PEN, 2))
    with pytest.raises(Refusal) as refused:
        shop.place(cart_id)
    assert refused.value.message == "Only 10 Kettle left. We kept your cart as it was."
    assert {line.sku: line.quantity for line in cart.load(cart_id).lines} == {KETTLE: 11, PEN: 2}
    assert (shop.count(Order), shop.count(Saga), shop.can_sell(PEN)) == (0, 0, UNITS)


def test_a_refused_order_can_be_placed_with_the_same_key_once_there_is_stock(shop: Shop) -> None:
    cart_id = shop.cart((KETTLE, 11))
    key = cart.load(cart_id).checkout_key
    with pytest.raises(Refusal):
        shop.place(cart_id, key=key)
    with writing():
        stock.receive(KETTLE, 1)
    assert shop.place(cart_id, key=key).total_amount == 11 * 120000


@pytest.mark.parametrize(("provider", "code"), [("nopay", "unknown_method"), ("", "unknown_method")])
def test_a_method_that_is_not_offered_is_refused(shop: Shop, provider: str, code: str) -> None:
    cart_id = shop.cart()
    with pytest.raises(BadInput) as refused:
        shop.place(cart_id, provider=provider)
    assert (refused.value.code, cart.count(cart_id), shop.count(Order)) == (code, 1, 0)


def test_an_empty_cart_and_one_that_is_not_there_are_refused(shop: Shop) -> None:
    for cart_id in (cart.create(), "no-such-cart"):
        with pytest.raises(BadInput) as refused:
            shop.place(cart_id, key="key-of-nobody")
        assert refused.value.code == "cart_empty"
    assert shop.count(Order) == 0


def test_prices_that_moved_since_they_were_seen_are_shown_before_anything_is_bought(shop: Shop) -> None:
    cart_id = shop.cart()
    with writing():
        db.session.get_one(Product, KETTLE).prices = {"TWD": 130000, "JPY": 6000, "USD": 4000}
    with pytest.raises(Refusal) as refused:
        shop.place(cart_id)
    assert (refused.value.code, cart.count(cart_id)) == ("prices_moved", 1)
    cart.accept_prices(cart_id)
    assert shop.place(cart_id).total_amount == 130000


def test_a_price_that_changes_after_the_order_was_placed_changes_nothing_about_it(shop: Shop) -> None:
    order = shop.order()
    payment = shop.payment(order)
    with writing():
        db.session.get_one(Product, KETTLE).prices = {"TWD": 1, "JPY": 1, "USD": 1}
    shop.acquirer.capture(payment.id)
    shop.hear(payment)
    assert (shop.state(order), payment.amount) == ("PAID", 120000)
