"""Order status view: status key, available actions, and whether the status is final."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from shop.checkout.models import Saga
from shop.checkout.saga_states import SagaState
from shop.core import clock
from shop.core.db import db
from shop.core.money import Money
from shop.fulfilment import find as fulfilment
from shop.fulfilment.find import Shipping
from shop.orders import states as order_states
from shop.orders.models import Order
from shop.orders.states import OrderState
from shop.payments.initiation import attempt_limits
from shop.payments.initiation.initiate import TOO_LATE
from shop.payments.polling import poll
from shop.payments.providers import registry
from shop.payments.providers.types import PaymentState, RefundState
from shop.payments.records import poll_schedule
from shop.payments.records.models import Capture, Payment, Refund
from shop.payments.records.refund_states import UNDER_WAY
from shop.payments.records.types import Allocation, RefundKind
from shop.returns import views as returns_of
from shop.returns.views import OrderReturns

SLOW_AFTER = timedelta(seconds=60)
"""Time without a confirmed result after which the page says that it takes longer than usual."""

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
    "store_code": frozenset({"other_method", "cancel_order"}),
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
"""Actions that the page offers, by status key."""
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
"""Status keys that change without an action of the customer: a page without JavaScript reloads itself."""
_NEEDS_TIME = frozenset({"pay", "other_method"})
_ENDED_AS = {PaymentState.EXPIRED: "session_ended", PaymentState.CANCELLED: "cancelled_there"}
_PAID_AS = {
    OrderState.PAID: "paid",
    OrderState.PARTIALLY_REFUNDED: "partly_refunded",
    OrderState.REFUNDED: "refunded",
}
_REFUSED_AS = {"refused": "choose", "never_arrived": "choose", "unavailable": "unavailable"}


@dataclass(frozen=True)
class PaymentView:
    """The fields of a payment that the customer may see."""

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
    """A pending or completed refund and its destination `to`. Refunds that await approval are not shown."""

    money: Money
    state: str
    kind: str
    to: str
    at: datetime


@dataclass(frozen=True)
class OrderStatus:
    """Status of an order for its page. `since` is when the current wait began; `final` means that the status no longer
    changes without a request.

    `seq` is the number of the newest event that the status surely includes; it may include newer ones.
    `no_more_payments` means that the order is unpaid but has reached the limit of payment attempts. `view_changes`
    means that `poll.make_due` for a view of the page would change a payment. `shipping` is that of a paid order; what
    is final about the payment does not wait for it.
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
    no_more_payments: bool = False
    view_changes: bool = False
    shipping: Shipping | None = None
    returns: OrderReturns = returns_of.NONE


def load_status(order: Order) -> OrderStatus:
    """Load the current status of `order`."""
    at = clock.now()
    seq = order.event_seq  # read first: later events are sent again rather than missed
    payments, allocations = _payments(order.id)
    sent = list(db.session.scalars(select(Refund).where(Refund.order_id == order.id).order_by(Refund.created_at)))
    shipping, returns = fulfilment.shipping(order), returns_of.of_order(order)
    return status_of(order, payments, allocations, sent, at, seq, shipping=shipping, returns=returns)


def status_of(
    order: Order,
    payments: list[Payment],
    allocations: set[str | None],
    sent: list[Refund],
    at: datetime,
    seq: int,
    *,
    shipping: Shipping | None = None,
    returns: OrderReturns = returns_of.NONE,
) -> OrderStatus:
    """The status at the time `at` of an order with these payments and refunds, each oldest first. `allocations` are
    those of its captures.
    """
    payment = _shown_payment(order, payments)
    key = _key(order, payment, allocations, sent, at)
    can = CAN[key]
    if order.pay_by - at < TOO_LATE:
        can = can - _NEEDS_TIME if order.state == OrderState.FAILED else can - {"other_method"}
    no_more = order.state in order_states.PAYABLE and attempt_limits.used_up(payments)
    if no_more:
        can = can - {"other_method"} if payment and payment.is_open else can - _NEEDS_TIME
    since = (payment.returned_at or payment.created_at) if payment else order.placed_at
    return OrderStatus(
        key,
        order,
        seq,
        _view(payment),
        can,
        _is_final(order, payments, sent),
        key in UNDECIDED,
        since,
        at,
        tuple(_refund_view(r) for r in sent if r.state != RefundState.REJECTED and not r.awaits_approval),
        no_more and not (payment and payment.is_open),
        any(poll.view_changes(p, at) for p in payments),
        shipping,
        returns,
    )


