"""Leases of due work: a process claims a row for a time, and only the holder of the lease ends or postpones it.

The due time of a claimed row is the end of its lease, and names the holder: a row can be claimed again only after that
time, and then has a later one. A killed worker leaves a row that is due again when its lease has ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, update
from sqlalchemy.orm import InstrumentedAttribute

from shop.core import clock
from shop.core.db import changed

Due = InstrumentedAttribute[datetime | None]
"""Column with the time when a row is due; empty once its work has ended."""


@dataclass(frozen=True)
class Lease:
    """The right to work on a row (the one that matches `row`) until the time in its column `due`; None for the last
    attempt, which nothing repeats.
    """

    due: Due
    row: tuple[ColumnElement[bool], ...]
    until: datetime | None

    def renew(self, lasts: timedelta, **values: Any) -> Lease | None:
        """Extend the lease from now, with values for other columns; None if another process has the row."""
        until = clock.now() + lasts
        return Lease(self.due, self.row, until) if self.change(until, **values) else None

    def postpone(self, until: datetime, **values: Any) -> bool:
        """Give the row back, due at `until`. False if another process has it."""
        return self.change(until, **values)

    def end(self, **values: Any) -> bool:
        """End the work. False if another process has the row."""
        return self.change(None, **values)

    def change(self, due: datetime | None, **values: Any) -> bool:
        """Set the due time and other columns. False if another process has the row."""
        held = (*self.row, self.due.is_not_distinct_from(self.until))
        return _changed(self.due, held, {self.due.key: due, **values})


def claim(due: Due, *row: ColumnElement[bool], until: datetime | None, **values: Any) -> Lease | None:
    """Claim a due row in the current transaction, with values for other columns; None if it is not due, because another
    process has claimed it.
    """
    is_due = (*row, due <= clock.now())
    return Lease(due, row, until) if _changed(due, is_due, {due.key: until, **values}) else None


def _changed(due: Due, which: tuple[ColumnElement[bool], ...], values: dict[str, Any]) -> bool:
    statement = update(due.class_).where(*which).values(values)
    return bool(changed(statement.execution_options(synchronize_session=False)))
