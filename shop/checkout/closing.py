"""Ending an order without money: because its buyer wishes so, or because its time is over.

Mark the wish, close the open payment at the provider, ask, and only then move. While the provider is away the order
stays, its stock held, and the clock tries again. From the wish on nothing can be paid any more; money that is heard of
before the move still makes the order PAID.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import exists, select

from shop.checkout import saga
from shop.core import clock
from shop.core.db import db, retried, writing
from shop.core.errors import Refusal
from shop.orders import events, states
from shop.orders.models import IS_LIVE, Order
from shop.orders.move import move
from shop.payments import poll, refunds
from shop.payments.lock import order_with_payments
from shop.payments.models import TO_PROVIDER, Payment
from shop.payments.states import STILL_OPEN


def cancel_order(order_id: int, actor: str) -> None:
    """Wish the order cancelled and try at once. Harmless when it has ended or the wish is known.

    Raises Refusal `under_review` while money that does not match is being looked at.
    """

    def wish() -> None:
        with writing():
            order, payments = order_with_payments(order_id)
            if order.state not in states.PAYABLE:
                return
            if order.review_since:
                raise Refusal(
                    "under_review", "We are checking a payment for this order. It cannot be cancelled just now."
                )
            if order.cancel_requested_at is None:
                order.cancel_requested_at = clock.now()
                events.record(order_id, "order.cancel_requested", actor=actor)
            for payment in payments:
                if payment.is_open and payment.cancel_requested_at is None:
                    payment.cancel_requested_at, payment.next_check_at = order.cancel_requested_at, clock.now()

    retried(wish)
    finish(order_id)


def call_off(order_id: int, by: str, *, reason: str = "", to: str = TO_PROVIDER) -> None:
    """Cancel an order for its buyer: one that may still be paid is cancelled, a paid one is refunded whole.

    Raises Refusal: `under_review`, or `not_refundable` when everything has gone back already.
    """
    cancel_order(order_id, by)
    state = db.session.scalar(select(Order.state).where(Order.id == order_id))
    db.session.rollback()
    if state in (states.PAID, states.PARTIALLY_REFUNDED):
        refunds.request_all(order_id, reason=reason, by=by, to=to)


def cancel_payment(order_id: int) -> None:
    """Close the order's open payment and keep the order; the buyer may pay in another way."""
    payment_id = _open_payment(order_id)
    if payment_id:
        poll.close(payment_id)


_EVER = datetime(2000, 1, 1, tzinfo=UTC)


def due(limit: int = 500) -> list[int]:
    """Orders that should end: time over or cancelled, and not under review.

    One whose payment is being closed comes back when the acquirer is to be asked again, so that those that wait for an
    acquirer that is away never fill the list.
    """
    at = clock.now()
    is_waited_for = exists().where(
        Payment.order_id == Order.id,
        Payment.state.in_(STILL_OPEN),
        Payment.cancel_requested_at.is_not(None),
        Payment.next_check_at > at,
    )
    query = (
        select(Order.id)
        .where(
            IS_LIVE,
            Order.pay_by > _EVER,  # so that SQLite goes along the index of live orders
            Order.review_since.is_(None),
            (Order.pay_by <= at) | Order.cancel_requested_at.is_not(None),
            ~is_waited_for,
        )
        .order_by(Order.pay_by)
        .limit(limit)
    )
    found = list(db.session.scalars(query))
    db.session.rollback()
    return found


def finish(order_id: int) -> bool:
    """Bring an order that should end as far as it goes now; True when it has ended, in whichever way."""
    payment_id = _open_payment(order_id)
    if payment_id:
        _close(payment_id)
        if _open_payment(order_id):
            return False
    return retried(lambda: _end(order_id))


def _close(payment_id: str) -> None:
    """Close the payment, unless it was asked to and the next try is not due."""
    wished = db.session.scalar(select(Payment.cancel_requested_at).where(Payment.id == payment_id))
    db.session.rollback()
    if wished is None:
        poll.close(payment_id)
    else:
        poll.check(payment_id, "closing")


def _end(order_id: int) -> bool:
    at = clock.now()
    with writing():
        order, _ = order_with_payments(order_id)
        if order.state not in states.PAYABLE:
            return True
        if order.review_since or (order.cancel_requested_at is None and order.pay_by > at):
            return False
        target, because = (
            (states.CANCELLED, "cancelled") if order.cancel_requested_at else (states.EXPIRED, "time_over")
        )
        may_bring_money = exists().where(Payment.order_id == Order.id, Payment.state.in_(STILL_OPEN))
        if not move(order_id, target, because, actor="closing", unless=may_bring_money):
            return False
        saga.undo(order_id)
        return True


def _open_payment(order_id: int) -> str | None:
    found = db.session.scalar(select(Payment.id).where(Payment.order_id == order_id, Payment.state.in_(STILL_OPEN)))
    db.session.rollback()
    return found
