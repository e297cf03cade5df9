"""The lookouts: conditions of running the shop, each looked for every few seconds by whichever clock comes first.

Each asks the database for what is still wrong or new, along an index, so that its cost does not grow with the shop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select

from shop.alerts import doors, lying, notices, watch
from shop.alerts.episodes import Sight
from shop.alerts.models import Lookout
from shop.core import clock, logs
from shop.core.db import db, insert, retried, writing

log = logs.get()


@dataclass(frozen=True)
class Condition:
    """`look` raises what it finds and resolves what is over; doing it twice changes nothing. `every` in seconds."""

    look: Callable[[Sight], None]
    every: int


CONDITIONS: dict[str, Condition] = {
    "captured_but_stuck": Condition(notices.captured_but_stuck, 10),
    "signatures": Condition(notices.signatures, 10),
    "keys": Condition(notices.keys, 10),
    "strangers": Condition(notices.strangers, 10),
    "dead_letters": Condition(lying.dead_letters, 10),
    "unconfirmed": Condition(watch.unconfirmed, 30),
    "closing": Condition(lying.closing, 30),
    "silent": Condition(doors.silent, 30),
    "unavailable": Condition(doors.unavailable, 30),
    "settlement": Condition(lying.settlement, 30),
}


def due() -> list[int]:
    """One number when there is anything to look for now."""
    rest = set(db.session.scalars(select(Lookout.condition).where(Lookout.due_at > clock.now())))
    db.session.rollback()
    return [0] if rest < set(CONDITIONS) else []


def look(_number: int = 0) -> None:
    """Look for the conditions that nobody has just looked for. One that fails stops no other."""
    at = clock.now()
    again = {name: at + timedelta(seconds=condition.every) for name, condition in sorted(CONDITIONS.items())}
    rows = insert(Lookout).values([{"condition": name, "due_at": due_at} for name, due_at in again.items()])
    claim = rows.on_conflict_do_update(
        index_elements=["condition"], set_={"due_at": rows.excluded.due_at}, where=Lookout.due_at <= at
    ).returning(Lookout.condition)

    def unit() -> set[str]:
        with writing():
            return set(db.session.scalars(claim))

    mine, sight = retried(unit), Sight(at)
    for name, condition in CONDITIONS.items():
        if name in mine:
            try:
                condition.look(sight)
            except Exception as error:  # noqa: BLE001 - the next look is soon
                db.session.rollback()
                log.error("lookout.failed", condition=name, error=f"{type(error).__name__}: {error}"[:500])
    db.session.rollback()
