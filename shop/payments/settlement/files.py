"""State of settlement files by provider and day: when they are due to be fetched, and when they were read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update

from shop.core import clock
from shop.core.db import changed, db, insert, transactional
from shop.payments.records.settlement_models import SettlementFile


def record_read(provider: str, day: date, lines: int, *, final: bool) -> None:
    """Record in the current transaction that the file of a complete day was reconciled. If `final`, it is fetched no
    more.
    """
    read: dict[str, Any] = {"read_at": clock.now(), "lines": lines}
    if final:
        read |= {"due_at": None, "error": None}
    new = insert(SettlementFile).values(provider=provider, day=day, attempts=0, **read)
    db.session.execute(new.on_conflict_do_update(index_elements=["provider", "day"], set_=read))


def newest_expected(provider: str) -> date | None:
    """The newest day whose file the clock fetches or has fetched."""
    expected = SettlementFile.provider == provider, SettlementFile.expected_at.is_not(None)
    newest = db.session.scalar(select(func.max(SettlementFile.day)).where(*expected))
    db.session.rollback()
    return newest


@transactional
def expect(provider: str, days: Sequence[date]) -> None:
    """Make the files of these days due now, each once, however many clocks do it. One that staff have brought before
    is fetched too: the acquirer may have completed it since.
    """
    at = clock.now()
    for day in days:
        new = insert(SettlementFile).values(provider=provider, day=day, expected_at=at, due_at=at, attempts=0)
        due_now, is_new = {"expected_at": at, "due_at": at}, SettlementFile.expected_at.is_(None)
        once = new.on_conflict_do_update(index_elements=["provider", "day"], set_=due_now, where=is_new)
        db.session.execute(once)


def due(limit: int) -> list[tuple[str, date]]:
    """Provider and day of files to fetch now, the longest due first."""
    query = (
        select(SettlementFile.provider, SettlementFile.day)
        .where(SettlementFile.due_at <= clock.now())
        .order_by(SettlementFile.due_at)
        .limit(limit)
    )
    found = [(row.provider, row.day) for row in db.session.execute(query)]
    db.session.rollback()
    return found


@transactional
def claim(provider: str, day: date, lease: timedelta) -> SettlementFile | None:
    """Claim a due file for `lease` and count the attempt; None if another process has claimed it."""
    at = clock.now()
    is_due = (SettlementFile.provider == provider, SettlementFile.day == day, SettlementFile.due_at <= at)
    claimed = update(SettlementFile).where(*is_due)
    if not changed(claimed.values(due_at=at + lease, attempts=SettlementFile.attempts + 1)):
        return None
    return db.session.get_one(SettlementFile, (provider, day), populate_existing=True)


@transactional
def postpone(provider: str, day: date, attempts: int, error: str, until: datetime | None) -> None:
    """Record a failed attempt and the time of the next one, unless the file was read or claimed meanwhile."""
    same = (SettlementFile.provider == provider, SettlementFile.day == day, SettlementFile.attempts == attempts)
    failed = update(SettlementFile).where(*same, SettlementFile.due_at.is_not(None))
    db.session.execute(failed.values(due_at=until, error=error[:500]))
