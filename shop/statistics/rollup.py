"""Write roll-ups: the clock adds the facts that are old enough, in small steps.

A step reads facts without a transaction that writes, then moves the progress and adds the figures in one short
transaction. The conditional UPDATE of the progress decides between processes, so each fact is added once, and a killed
process loses one step.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from flask import current_app
from sqlalchemy import delete, exists, select, update

from shop.core import clock
from shop.core.db import changed, db, insert, transactional
from shop.statistics import facts
from shop.statistics.decide import VERSION, Figures, count
from shop.statistics.models import DayFigure, StatisticsProgress

SETTLED = timedelta(minutes=5)
"""Age of facts that are rolled up: longer than a transaction lasts and clocks of machines differ (5 s)."""
EVERY = timedelta(minutes=1)
MANY = 500
"""Events of orders in a step."""
TURN = 0.2
"""Seconds after which the clock leaves the other steps to its next pass, so that polls are not delayed."""
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
_ID = 1


_PROGRESS = select(
    *(StatisticsProgress.up_to, StatisticsProgress.zone, StatisticsProgress.version),
    exists(select(DayFigure.day)).label("has_figures"),
).where(StatisticsProgress.id == _ID)


def up_to() -> datetime:
    """The time up to which the facts are in the roll-ups; BEGINNING while none of them can be used. One statement."""
    return progress()[0]


def progress() -> tuple[datetime, bool]:
    """The same, and True if the roll-ups have figures. One statement."""
    found = db.session.execute(_PROGRESS).one_or_none()
    if found is None or (found.zone, found.version) != _kind():
        return BEGINNING, False
    return found.up_to, found.has_figures


def due() -> list[int]:
    """A single item when facts can be added."""
    is_due = up_to() < clock.now() - SETTLED - EVERY
    db.session.rollback()
    return [_ID] if is_due else []


def add_due(_item: int = _ID) -> None:
    """Add facts for TURN seconds. Safe to repeat, and by several processes at once."""
    until, end = time.monotonic() + TURN, clock.now() - SETTLED
    _begin()
    while (first := up_to()) < end and time.monotonic() < until:
        last = facts.step(first, end, MANY)
        figures = count(facts.between(first, last), _zone())
        db.session.rollback()
        _add(first, last, figures)


@transactional
def _begin() -> None:
    """Write the row of the progress, or begin again with another zone or version."""
    zone, version = _kind()
    db.session.execute(
        insert(StatisticsProgress).values(id=_ID, up_to=BEGINNING, zone=zone, version=version).on_conflict_do_nothing()
    )
    is_other = (StatisticsProgress.zone != zone) | (StatisticsProgress.version != version)
    if changed(update(StatisticsProgress).where(is_other).values(up_to=BEGINNING, zone=zone, version=version)):
        db.session.execute(delete(DayFigure))


@transactional
def _add(first: datetime, last: datetime, figures: Figures) -> bool:
    """Add the figures of the facts from `first` until before `last`; False if another process has added them."""
    zone, version = _kind()
    same = StatisticsProgress.zone == zone, StatisticsProgress.version == version, StatisticsProgress.up_to == first
    if not changed(update(StatisticsProgress).where(*same).values(up_to=last)):
        return False
    rows = [
        {"day": day, **figure._asdict(), "number": sums.number, "amount": sums.amount}
        for (day, figure), sums in sorted(figures.items())
    ]
    if rows:
        new = insert(DayFigure, plain=True)
        more = {name: getattr(DayFigure, name) + new.excluded[name] for name in ("number", "amount")}
        keys = ("day", "subject", "state", "currency", "provider", "method")
        db.session.execute(new.on_conflict_do_update(index_elements=keys, set_=more), rows)
    return True


def _kind() -> tuple[str, int]:
    return current_app.config["SHOP_TIME_ZONE"], VERSION


def _zone() -> ZoneInfo:
    return ZoneInfo(current_app.config["SHOP_TIME_ZONE"])
