"""End an unpaid order: its customer or staff cancels it, or its payment deadline passes.

Record the request to cancel, close the open payment at the provider, query it, and only then end the order. While the
provider is unavailable, the order and its stock reservation stay, and the clock process retries. After the request no
new payment can be started; money that is reported before the order ends still makes it PAID.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import exists, select

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.checkout.ending import write
from shop.checkout.ending.decide import (
    ClosePayments,
    Decision,
    End,
    Ended,
    PaymentState,
    RequestCancellation,
    Snapshot,
    Wait,
    Waiting,
    decide,
    decide_cancellation,
)
from shop.core import audit, clock
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import db, transactional
from shop.core.errors import Refusal
from shop.orders.models import IS_LIVE, Order
from shop.orders.states import OrderState
from shop.payments.polling import poll
from shop.payments.records.locking import order_with_payments
from shop.payments.records.models import Payment
from shop.payments.records.states import STILL_OPEN
from shop.payments.records.types import RefundDestination, Source
from shop.payments.refunds import requests


def cancel_order(order_id: int, actor: Actor, *, reason: str = "", expected_state: OrderState | None = None) -> None:
    """Request the cancellation of the order and try to end it at once. No effect when it has ended or cancellation was
    requested before.

    Raises Refusal: `under_review` while captured money that does not match the order is reviewed, `order_changed` when
    `expected_state`, which the actor has seen, is no longer true.
    """
    _cancel(order_id, actor, even_under_review=False, reason=reason, expected_state=expected_state)


def _cancel(
    order_id: int,
    actor: Actor,
    *,
    even_under_review: bool,
    reason: str = "",
    expected_state: OrderState | None = None,
) -> None:
    _request_cancellation(order_id, actor, even_under_review, reason, expected_state)
    finish(order_id)


@transactional
def _request_cancellation(
    order_id: int, actor: Actor, even_under_review: bool, reason: str, expected_state: OrderState | None
) -> None:
    rights.demand_of_staff(actor, Permission.ORDER_CANCEL)
    now = clock.now()
    order, payments = order_with_payments(order_id)
    if expected_state not in (None, order.state):
        message = f"The order was {expected_state} when you opened the page, and is {order.state} now."
        raise Refusal("order_changed", f"{message} Nothing was changed.", state=order.state)
    decision = decide_cancellation(_snapshot(order, payments), now, even_under_review=even_under_review)
    if isinstance(decision, Refusal):
        raise decision
    if isinstance(decision, RequestCancellation):
        write.request_cancellation(order_id, decision, now, actor)
        if decision.is_first:
            subject = Subject(SubjectKind.ORDER, order.number)
            audit.record(actor, Act.CANCELLATION_REQUESTED, subject, before={"state": order.state}, reason=reason)


def cancel_or_refund(order_id: int, by: Actor, *, reason: str = "", to: str = RefundDestination.PROVIDER) -> None:
    """Cancel an order on behalf of its customer: cancel it if it is unpaid, refund it in full if it is paid, also if it
    is paid while its open payment is closed.

    Captured money under review is refunded, also after the end of the order; an order that is unpaid is cancelled once
    the refund is done. Raises Refusal `not_refundable` when refunds of all money of a paid order have been requested
    and are not done.
    """
    try:
        _cancel(order_id, by, even_under_review=False, reason=reason)
    except Refusal as refusal:
        if refusal.code != "under_review":
            raise
    if not _is_paid(order_id) and _is_under_review(order_id):
        _refund_what_is_left(order_id, reason, by, to)
        _cancel(order_id, by, even_under_review=True, reason=reason)
    if _is_paid(order_id):
        requests.request_all(order_id, reason=reason, by=by, to=to)


def _is_paid(order_id: int) -> bool:
    """True if the order is paid and not refunded in full."""
    state = db.session.scalar(select(Order.state).where(Order.id == order_id))
    db.session.rollback()
    return state in (OrderState.PAID, OrderState.PARTIALLY_REFUNDED)


def _is_under_review(order_id: int) -> bool:
    review_since = db.session.scalar(select(Order.review_since).where(Order.id == order_id))
    db.session.rollback()
    return review_since is not None


def _refund_what_is_left(order_id: int, reason: str, by: Actor, to: str) -> None:
    """Refund the captured money of an order under review, unless its refunds were requested before."""
    try:
        requests.request_all(order_id, reason=reason, by=by, to=to)
    except Refusal as refusal:
        if refusal.code != "not_refundable":
            raise


def cancel_payment(order_id: int) -> None:
    """Close the order's open payment and keep the order; the customer may use another payment method."""
    payment_id = _open_payment(order_id)
    if payment_id:
        poll.close(payment_id)


