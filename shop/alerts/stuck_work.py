"""Alerts on stuck work: overdue order ends, tasks that keep failing, open settlement discrepancies."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import chain

from sqlalchemy import func, or_, select, text

from shop.alerts.episodes import AT_ONCE, TEN_MINUTES, CheckRun, follow, one_of, since
from shop.alerts.store import WATCH, Cause
from shop.core.db import db
from shop.core.outbox import OutboxRow
from shop.orders import states as order_states
from shop.orders.models import Order
from shop.payments.providers.types import RefundState
from shop.payments.records.models import Refund, WebhookEventRow
from shop.payments.records.settlement_models import Discrepancy
from shop.payments.records.types import Source

TRIES = 10
FIVE_MINUTES = timedelta(minutes=5)
DEAD = "OPS_DEAD_LETTER"
OUTBOX = "outbox"


def closing(run: CheckRun) -> None:
    """Alert on orders that should have ended ten minutes ago, usually because their acquirer is unavailable."""
    late = run.at - TEN_MINUTES
    waits = (
        select(Order.id, Order.number, Order.state, Order.pay_by, Order.cancel_requested_at)
        .where(one_of(Order.state, sorted(order_states.PAYABLE)), Order.review_since.is_(None))
        .where(or_(Order.pay_by <= late, Order.cancel_requested_at <= late))
        .order_by(Order.pay_by)
        .limit(AT_ONCE)
    )
    found = []
    for row in db.session.execute(waits):
        should_end = min(row.pay_by, row.cancel_requested_at or row.pay_by)
        observed = {"orderState": row.state, "shouldHaveEndedAt": should_end.isoformat()}
        expected = {"orderState": sorted(order_states.UNPAID_END)}
        cause = Cause("OPS_CLOSING_WAITS", row.number, since(should_end), WATCH, observed, expected, row.id, row.number)
        found.append(cause)
    complete = len(found) < AT_ONCE
    follow(run, "OPS_CLOSING_WAITS", found, "The order has ended or is no longer waiting.", complete=complete)


def dead_letters(run: CheckRun) -> None:
    """Alert on rows that are not done after ten attempts, or after five minutes with an error."""
    found = [_inbox(run.at), _outbox(run), _refunds(), _sagas()]
    complete = all(len(some) < AT_ONCE for some in found)
    follow(run, DEAD, list(chain(*found)), "The task is done.", complete=complete)


def _inbox(at: datetime) -> list[Cause]:
    stuck = (
        select(
            WebhookEventRow.id,
            WebhookEventRow.provider,
            WebhookEventRow.tries,
            WebhookEventRow.error,
            WebhookEventRow.received_at,
        )
        .where(WebhookEventRow.due_at.is_not(None), WebhookEventRow.error.is_not(None))
        .where(or_(WebhookEventRow.tries >= TRIES, WebhookEventRow.received_at <= at - FIVE_MINUTES))
        .order_by(WebhookEventRow.due_at)
        .limit(AT_ONCE)
    )
    return [
        _dead(f"inbox {row.id}", since(row.received_at), row.tries, row.error, {"provider": row.provider})
        for row in db.session.execute(stuck)
    ]


def _outbox(run: CheckRun) -> list[Cause]:
    """An alert for all unpublished events: the usual cause is that Redis is unavailable."""
    stuck = (
        select(OutboxRow.id, OutboxRow.kind, OutboxRow.tries, OutboxRow.error)
        .where(OutboxRow.due_at.is_not(None), OutboxRow.error.is_not(None))
        .where(or_(OutboxRow.tries >= TRIES, OutboxRow.created_at <= run.at - FIVE_MINUTES))
    )
    first = db.session.execute(stuck.order_by(OutboxRow.due_at, OutboxRow.id).limit(1)).one_or_none()
    if first is None:
        return []
    waiting = db.session.scalar(select(func.count()).select_from(stuck.subquery()))
    known = next((alert.cause for alert in run.open(DEAD) if alert.subject == OUTBOX), None)
    details = {"firstId": first.id, "kind": first.kind, "waiting": waiting}
    return [_dead(OUTBOX, known or f"event {first.id}", first.tries, first.error, details)]


def _refunds() -> list[Cause]:
    """Refunds that the acquirer has not accepted; an accepted one may be pending for days."""
    not_taken = [RefundState.REQUESTED, RefundState.UNKNOWN]
    stuck = (
        select(Refund.id, Refund.checks, Refund.state, Refund.order_id, Order.number)
        .join(Order, Order.id == Refund.order_id)
        .where(Refund.next_check_at.is_not(None), Refund.state.in_(not_taken), Refund.checks >= TRIES)
        .order_by(Refund.next_check_at)
        .limit(AT_ONCE)
    )
    return [
        _dead(f"refund {row.id}", "not taken", row.checks, None, {"refundState": row.state}, (row.order_id, row.number))
        for row in db.session.execute(stuck)
    ]


def _sagas() -> list[Cause]:
    stuck = text(
        "SELECT s.order_id, s.tries, o.number FROM sagas s JOIN orders o ON o.id = s.order_id "
        "WHERE s.due_at IS NOT NULL AND s.tries >= :tries ORDER BY s.due_at LIMIT :most"
    )
    return [
        _dead(f"checkout {row.number}", "not finished", row.tries, None, {}, (row.order_id, row.number))
        for row in db.session.execute(stuck, {"tries": TRIES, "most": AT_ONCE})
    ]


def settlement(run: CheckRun) -> None:
    """Rule F: alert on open discrepancies, the oldest first; a reopened one raises a new alert."""
    rows = db.session.execute(
        select(Discrepancy, Order.number)
        .outerjoin(Order, Order.id == Discrepancy.order_id)
        .where(Discrepancy.closed_at.is_(None))
        .order_by(Discrepancy.opened_at, Discrepancy.id)
        .limit(AT_ONCE)
    ).all()
    found = [_discrepancy(*row) for row in rows]
    follow(run, "RULE_F", found, "The discrepancy has been closed.", complete=len(found) < AT_ONCE)


def _discrepancy(row: Discrepancy, order_no: str | None) -> Cause:
    what = {"cause": row.cause, "about": row.about, "provider": row.provider, "day": row.day.isoformat()}
    return Cause(
        rule="RULE_F",
        subject=order_no or f"{row.provider} {row.day}",
        cause=f"discrepancy {row.id} {since(row.opened_at)}",
        source=Source.SETTLEMENT_FILE,
        observed=what | {"amount": row.theirs, "currency": row.currency},
        expected={"amount": row.ours, "currency": row.currency},
        order_id=row.order_id,
        order_no=order_no,
    )


def _dead(
    subject: str,
    cause: str,
    tries: int,
    error: str | None,
    more: dict[str, object],
    order: tuple[int | None, str | None] = (None, None),
) -> Cause:
    observed = {"tries": tries, "error": error} | more
    return Cause(DEAD, subject, cause, WATCH, observed, {"done": True}, *order)
