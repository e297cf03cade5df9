"""Operational conditions, each checked every few seconds by the first clock process that claims it.

Each check reads only open or new rows by an index, so that its cost does not grow with the shop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Executable, select

from shop.alerts import (
    acquirers,
    clock_stopped,
    disabled_endpoints,
    failed_mails,
    low_stock,
    process_time,
    reservations,
    settlement_files,
    stuck_work,
    waiting,
    watcher,
    webhooks,
)
from shop.alerts.episodes import CheckRun
from shop.alerts.models import ConditionSchedule
from shop.core import clock, logs
from shop.core.db import db, insert, transactional

log = logs.get()


@dataclass(frozen=True)
class Condition:
    """`check` raises alerts for its findings and resolves those whose cause is over; it is idempotent. `every` in
    seconds.
    """

    check: Callable[[CheckRun], None]
    every: int


CONDITIONS: dict[str, Condition] = {
    "captured_but_stuck": Condition(webhooks.captured_but_stuck, 10),
    "signatures": Condition(webhooks.signatures, 10),
    "malformed": Condition(webhooks.malformed, 10),
    "keys": Condition(webhooks.keys, 10),
    "unknown_payments": Condition(webhooks.unknown_payments, 10),
    "dead_letters": Condition(stuck_work.dead_letters, 10),
    "unconfirmed": Condition(watcher.unconfirmed, 30),
    "failed_mails": Condition(failed_mails.failed, 30),
    "disabled_endpoints": Condition(disabled_endpoints.disabled, 30),
    "closing": Condition(stuck_work.closing, 30),
    "silent": Condition(acquirers.silent, 30),
    "unavailable": Condition(acquirers.unavailable, 30),
    "settlement": Condition(stuck_work.settlement, 30),
    "settlement_files": Condition(settlement_files.missing, 60),
    "process_time": Condition(process_time.skewed, 10),
    "refused_reservations": Condition(reservations.refused, 30),
    "stock_held_unpaid": Condition(reservations.held, 60),
    "stock_low": Condition(low_stock.low, 60),
    "clock_runs": Condition(clock_stopped.over, 10),
    "approvals": Condition(waiting.approvals, 30),
    "disputes": Condition(waiting.disputes, 60),
    "waiting": Condition(waiting.over_limit, 30),
}


def due() -> list[int]:
    """A single row if any condition is due."""
    rest = set(db.session.scalars(select(ConditionSchedule.condition).where(ConditionSchedule.due_at > clock.now())))
    db.session.rollback()
    return [0] if rest < set(CONDITIONS) else []


@transactional
def _claim(statement: Executable) -> set[str]:
    return set(db.session.scalars(statement))


def check_due(_number: int = 0) -> None:
    """Check the due conditions. A failing check does not stop the others."""
    at = clock.now()
    again = {name: at + timedelta(seconds=condition.every) for name, condition in sorted(CONDITIONS.items())}
    rows = insert(ConditionSchedule).values([{"condition": name, "due_at": due_at} for name, due_at in again.items()])
    claim = rows.on_conflict_do_update(
        index_elements=["condition"], set_={"due_at": rows.excluded.due_at}, where=ConditionSchedule.due_at <= at
    ).returning(ConditionSchedule.condition)

    mine, run = _claim(claim), CheckRun(at)
    for name, condition in CONDITIONS.items():
        if name in mine:
            try:
                condition.check(run)
            except Exception as error:  # noqa: BLE001 - the next check follows soon
                db.session.rollback()
                log.error("condition.failed", condition=name, error=f"{type(error).__name__}: {error}"[:500])
    db.session.rollback()
