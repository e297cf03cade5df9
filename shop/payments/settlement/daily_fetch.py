"""Daily fetch of settlement files by the clock: yesterday's file of each provider that has a call for it.

The rows of `settlement_files` decide what is fetched and when, so that several clocks fetch a file once. A file that is
not there is fetched again later; after LIMIT an alert is raised, and after GIVE_UP staff have to upload it.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo

from flask import current_app

from shop.core import clock, logs
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.errors import Refusal
from shop.payments.providers import registry
from shop.payments.records.types import Source
from shop.payments.settlement import files, reconcile

log = logs.get()
AFTER = timedelta(hours=1)
"""Time that an acquirer gets after the end of its day, before the first attempt."""
_MINUTES = (5, 10, 20, 40, 60)
WAITS = tuple(timedelta(minutes=minutes) for minutes in _MINUTES)
"""Pause after the beginning of each attempt, longer than a worker may take for it; the last one is repeated."""
LIMIT = timedelta(hours=6)
"""Time after the first attempt when a file counts as missing."""
GIVE_UP = timedelta(days=7)
"""Time after the first attempt when the last one is made."""
CATCH_UP = 60
"""Days without a clock whose files are fetched afterwards."""


def last_day(zone: tzinfo, at: datetime) -> date:
    """The last business day in `zone` whose file is expected at `at`. Pure."""
    return (at - AFTER).astimezone(zone).date() - timedelta(days=1)


def days_to_expect(newest: date | None, last: date) -> list[date]:
    """The days after the newest expected one until `last`, at most CATCH_UP; without one, `last` alone. Pure."""
    count = 1 if newest is None else min(CATCH_UP, (last - newest).days)
    return [last - timedelta(days=number) for number in reversed(range(count))]


def next_attempt(attempts: int, expected_at: datetime, at: datetime) -> datetime | None:
    """Time of the attempt after the `attempts`-th, which begins at `at`; None after the last one. Pure."""
    return None if at - expected_at >= GIVE_UP else at + WAITS[min(attempts, len(WAITS)) - 1]


def due() -> list[str]:
    """Provider and day of the files to fetch now, as `kpay 2026-01-31`."""
    names = fetched()
    for name in names:
        _expect(name)
    return [f"{name} {day}" for name, day in files.due(names, limit=20)]


def fetched() -> list[str]:
    """Providers whose files the clock fetches."""
    if not current_app.config["SETTLEMENT_FETCH"]:
        return []
    return [name for name in registry.all_providers() if reconcile.can_fetch(name)]


def _expect(name: str) -> None:
    """Make the files of the days that have ended due; once a day in each process, and in the database once."""
    last = last_day(registry.all_providers()[name].capabilities.settles_in, clock.now())
    seen: dict[str, date] = current_app.extensions.setdefault("settled_expected_files", {})
    if seen.get(name) != last:
        files.expect(name, days_to_expect(files.newest_expected(name), last))
        seen[name] = last


def fetch_due(file: str) -> None:
    """Fetch and reconcile a file of `due`. Safe to repeat, and by several processes at once."""
    name, _, day_text = file.partition(" ")
    day = date.fromisoformat(day_text)
    at = clock.now()
    lease = files.claim(name, day, lambda number, expected_at: next_attempt(number, expected_at, at))
    if lease is None:
        return
    try:
        raw = reconcile.fetch(name, day)
        reconcile.reconcile(name, day, raw, by=Actor.of_source(Source.SETTLEMENT_FILE), fetched=True)
    except Refusal as refusal:
        files.record_failure(lease, refusal.message)
        log.warning("settlement.not_fetched", provider=name, day=day_text, error=refusal.message)
    except Exception as error:
        db.session.rollback()
        files.record_failure(lease, f"The file could not be read: {type(error).__name__}.")
        raise
