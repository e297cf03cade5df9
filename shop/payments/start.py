"""Opening a payment, and opening another one when the buyer wants another way to pay."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from shop.core import clock, ids
from shop.core.db import db, retried, writing
from shop.core.errors import BadInput, Refusal
from shop.orders import events
from shop.orders import states as order_states
from shop.orders.models import Order
from shop.payments import health, poll, registry, states
from shop.payments import request as requests
from shop.payments.lock import order_with_payments
from shop.payments.models import Payment
from shop.payments.provider import Facts, NextAction, Rejected, Started, Unavailable, Unknown
from shop.payments.settle import settle

TOO_LATE = timedelta(minutes=2)
"""With less time left than this, no new payment is opened for an order whose payment ended."""


def open_payment(order_id: int, provider_name: str) -> Payment:
    """The order's open payment at `provider_name`: the one that is open already, else a new one.

    A payment that is open at another provider is closed there first. Raises Refusal: `unknown_method`, `not_payable`
    (paid, ended, ending or under review), `confirming` (another payment may still bring money), `too_late`.
    """
    provider = registry.get(provider_name)
    if provider is None:
        raise BadInput("unknown_method", "Please choose one of the ways to pay that are listed.")
    elsewhere = _open_elsewhere(order_id, provider_name)
    if elsewhere and poll.close(elsewhere) in states.STILL_OPEN:
        raise Refusal("confirming", "We are still confirming your first payment. Please do not pay again.")
    payment_id, is_new = _create(order_id, provider_name)
    if is_new:
        start(payment_id)
    return db.session.get_one(Payment, payment_id, populate_existing=True)


def start(payment_id: str) -> None:
    """Call the provider for a payment whose row exists, and settle what it answers. Safe to repeat after a crash."""
    asked = requests.load(payment_id)
    provider = registry.get(asked.provider) if asked else None
    if asked is None or provider is None:
        return
    webhook_url = requests.webhook_url(asked.provider)
    answer = health.call(provider, "start", lambda: provider.start(asked.request, asked.return_url, webhook_url))
    settle(payment_id, _facts(answer), "start")


def _facts(answer: Started | Rejected | Unknown | Unavailable) -> Facts:
    if isinstance(answer, Started):
        return Facts(
            state=states.OPEN, action=answer.action, expires_at=answer.expires_at, provider_data=answer.provider_data
        )
    if isinstance(answer, Rejected):
        return Facts(state=states.FAILED, end_reason="refused", provider_data={"refused": answer.code})
    if isinstance(answer, Unavailable):  # the call was not made: nothing can have happened there
        return Facts(state=states.FAILED, end_reason="unavailable")
    return Facts(state=states.UNKNOWN)


def next_action(payment: Payment) -> NextAction | None:
    """What the buyer does next for this payment, while it is open."""
    if payment.state != states.OPEN or not payment.action:
        return None
    return NextAction(payment.action["kind"], payment.action["url"], payment.action.get("fields", {}))


def visited(payment_id: str) -> None:
    """The buyer has been sent to the payment page: the order page says so from now on."""
    at = clock.now()
    with writing():
        payment = db.session.get_one(Payment, payment_id, with_for_update=True)
        if payment.visited_at is None and payment.state == states.OPEN:
            payment.visited_at = at
            events.record(payment.order_id, "payment.visited", actor="buyer", payment=payment_id)


def _open_elsewhere(order_id: int, provider_name: str) -> str | None:
    found = db.session.scalar(
        select(Payment.id).where(
            Payment.order_id == order_id, Payment.state.in_(states.STILL_OPEN), Payment.provider != provider_name
        )
    )
    db.session.rollback()
    return found


def _create(order_id: int, provider_name: str) -> tuple[str, bool]:
    """The id of the open payment at this provider and whether it is new. The unique index decides between two at
    once.
    """

    def unit() -> tuple[str, bool]:
        with writing():
            order, payments = order_with_payments(order_id)
            found = next((p for p in payments if p.is_open), None)
            _refuse_unless_payable(order, payments)
            if found is not None:
                if found.provider != provider_name or found.cancel_requested_at:
                    raise Refusal("confirming", "We are still confirming your first payment. Please do not pay again.")
                return found.id, False
            payment = _new(order, provider_name)
            db.session.add(payment)
            db.session.flush()
            return payment.id, True

    try:
        return retried(unit)
    except IntegrityError:
        return retried(unit)


def _new(order: Order, provider_name: str) -> Payment:
    at = clock.now()
    return Payment(
        id=ids.payment_id(),
        order_id=order.id,
        provider=provider_name,
        state=states.CREATED,
        amount=order.to_pay.amount,
        currency=order.currency,
        created_at=at,
        next_check_at=at + poll.CREATED_IS_UNKNOWN,
        provider_data={},
    )


def _refuse_unless_payable(order: Order, payments: list[Payment]) -> None:
    at = clock.now()
    if order.state not in order_states.PAYABLE:
        raise Refusal("not_payable", "This order is not waiting for a payment.")
    if not order.to_pay.amount:
        raise Refusal("not_payable", "Store credit pays for this order. There is nothing left to pay.")
    if order.review_since:
        raise Refusal("not_payable", "We are checking a payment for this order. Please do not pay again.")
    if order.cancel_requested_at or order.pay_by <= at:
        raise Refusal("not_payable", "This order can no longer be paid.")
    if order.state == order_states.FAILED and payments and order.pay_by - at < TOO_LATE:
        raise Refusal("too_late", "There is too little time left to start another payment.")
