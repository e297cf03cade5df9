"""Write a new order: all rows that placing creates or changes, one statement each, in a fixed order.

The rows of a discount code and of stock are locked last, because other customers wait for them. The conditional UPDATEs
of store credit, code and stock may still refuse the order; the transaction must then be rolled back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete

from shop.checkout import saga
from shop.checkout.models import CartLine
from shop.checkout.placing.decide import NewOrder, out_of_stock
from shop.checkout.placing.request import Request
from shop.checkout.saga_states import PAY_LATER, SagaStep
from shop.checkout.unpaid_orders import Client
from shop.core import ids
from shop.core.actor import Actor
from shop.core.db import db, table
from shop.core.event_types import OrderPlaced
from shop.core.line_kinds import LineKind
from shop.inventory import stock
from shop.inventory.refusals import OutOfStock
from shop.ledger import store_credit
from shop.orders import events, origins
from shop.orders.models import Order, OrderLine
from shop.orders.states import OrderState
from shop.payments.calls import request as requests
from shop.payments.initiation import initiate
from shop.payments.providers.interface import PaymentRequest
from shop.pricing import uses

_ORDERS, _LINES, _CART_LINES = table(Order), table(OrderLine), table(CartLine)
_INSERT_ORDER = _ORDERS.insert().returning(_ORDERS.c.id)
_EMPTY_CART = delete(_CART_LINES).where(_CART_LINES.c.cart_id == bindparam("cart"))


@dataclass(frozen=True)
class Written:
    """The new order, and the payment to start at the provider; None when nothing is to be paid
    now."""

    order_id: int
    number: str
    token: str
    payment: PaymentRequest | None


def write(order: NewOrder, request: Request, client: Client) -> Written:
    """Write the decision in the current transaction. Raises OutOfStock, NotEnoughCredit and the refusals of
    `uses.use`.
    """
    number, token = ids.order_number(), ids.token()
    order_id = _insert_order(order, request, client.email, number, token)
    db.session.execute(_LINES.insert(), _lines(order, order_id))
    origins.note(order_id, client.visitor, client.network)
    saga.begin(order_id, request.provider, order.steps, order.placed_at)
    payment = _insert_payment(order, request, order_id, number)
    db.session.execute(_EMPTY_CART, {"cart": client.visitor})
    customer = Actor.customer(request.customer.user_id)
    events.write(events.About(order_id, number, 1, customer, order.placed_at), OrderPlaced(OrderState.PENDING))
    if SagaStep.HOLD_CREDIT in order.steps and request.customer.user_id is not None:
        store_credit.hold(order_id, request.customer.user_id, order.credit)
    if code := order.quote.code:
        uses.use(order_id, code, order.quote.discount, email=client.email, at=order.placed_at)
    try:
        stock.reserve(order_id, order.quantities)
    except OutOfStock as refusal:
        short = {str(item["sku"]): int(item["available"]) for item in refusal.details["short"]}
        raise out_of_stock(order.lines, short) from refusal
    return Written(order_id, number, token, payment)


def _insert_order(order: NewOrder, request: Request, email: str, number: str, token: str) -> int:
    """Insert the order with the number of its first event."""
    customer = request.customer
    values = {
        "number": number,
        "token": token,
        "checkout_key": request.shown.key,
        "form_digest": request.digest,
        "state": OrderState.PENDING,
        "currency": order.total.currency,
        "total_amount": order.total.amount,
        "credit_amount": order.credit.amount,
        "tax_amount": order.quote.split.tax,
        "delivery_amount": order.quote.split.delivery,
        "discount_amount": order.quote.split.discount,
        "user_id": customer.user_id,
        "email": email,
        "name": customer.name,
        "line1": customer.line1,
        "line2": customer.line2,
        "city": customer.city,
        "region": customer.region,
        "postcode": customer.postcode,
        "country": customer.country,
        "phone": customer.phone,
        "locale": customer.locale,
        "placed_at": order.placed_at,
        "pay_by": order.pay_by,
        "event_seq": 1,
    }
    return int(db.session.execute(_INSERT_ORDER, values).scalar_one())


def _lines(order: NewOrder, order_id: int) -> list[dict[str, Any]]:
    same = {"order_id": order_id, "currency": order.total.currency}
    items = [
        {
            "sku": line.sku,
            "name": line.name,
            "slug": line.slug,
            "image": line.image,
            "quantity": line.quantity,
            "unit_amount": line.unit_price.amount,
            "kind": LineKind.ITEM,
            "rate": order.quote.rate_of(line.tax_class),
            "is_included": False,
        }
        for line in order.lines
    ]
    charges = [
        {
            "sku": f"{charge.kind}:{charge.key}",
            "name": charge.name,
            "slug": "",
            "image": "",
            "quantity": 1,
            "unit_amount": charge.amount.amount,
            "kind": charge.kind,
            "rate": charge.rate,
            "is_included": charge.is_included,
        }
        for charge in order.quote.charges
    ]
    return [line | same | {"position": position} for position, line in enumerate([*items, *charges])]


def _insert_payment(order: NewOrder, request: Request, order_id: int, number: str) -> PaymentRequest | None:
    """Insert the payment and return the request that starts it at the provider; None when nothing is to pay now."""
    if not order.to_pay.amount or request.provider == PAY_LATER:
        return None
    to_resume_first = 2 * saga.RESUME_AFTER  # the saga restarts it before the first poll
    payment_id = initiate.insert_payment(order_id, request.provider, order.to_pay, order.placed_at, to_resume_first)
    return PaymentRequest(
        payment_id,
        order.to_pay,
        requests.description(number),
        request.customer.locale,
        order.pay_by,
        created_at=order.placed_at,
    )
