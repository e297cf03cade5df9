"""How an order stands, as its buyer should read it: one key, what may be done, and whether anything can still
change.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from shop.checkout.models import Saga
from shop.core import clock
from shop.core.db import db
from shop.core.money import Money
from shop.orders import states as order_states
from shop.orders.models import Order
from shop.payments import due, registry, states
from shop.payments.models import Capture, Payment, Refund
from shop.payments.refund_states import REJECTED, UNDER_WAY
from shop.payments.start import TOO_LATE

PATIENCE = timedelta(seconds=60)
"""After this long without certainty the page says that it takes longer than usual."""

CAN: dict[str, frozenset[str]] = {
    "preparing": frozenset(),
    "choose": frozenset({"pay", "other_method", "cancel_order"}),
    "unavailable": frozenset({"pay", "other_method", "cancel_order"}),
    "closing": frozenset(),
    "expiring": frozenset(),
    "waiting": frozenset({"pay", "other_method", "cancel_order"}),
    "finish_in_tab": frozenset({"resume", "cancel_payment"}),
    "confirming": frozenset(),
    "still_waiting": frozenset({"check"}),
    "store_code": frozenset({"cancel_order"}),
    "paid": frozenset(),
    "declined": frozenset({"resume", "other_method", "cancel_order"}),
    "failed": frozenset({"pay", "other_method", "cancel_order"}),
    "session_ended": frozenset({"pay", "other_method", "cancel_order"}),
    "cancelled_there": frozenset({"pay", "other_method", "cancel_order"}),
    "expired": frozenset({"order_again"}),
    "cancelled": frozenset({"order_again"}),
    "late": frozenset(),
    "review": frozenset(),
    "twice": frozenset(),
    "refund_pending": frozenset(),
    "partly_refunded": frozenset(),
    "refunded": frozenset(),
}
"""Every key, and what its page offers."""
UNDECIDED = frozenset(
    {
        "preparing",
        "closing",
        "expiring",
        "waiting",
        "finish_in_tab",
        "confirming",
        "still_waiting",
        "store_code",
        "declined",
    }
)
"""Keys that will change by themselves: a page without JavaScript refreshes itself."""
_NEEDS_TIME = frozenset({"pay", "other_method"})
_ENDED_AS = {states.EXPIRED: "session_ended", states.CANCELLED: "cancelled_there"}
_PAID_AS = {
    order_states.PAID: "paid",
    order_states.PARTIALLY_REFUNDED: "partly_refunded",
    order_states.REFUNDED: "refunded",
}
_REFUSED_AS = {"refused": "choose", "never_arrived": "choose", "unavailable": "unavailable"}


@dataclass(frozen=True)
class PaymentView:
    """A payment as its buyer may see it."""

    id: str
    provider: str
    provider_name: str
    state: str
    last_decline: dict[str, Any] | None
    instrument: dict[str, Any] | None
    action: dict[str, Any] | None
    opened_at: datetime | None
    expires_at: datetime | None
    end_reason: str | None


@dataclass(frozen=True)
class RefundView:
    """Money on its way back, or back, and where `to`. One that waits for a second person is promised to nobody yet."""

    money: Money
    state: str
    kind: str
    to: str
    at: datetime


@dataclass(frozen=True)
class Standing:
    """`since` is when the present uncertainty began; `final` means that nothing will change by itself any more.

    `seq` is the number of the newest event that this surely knows of; it may know of newer ones.
    """

    key: str
    order: Order
    seq: int
    payment: PaymentView | None
    can: frozenset[str]
    final: bool
    pending: bool
    since: datetime
    now: datetime
    refunds: tuple[RefundView, ...] = ()


def standing(order: Order) -> Standing:
    """How `order` stands now."""
    at = clock.now()
    seq = order.event_seq  # before all else: what happens from here on is told again, and never missed
    payments = list(db.session.scalars(select(Payment).where(Payment.order_id == order.id).order_by(Payment.id)))
    captures = list(
        db.session.scalars(select(Capture).where(Capture.payment_id.in_([p.id for p in payments]))) if payments else ()
    )
    sent = list(db.session.scalars(select(Refund).where(Refund.order_id == order.id).order_by(Refund.created_at)))
    payment = _telling(order, payments)
    key = _key(order, payment, captures, sent, at)
    can = CAN[key]
    if order.state == order_states.FAILED and order.pay_by - at < TOO_LATE:
        can = can - _NEEDS_TIME
    since = (payment.returned_at or payment.created_at) if payment else order.placed_at
    return Standing(
        key,
        order,
        seq,
        _view(payment),
        can,
        _is_final(order, payments, sent),
        key in UNDECIDED,
        since,
        at,
        tuple(_refund_view(r) for r in sent if r.state != REJECTED and not r.waits_for_somebody),
    )


def _telling(order: Order, payments: list[Payment]) -> Payment | None:
    """The payment that the page speaks about: what paid, else what is open, else the last."""
    paid = next((p for p in payments if p.id == order.paid_by), None)
    still_open = next((p for p in payments if p.is_open), None)
    return paid or still_open or (payments[-1] if payments else None)


def _key(order: Order, payment: Payment | None, captures: list[Capture], sent: list[Refund], at: datetime) -> str:
    """The first that applies."""
    standings = {capture.standing for capture in captures}
    if order.review_since:
        return "review"
    if "second" in standings and order.state == order_states.PAID:
        return "twice"
    if "late" in standings and order.state in order_states.UNPAID_END:
        return "late"
    if any(r.kind == "customer" and r.state in UNDER_WAY and not r.waits_for_somebody for r in sent):
        return "refund_pending"
    if order.state in _PAID_AS:
        return _PAID_AS[order.state]
    if order.state == order_states.EXPIRED:
        return "expired"
    if order.state == order_states.CANCELLED:
        return "cancelled"
    if order.cancel_requested_at:
        return "closing"
    if order.pay_by <= at:
        return "expiring"
    if payment is None:
        return "preparing" if _is_being_opened(order) else "choose"
    if payment.is_open:
        return _key_while_open(payment, at)
    if payment.state == states.CAPTURED:  # what it brought has gone back
        return "choose"
    if payment.end_reason in _REFUSED_AS:
        return _REFUSED_AS[payment.end_reason]
    return _ENDED_AS.get(payment.state, "failed")


def _key_while_open(payment: Payment, at: datetime) -> str:
    if payment.state == states.CREATED:
        return "preparing"
    if _is_confirming(payment):
        since = payment.returned_at or payment.created_at
        return "still_waiting" if at - since >= PATIENCE else "confirming"
    if payment.last_decline:
        return "declined"
    if payment.shows_code:
        return "store_code"
    return "finish_in_tab" if payment.visited_at else "waiting"


def _is_confirming(payment: Payment) -> bool:
    """Money may have been taken and we do not know: never offer to pay now."""
    if payment.state in (states.AUTHORIZED, states.UNKNOWN) or payment.cancel_requested_at:
        return True
    if payment.returned_at is None:
        return False
    provider = registry.get(payment.provider)
    window = provider.capabilities.consistency_window if provider else timedelta(0)
    asked_since = payment.answered_at is not None and payment.answered_at >= payment.returned_at + window
    return not asked_since


def _is_being_opened(order: Order) -> bool:
    return db.session.scalar(select(Saga.state).where(Saga.order_id == order.id)) == "RUNNING"


def _is_final(order: Order, payments: list[Payment], sent: list[Refund]) -> bool:
    if order.state not in order_states.ENDED or order.review_since:
        return False
    if any(p.is_open for p in payments) or any(refund.state in UNDER_WAY for refund in sent):
        return False
    return all(p.confirmed_at or p.confirm_misses >= due.MISSES for p in payments if p.state == states.CAPTURED)


def _refund_view(refund: Refund) -> RefundView:
    at = refund.ended_at or refund.created_at
    return RefundView(refund.money, refund.state, refund.kind, refund.destination, at)


def _view(payment: Payment | None) -> PaymentView | None:
    if payment is None:
        return None
    return PaymentView(
        id=payment.id,
        provider=payment.provider,
        provider_name=registry.label(payment.provider),
        state=payment.state,
        last_decline=payment.last_decline,
        instrument=payment.instrument,
        action=payment.action,
        opened_at=payment.opened_at,
        expires_at=payment.expires_at,
        end_reason=payment.end_reason,
    )
