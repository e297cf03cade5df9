"""State of settlement files by provider and day: when they are due to be fetched, and when they were read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import func, select

from shop.core import clock, leases
from shop.core.db import db, insert, transactional
from shop.core.leases import Lease
from shop.payments.records.settlement_models import SettlementFile

BEGUN = "The attempt was begun and has not ended."
"""`error` of a file while it is fetched, and after the worker was killed."""


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
    """Make the files of these days due now, each once, however many clocks do it. One that staff have uploaded before
    is fetched too: the acquirer may have completed it since.
    """
    at = clock.now()
    for day in days:
        new = insert(SettlementFile).values(provider=provider, day=day, expected_at=at, due_at=at, attempts=0)
        due_now, is_new = {"expected_at": at, "due_at": at}, SettlementFile.expected_at.is_(None)
        once = new.on_conflict_do_update(index_elements=["provider", "day"], set_=due_now, where=is_new)
        db.session.execute(once)


def due(providers: Collection[str], limit: int) -> list[tuple[str, date]]:
    """Provider and day of files of these providers to fetch now, the longest due first."""
    query = (
        select(SettlementFile.provider, SettlementFile.day)
        .where(SettlementFile.due_at <= clock.now(), SettlementFile.provider.in_(providers))
        .order_by(SettlementFile.due_at)
        .limit(limit)
    )
    found = [(row.provider, row.day) for row in db.session.execute(query)]
    db.session.rollback()
    return found


@transactional
def claim(provider: str, day: date, next_attempt: Callable[[int, datetime], datetime | None]) -> Lease | None:
    """Claim a due file; None if another process has claimed it.

    The time of the attempt after this one, by its number and the time of the first, is stored before the work: a worker
    may be killed. After the last attempt it is empty.
    """
    at = clock.now()
    file = db.session.get(SettlementFile, (provider, day), populate_existing=True)
    if file is None:
        return None
    number, mine = file.attempts + 1, (SettlementFile.provider == provider, SettlementFile.day == day)
    until = next_attempt(number, file.expected_at or at)
    return leases.claim(SettlementFile.due_at, *mine, until=until, attempts=number, error=BEGUN)


@transactional
def record_failure(lease: Lease, error: str) -> None:
    """Record why an attempt failed, unless the file was read or claimed meanwhile."""
    begun = replace(lease, row=(*lease.row, SettlementFile.error == BEGUN))
    begun.change(lease.until, error=error[:500])
