"""Alert watcher: checks orders after an event, and again when a further event is overdue.

Events that can cause an inconsistency put their order on the watch list (`jobs/effects.py`); the order is removed when
no check is left. A check of many orders reads without locks; an order is locked and evaluated only where a rule finds
something or an alert is open.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from flask import current_app
from sqlalchemy import case, delete, func, select, update

from shop.alerts import rules, snapshot, store
from shop.alerts.episodes import CheckRun
from shop.alerts.models import IS_OPEN, Alert, Watched
from shop.alerts.rules import Claim, OrderSnapshot
from shop.core import clock, logs
from shop.core.db import db, insert, transactional
from shop.orders import states as order_states
from shop.payments.records.locking import order_with_payments
from shop.payments.records.types import Allocation, RefundKind

log = logs.get()
BATCH = 100
LEASE = timedelta(seconds=30)
_CORRECTIONS = frozenset(move.because for move in order_states.TRANSITIONS if move.correction)


# --- what puts an order on the list ----------------------------------------------------------------------------------


def after_capture(event: dict[str, Any]) -> None:
    """Check an order after a capture: after the confirming query if the capture pays the order, otherwise at once."""
    received_at = datetime.fromisoformat(event["at"])
    put(
        event["order_id"],
        received_at + _confirm() + rules.SOON if event.get("allocation") == Allocation.PAYS_ORDER else received_at,
    )


def after_refund(event: dict[str, Any]) -> None:
    put(event["order_id"], datetime.fromisoformat(event["at"]))


def after_pending_refund(event: dict[str, Any]) -> None:
    """Check an order at once after an outside refund."""
    if event.get("why") == RefundKind.OUTSIDE:
        after_refund(event)


def after_move(event: dict[str, Any]) -> None:
    """Check an order after a correction, which may end alerts; other transitions are covered by their capture."""
    if event.get("because") in _CORRECTIONS:
        put(event["order_id"], datetime.fromisoformat(event["at"]))


@transactional
def put(order_id: int, due_at: datetime) -> None:
    """Schedule a check of the order at `due_at`, or keep an earlier planned one. Safe to repeat.

    Joins the caller's transaction if there is one; then the caller retries.
    """
    row = insert(Watched).values(order_id=order_id, due_at=due_at)
    sooner = case((row.excluded.due_at < Watched.due_at, row.excluded.due_at), else_=Watched.due_at)
    statement = row.on_conflict_do_update(index_elements=["order_id"], set_={"due_at": sooner})
    db.session.execute(statement)


# --- looking ---------------------------------------------------------------------------------------------------------


def due() -> list[int]:
    """Numbers of the batches that are due."""
    query = select(func.count()).select_from(Watched).where(Watched.due_at <= clock.now())
    waiting = db.session.scalar(query) or 0
    db.session.rollback()
    return list(range(min(8, -(-waiting // BATCH))))


def check_due(_batch: int = 0) -> None:
    """Check a batch of due orders. A failing order does not stop the others and is due again later."""
    for order_id in _inconsistent():
        try:
            check_order(order_id)
        except Exception as error:  # noqa: BLE001 - one order must not stop the others
            db.session.rollback()
            log.error("watch.failed", order=order_id, error=f"{type(error).__name__}: {error}"[:500])


@transactional
def check_order(order_id: int, claims: Iterable[Claim] = ()) -> None:
    """Raise the findings of the rules on an order, and resolve alerts whose cause is over. Safe to repeat.

    `claims` are updates that could not be applied and are therefore not in the snapshot.
    """
    db.session.execute(select(Watched).where(Watched.order_id == order_id).with_for_update())
    order_with_payments(order_id)
    (found,) = snapshot.of([order_id])
    at = clock.now()
    order = replace(found, claims=(*found.claims, *claims))
    _raise(order, at)
    _resolve(order)
    _done(order, rules.next_check(order, at, _confirm()))


def unconfirmed(run: CheckRun) -> None:
    """Check orders with an alert of Rule B: a query that shows the capture at last writes no event."""
    for alert in run.open("RULE_B"):
        if alert.order_id is not None:
            check_order(alert.order_id)


@transactional
def _inconsistent() -> list[int]:
    """Remove orders without findings from the watch list, and return the ids of the others."""
    at = clock.now()
    some = select(Watched.order_id).where(Watched.due_at <= at).order_by(Watched.due_at).limit(BATCH)
    claimed = update(Watched).where(Watched.order_id.in_(some.with_for_update(skip_locked=True)))
    ids = list(db.session.scalars(claimed.values(due_at=at + LEASE).returning(Watched.order_id)))
    try:
        with db.session.begin_nested():
            suspects = _suspects(ids, at)
    except Exception as error:  # noqa: BLE001 - then each order is checked separately
        log.error("watch.failed", error=f"{type(error).__name__}: {error}"[:500])
        suspects = set(ids)
    return sorted(suspects)


def _suspects(ids: Sequence[int], at: datetime) -> set[int]:
    confirm = _confirm()
    alerted = set(db.session.scalars(select(Alert.order_id).where(Alert.order_id.in_(ids), IS_OPEN).distinct()))
    well: list[int] = []
    suspects: set[int] = set()
    for order in snapshot.of(ids):
        if order.id in alerted or rules.findings(order, at, confirm):
            suspects.add(order.id)
            continue
        again = rules.next_check(order, at, confirm)
        if again is None:
            well.append(order.id)
        else:
            _done(order, again)
    db.session.execute(delete(Watched).where(Watched.order_id.in_(well)))
    return suspects


def _raise(order: OrderSnapshot, at: datetime) -> None:
    for found in rules.findings(order, at, _confirm()):
        store.raise_alert(
            store.Cause(
                rule=found.rule,
                subject=order.number,
                cause=found.cause,
                source=found.source,
                observed=found.observed,
                expected=found.expected,
                order_id=order.id,
                order_no=order.number,
            )
        )


def _resolve(order: OrderSnapshot) -> None:
    rows = select(Alert.id, Alert.rule, Alert.cause).where(Alert.order_id == order.id, IS_OPEN)
    for row in db.session.execute(rows).all():
        why = rules.resolution(row.rule, row.cause, order)
        if why:
            store.resolve_over(row.id, why)


def _done(order: OrderSnapshot, again: datetime | None) -> None:
    row = Watched.order_id == order.id
    db.session.execute(delete(Watched).where(row) if again is None else update(Watched).where(row).values(due_at=again))


def _confirm() -> timedelta:
    return timedelta(seconds=current_app.config["ALERT_CONFIRM_SECONDS"])