def _shown_payment(order: Order, payments: list[Payment]) -> Payment | None:
    """The payment that the page shows: the one that paid, else the open one, else the last."""
    paid = next((p for p in payments if p.id == order.paid_by), None)
    still_open = next((p for p in payments if p.is_open), None)
    return paid or still_open or (payments[-1] if payments else None)


def _payments(order_id: int) -> tuple[list[Payment], set[str | None]]:
    """The order's payments, oldest first, and the distinct allocations of their captures."""
    query = select(Payment, Capture.allocation).outerjoin(Capture, Capture.payment_id == Payment.id)
    rows = db.session.execute(query.where(Payment.order_id == order_id).order_by(Payment.id)).all()
    return list(dict.fromkeys(payment for payment, _ in rows)), {allocation for _, allocation in rows}


def _key(order: Order, payment: Payment | None, allocations: set[str | None], sent: list[Refund], at: datetime) -> str:
    """The first status key that applies."""
    if order.review_since:
        return "review"
    if Allocation.DUPLICATE in allocations and order.state == OrderState.PAID:
        return "twice"
    if Allocation.LATE in allocations and order.state in order_states.UNPAID_END:
        return "late"
    if any(
        r.kind in (RefundKind.CUSTOMER, RefundKind.OUTSIDE) and r.state in UNDER_WAY and not r.awaits_approval
        for r in sent
    ):
        return "refund_pending"
    if order.state in _PAID_AS:
        return _PAID_AS[order.state]
    if order.state == OrderState.EXPIRED:
        return "expired"
    if order.state == OrderState.CANCELLED:
        return "cancelled"
    if order.cancel_requested_at:
        return "closing"
    if order.pay_by <= at:
        return "expiring"
    if payment is None:
        return "preparing" if _is_being_opened(order) else "choose"
    if payment.is_open:
        return _key_while_open(payment, at)
    if payment.state == PaymentState.CAPTURED:  # its capture has been refunded
        return "choose"
    if payment.end_reason in _REFUSED_AS:
        return _REFUSED_AS[payment.end_reason]
    return _ENDED_AS.get(payment.state, "failed")


def _key_while_open(payment: Payment, at: datetime) -> str:
    if payment.state == PaymentState.CREATED:
        return "preparing"
    if payment.shows_code and payment.state == PaymentState.OPEN and not payment.cancel_requested_at:
        return "store_code"  # also after a return: its actions close the payment first
    if _is_confirming(payment):
        since = payment.returned_at or payment.created_at
        return "still_waiting" if at - since >= SLOW_AFTER else "confirming"
    if payment.last_decline:
        return "declined"
    return "finish_in_tab" if payment.visited_at else "waiting"


def _is_confirming(payment: Payment) -> bool:
    """True while money may have been taken without our knowledge: the page must not offer to pay then."""
    if payment.state in (PaymentState.AUTHORIZED, PaymentState.UNKNOWN) or payment.cancel_requested_at:
        return True
    if payment.returned_at is None:
        return False
    provider = registry.get(payment.provider)
    window = provider.capabilities.consistency_window if provider else timedelta(0)
    polled_since = payment.answered_at is not None and payment.answered_at >= payment.returned_at + window
    return not polled_since


def _is_being_opened(order: Order) -> bool:
    return db.session.scalar(select(Saga.state).where(Saga.order_id == order.id)) == SagaState.RUNNING


def _is_final(order: Order, payments: list[Payment], sent: list[Refund]) -> bool:
    if order.state not in order_states.ENDED or order.review_since:
        return False
    if any(p.is_open for p in payments) or any(refund.state in UNDER_WAY for refund in sent):
        return False
    return all(
        p.confirmed_at or p.confirm_misses >= poll_schedule.MISSES for p in payments if p.state == PaymentState.CAPTURED
    )


def _refund_view(refund: Refund) -> RefundView:
    at = refund.ended_at or refund.created_at
    return RefundView(refund.money, refund.state, refund.kind, refund.destination, at)


def _action(payment: Payment) -> dict[str, Any] | None:
    """The payment's next action, unless its URL is not one of the acquirer's pages."""
    url = payment.action["url"] if payment.action else ""
    return payment.action if not url or registry.is_page(payment.provider, url) else None


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
        action=_action(payment),
        opened_at=payment.opened_at,
        expires_at=payment.expires_at,
        end_reason=payment.end_reason,
    )