_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def due(limit: int = 500) -> list[int]:
    """Orders that should end: past the payment deadline or cancelled, and not under review.

    An order whose payment is being closed is left out until that has finished, so that orders of an unavailable
    acquirer do not fill the list.
    """
    at = clock.now()
    is_being_closed = exists().where(
        Payment.order_id == Order.id,
        Payment.state.in_(STILL_OPEN),
        Payment.cancel_requested_at.is_not(None),
        Payment.next_check_at.is_not(None),
    )
    query = (
        select(Order.id)
        .where(
            IS_LIVE,
            Order.pay_by > _LONG_AGO,  # lets SQLite use the index of live orders
            Order.review_since.is_(None),
            (Order.pay_by <= at) | Order.cancel_requested_at.is_not(None),
            ~is_being_closed,
        )
        .order_by(Order.pay_by)
        .limit(limit)
    )
    found = list(db.session.scalars(query))
    db.session.rollback()
    return found


def end_due(order_id: int) -> bool:
    """Do the next step of ending an order; True when it has ended, paid or unpaid.

    Its open payment is closed by the poll schedule, so that many orders that end at the same moment do not use up the
    provider's rate limit for other customers' requests.
    """
    decision = _end(order_id)
    if isinstance(decision, ClosePayments):
        for payment_id in decision.payment_ids:
            poll.request_close(payment_id)
    return isinstance(decision, End | Ended)


def finish(order_id: int) -> bool:
    """Do all steps of ending an order that are possible now; True when it has ended, paid or unpaid."""
    decision = _end(order_id)
    if isinstance(decision, ClosePayments):
        for payment_id in decision.payment_ids:
            _close(payment_id)
        decision = _end(order_id)
    return isinstance(decision, End | Ended)


def _close(payment_id: str) -> None:
    """Close the payment, unless that was requested before and the next attempt is not due."""
    requested_at = db.session.scalar(select(Payment.cancel_requested_at).where(Payment.id == payment_id))
    db.session.rollback()
    if requested_at is None:
        poll.close(payment_id)
    else:
        poll.check(payment_id, Source.CLOSING)


@transactional
def _end(order_id: int) -> Decision:
    """Decide the next step of the order, and end the order if the decision says so."""
    decision = decide(_load(order_id), clock.now())
    if isinstance(decision, End) and not write.end(order_id, decision):
        return Wait(Waiting.CHANGED)
    return decision


def _load(order_id: int) -> Snapshot:
    """The order and its payments, locked until the transaction ends."""
    return _snapshot(*order_with_payments(order_id))


def _snapshot(order: Order, payments: Sequence[Payment]) -> Snapshot:
    return Snapshot(
        order.state,
        order.pay_by,
        [PaymentState(payment.id, payment.is_open, payment.cancel_requested_at) for payment in payments],
        order.cancel_requested_at,
        order.review_since,
    )


def _open_payment(order_id: int) -> str | None:
    found = db.session.scalar(select(Payment.id).where(Payment.order_id == order_id, Payment.state.in_(STILL_OPEN)))
    db.session.rollback()
    return found
