"""The shop's clock: wall time plus an offset that all processes read from the database.

Deadlines, due times and records use it. Signatures and tokens use wall time. In production the offset is always zero
and the database is not queried.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from flask import current_app
from sqlalchemy import select, update
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.db import Base, db, insert, transaction

_READ_AGAIN = 0.5  # seconds for which a process uses the offset it has read


class ClockOffset(Base):
    """Single row: the number of seconds by which the shop's clock is ahead of wall time."""

    __tablename__ = "clock_offset"
    id: Mapped[int] = mapped_column(primary_key=True)
    seconds: Mapped[float] = mapped_column(default=0.0)


class _Seen:
    __slots__ = ("at", "seconds")

    def __init__(self) -> None:
        self.at, self.seconds = float("-inf"), 0.0


def wall() -> datetime:
    """Wall time, UTC."""
    return datetime.now(UTC)


def now() -> datetime:
    """The shop's time, UTC."""
    if current_app.config["SETTLED_ENV"] != "development":
        return wall()
    return wall() + timedelta(seconds=_offset())


def advance(by: timedelta) -> datetime:
    """Advance the clock by `by` and return the new time. Raises ValueError in production or for a negative value."""
    if current_app.config["SETTLED_ENV"] != "development":
        raise ValueError("The clock can be advanced in development only.")
    if by < timedelta(0):
        raise ValueError("The clock never goes back.")
    with transaction():
        db.session.execute(insert(ClockOffset).values(id=1, seconds=0.0).on_conflict_do_nothing())
        db.session.execute(update(ClockOffset).values(seconds=ClockOffset.seconds + by.total_seconds()))
    _seen().at = float("-inf")
    return now()


def _seen() -> _Seen:
    seen: _Seen = current_app.extensions.setdefault("settled_clock", _Seen())
    return seen


def _offset() -> float:
    seen = _seen()
    if time.monotonic() - seen.at > _READ_AGAIN:
        seen.seconds = db.session.execute(select(ClockOffset.seconds)).scalar() or 0.0
        seen.at = time.monotonic()
    return seen.seconds
