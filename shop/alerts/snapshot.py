"""Snapshots of orders for the alert rules, for many orders in a handful of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import select

from shop.alerts.rules import CaptureSnapshot, Claim, NotBooked, OrderSnapshot, PaymentSnapshot, RefundSnapshot
from shop.core.db import db
from shop.core.event_types import EventKind
from shop.orders.models import Order, OrderEvent
from shop.payments.providers.types import DisputeState, Outcome, PaymentState, RefundState
from shop.payments.records import states
from shop.payments.records.models import Capture, Payment, PaymentUpdateRow, Refund
from shop.payments.records.settlement_models import charged_back

_CLOSED = tuple(event.KIND for event in states.END_EVENTS.values())
_EVENT_KINDS = (EventKind.ORDER_MOVED, EventKind.REFUND_DONE, EventKind.REFUND_NOT_BOOKED, *_CLOSED)
Rows = dict[int, list[Any]]
"""Database rows by the id of their order."""


def of(order_ids: Sequence[int]) -> list[OrderSnapshot]:
    """The snapshots of these orders, unordered. Orders that do not exist are left out."""
    orders = db.session.execute(
        select(
            Order.id,
            Order.number,
            Order.state,
            Order.currency,
            (Order.total_amount - Order.credit_amount).label("to_pay"),
            Order.paid_by,
            Order.accepted_amount,
        ).where(Order.id.in_(order_ids))
    ).all()
    payments = _by_order(select(Payment.order_id, *_columns(Payment, _PAYMENT)), Payment.order_id, order_ids)
    captures = _by_order(
        select(
            Payment.order_id, *_columns(Capture, _CAPTURE), charged_back(Capture.id, DisputeState.LOST).label("kept")
        ).join(Payment, Payment.id == Capture.payment_id),
        Payment.order_id,
        order_ids,
    )
    events = _by_order(
        select(OrderEvent.order_id, OrderEvent.kind, OrderEvent.target, OrderEvent.at, OrderEvent.data)
        .where(OrderEvent.kind.in_(_EVENT_KINDS))
        .order_by(OrderEvent.seq),
        OrderEvent.order_id,
        order_ids,
    )
    refunds = _by_order(select(Refund.order_id, *_columns(Refund, _REFUND)), Refund.order_id, order_ids)
    claims = _by_order(
        select(Payment.order_id, PaymentUpdateRow.payment_id, PaymentUpdateRow.received_at, PaymentUpdateRow.source)
        .join(Payment, Payment.id == PaymentUpdateRow.payment_id)
        .where(PaymentUpdateRow.outcome == Outcome.HINT, PaymentUpdateRow.state == PaymentState.CAPTURED),
        Payment.order_id,
        order_ids,
    )
    return [_numbers(row, payments, captures, events, refunds, claims) for row in orders]


_PAYMENT = ("id", "provider", "amount", "currency", "state", "confirmed_at", "confirm_misses", "next_check_at")
_CAPTURE = (
    "id",
    "capture_id",
    "payment_id",
    "amount",
    "currency",
    "allocation",
    "captured_at",
    "received_at",
    "source",
)
_REFUND = ("id", "capture_id", "amount", "currency", "kind", "state", "created_at", "rejected_code")


def _columns(model: type, names: Iterable[str]) -> list[Any]:
    return [getattr(model, name) for name in names]


def _by_order(query: Any, order_id: Any, order_ids: Sequence[int]) -> Rows:
    found: Rows = defaultdict(list)
    for row in db.session.execute(query.where(order_id.in_(order_ids))):
        found[row.order_id].append(row)
    return found


def _numbers(row: Any, payments: Rows, captures: Rows, events: Rows, refunds: Rows, claims: Rows) -> OrderSnapshot:
    happened = events.get(row.id, [])
    closed = {e.data["payment"]: e.at for e in happened if e.kind in _CLOSED}
    done = {e.data["refund"] for e in happened if e.kind == EventKind.REFUND_DONE}
    back: dict[int, int] = defaultdict(int)
    for refund in refunds.get(row.id, []):
        if refund.state == RefundState.DONE and refund.capture_id is not None:
            back[refund.capture_id] += refund.amount
    return OrderSnapshot(
        id=row.id,
        number=row.number,
        state=row.state,
        currency=row.currency,
        to_pay=row.to_pay,
        payer=row.paid_by,
        accepted=row.accepted_amount,
        moves=tuple((e.at, e.target) for e in happened if e.kind == EventKind.ORDER_MOVED),
        payments=_all(payments.get(row.id, []), lambda p: _payment(p, closed)),
        captures=_all(captures.get(row.id, []), lambda c: _capture(c, back)),
        refunds=_all(refunds.get(row.id, []), lambda r: _refund(r, done)),
        not_booked=_all(
            [e.data for e in happened if e.kind == EventKind.REFUND_NOT_BOOKED],
            lambda one: NotBooked(one["refund"], one["amount"], one["currency"], one["why"]),
        ),
        claims=_all(claims.get(row.id, []), lambda c: Claim(c.payment_id, c.received_at, c.source)),
    )


def _all(rows: list[Any], make: Callable[[Any], Any]) -> tuple[Any, ...]:
    return tuple(make(row) for row in rows)


def _payment(row: Any, closed: dict[str, Any]) -> PaymentSnapshot:
    return PaymentSnapshot(
        id=row.id,
        provider=row.provider,
        amount=row.amount,
        currency=row.currency,
        state=row.state,
        confirmed=row.confirmed_at is not None,
        confirm_misses=row.confirm_misses,
        next_check_at=row.next_check_at,
        closed_at=closed.get(row.id),
    )


def _capture(row: Any, back: dict[int, int]) -> CaptureSnapshot:
    return CaptureSnapshot(
        id=row.id,
        capture_id=row.capture_id,
        payment=row.payment_id,
        amount=row.amount,
        currency=row.currency,
        allocation=row.allocation,
        captured_at=row.captured_at,
        received_at=row.received_at,
        source=row.source,
        returned=back.get(row.id, 0) + int(row.kept),
        kept=int(row.kept),
    )


def _refund(row: Any, done: set[str]) -> RefundSnapshot:
    return RefundSnapshot(
        id=row.id,
        capture=row.capture_id,
        amount=row.amount,
        currency=row.currency,
        kind=row.kind,
        state=row.state,
        created_at=row.created_at,
        was_done=row.id in done,
        code=row.rejected_code,
    )
