"""The watcher: looks at orders to which something happened, and again when something should have happened.

An order comes on the watch list after events that can make an inconsistency (`jobs/effects.py`), and goes when there is
nothing more to see. A look at many is cheap and decides nothing; only where a rule finds something, or an alert is
open, the order is locked and looked at with care.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from flask import current_app
from sqlalchemy import case, delete, func, select, update

from shop.alerts import desk, numbers, rules
from shop.alerts.episodes import Sight
from shop.alerts.models import IS_OPEN, Alert, Watched
from shop.alerts.rules import Claim, OrderNumbers
from shop.core import clock, logs
from shop.core.db import db, insert, retried, writing
from shop.orders import states as order_states
from shop.payments.lock import order_with_payments

log = logs.get()
BATCH = 100
LEASE = timedelta(seconds=30)
_CORRECTIONS = frozenset(move.because for move in order_states.MOVES if move.correction)


# --- what puts an order on the list ----------------------------------------------------------------------------------


def after_capture(event: dict[str, Any]) -> None:
    """Money that pays is looked at when its confirming query is over, other money at once."""
    heard_at = datetime.fromisoformat(event["at"])
    put(event["orderId"], heard_at + _confirm() + rules.SOON if event["standing"] == "paid" else heard_at)


def after_refund(event: dict[str, Any]) -> None:
    put(event["orderId"], datetime.fromisoformat(event["at"]))


def after_move(event: dict[str, Any]) -> None:
    """Corrections end alerts; every other move is told of by the money that made it."""
    if event.get("because") in _CORRECTIONS:
        put(event["orderId"], datetime.fromisoformat(event["at"]))


def put(order_id: int, due_at: datetime) -> None:
    """Look at the order at `due_at`, or earlier when it is to be looked at earlier. Safe to repeat.

    Joins the caller's unit if there is one: then it is the caller who tries again.
    """
    row = insert(Watched).values(order_id=order_id, due_at=due_at)
    sooner = case((row.excluded.due_at < Watched.due_at, row.excluded.due_at), else_=Watched.due_at)
    statement = row.on_conflict_do_update(index_elements=["order_id"], set_={"due_at": sooner})
    if db.session().info.get("writing"):
        db.session.execute(statement)
        return

    def unit() -> None:
        with writing():
            db.session.execute(statement)

    retried(unit)


# --- looking ---------------------------------------------------------------------------------------------------------


def due() -> list[int]:
    """Numbers of the batches that wait to be looked at."""
    query = select(func.count()).select_from(Watched).where(Watched.due_at <= clock.now())
    waiting = db.session.scalar(query) or 0
    db.session.rollback()
    return list(range(min(8, -(-waiting // BATCH))))


def look(_batch: int = 0) -> None:
    """Look at some of the orders that are due. One that cannot be looked at stops no other; it is due again later."""
    for order_id in retried(_glance):
        try:
            look_at(order_id)
        except Exception as error:  # noqa: BLE001 - a poisoned row must never stop the others
            db.session.rollback()
            log.error("watch.failed", order=order_id, error=f"{type(error).__name__}: {error}"[:500])


def look_at(order_id: int, claims: Iterable[Claim] = ()) -> None:
    """Raise what the rules find in the order's numbers, and resolve alerts whose cause is gone. Safe to repeat.

    `claims` are reports that nobody could apply, and which the numbers therefore do not have.
    """

    def unit() -> None:
        with writing():
            db.session.execute(select(Watched).where(Watched.order_id == order_id).with_for_update())
            order_with_payments(order_id)
            (found,) = numbers.of([order_id])
            at = clock.now()
            order = replace(found, claims=(*found.claims, *claims))
            _raise(order, at)
            _resolve(order)
            _done(order, rules.look_again(order, at, _confirm()))

    retried(unit)


def unconfirmed(sight: Sight) -> None:
    """Rule B is over when a query shows the capture after all, and no event tells of that."""
    for alert in sight.open("RULE_B"):
        if alert.order_id is not None:
            look_at(alert.order_id)


def _glance() -> list[int]:
    """Let go of the orders with which everything is well, and return the ids of the others."""
    at = clock.now()
    some = select(Watched.order_id).where(Watched.due_at <= at).order_by(Watched.due_at).limit(BATCH)
    with writing():
        claimed = update(Watched).where(Watched.order_id.in_(some.with_for_update(skip_locked=True)))
        ids = list(db.session.scalars(claimed.values(due_at=at + LEASE).returning(Watched.order_id)))
        try:
            with db.session.begin_nested():
                suspects = _suspects(ids, at)
        except Exception as error:  # noqa: BLE001 - numbers that break a rule are for the careful look to find
            log.error("watch.failed", error=f"{type(error).__name__}: {error}"[:500])
            suspects = set(ids)
    return sorted(suspects)


def _suspects(ids: Sequence[int], at: datetime) -> set[int]:
    confirm = _confirm()
    alerted = set(db.session.scalars(select(Alert.order_id).where(Alert.order_id.in_(ids), IS_OPEN).distinct()))
    well: list[int] = []
    suspects: set[int] = set()
    for order in numbers.of(ids):
        if order.id in alerted or rules.findings(order, at, confirm):
            suspects.add(order.id)
            continue
        again = rules.look_again(order, at, confirm)
        if again is None:
            well.append(order.id)
        else:
            _done(order, again)
    db.session.execute(delete(Watched).where(Watched.order_id.in_(well)))
    return suspects


def _raise(order: OrderNumbers, at: datetime) -> None:
    for found in rules.findings(order, at, _confirm()):
        desk.say(
            desk.Cause(
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


def _resolve(order: OrderNumbers) -> None:
    rows = select(Alert.id, Alert.rule, Alert.cause).where(Alert.order_id == order.id, IS_OPEN)
    for row in db.session.execute(rows).all():
        why = rules.gone(row.rule, row.cause, order)
        if why:
            desk.is_gone(row.id, why)


def _done(order: OrderNumbers, again: datetime | None) -> None:
    row = Watched.order_id == order.id
    db.session.execute(delete(Watched).where(row) if again is None else update(Watched).where(row).values(due_at=again))


def _confirm() -> timedelta:
    return timedelta(seconds=current_app.config["ALERT_CONFIRM_SECONDS"])
