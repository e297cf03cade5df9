"""Whether a provider answers. After five failures in a row it is left alone for a few seconds, then one call tries
again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from flask import current_app
from sqlalchemy import func, select, update

from shop.core import clock, http, metrics, rate
from shop.core.db import db, insert, writing
from shop.payments.models import ProviderHealth
from shop.payments.provider import PaymentProvider, Unavailable, Unknown

T = TypeVar("T")
TRIP_AFTER = 5
PAUSE = 5.0  # seconds
_LOOK_AGAIN = 0.5  # seconds for which a process trusts what it has read


def call(provider: PaymentProvider, operation: str, use: Callable[[], T]) -> T | Unavailable:
    """Make one call within the provider's rate, outside any transaction, and remember how it went.

    Unavailable without a call when the provider is paused or its rate is used up.
    """
    http.leave_database()
    failures, paused_until = _health(provider.NAME)
    if paused_until is not None and paused_until > clock.now():
        return Unavailable("paused after failures", retry_after=PAUSE)
    if not rate.wait_for_turn(provider.NAME, current_app.config["CALLS_PER_SECOND"]):
        return Unavailable("our own rate is used up", retry_after=1.0)
    slowly = provider.capabilities.queries_per_second if operation.startswith("query") else None
    if slowly and not rate.wait_for_turn(f"{provider.NAME} queries", slowly, patience=1.0):
        return Unavailable("their rate is used up", retry_after=1.0)
    started = time.monotonic()
    answer = use()
    metrics.CALL_SECONDS.labels(provider.NAME, operation).observe(time.monotonic() - started)
    failed = isinstance(answer, Unavailable | Unknown)
    metrics.CALLS.labels(provider.NAME, operation, type(answer).__name__.lower()).inc()
    if failed:
        _trouble(provider.NAME, answer.retry_after if isinstance(answer, Unavailable) else None)
    elif failures or paused_until:
        _well_again(provider.NAME)
    return answer


def paused() -> list[str]:
    """Names of the providers that are left alone for now."""
    return list(db.session.scalars(select(ProviderHealth.provider).where(ProviderHealth.paused_until > clock.now())))


def _health(name: str) -> tuple[int, datetime | None]:
    """Failures in a row, and until when the provider is left alone, as this process has read it just now."""
    seen = _seen().get(name)
    if seen is None or time.monotonic() - seen[0] > _LOOK_AGAIN:
        seen = _seen()[name] = (time.monotonic(), _read(name))
    return seen[1]


def _seen() -> dict[str, tuple[float, tuple[int, datetime | None]]]:
    found: dict[str, tuple[float, tuple[int, datetime | None]]]
    found = current_app.extensions.setdefault("settled_health", {})
    return found


def _read(name: str) -> tuple[int, datetime | None]:
    row = db.session.execute(
        select(ProviderHealth.failures, ProviderHealth.paused_until).where(ProviderHealth.provider == name)
    ).one_or_none()
    db.session.rollback()
    return (row.failures, row.paused_until) if row else (0, None)


def _trouble(name: str, retry_after: float | None) -> None:
    at = clock.now()
    pause = timedelta(seconds=max(PAUSE, retry_after or 0))
    with writing():
        row = insert(ProviderHealth).values(provider=name, failures=1, unavailable_since=at)
        since = func.coalesce(ProviderHealth.unavailable_since, at)
        again = row.on_conflict_do_update(
            index_elements=["provider"], set_={"failures": ProviderHealth.failures + 1, "unavailable_since": since}
        )
        db.session.execute(again)
        tripped = ProviderHealth.failures >= (1 if retry_after else TRIP_AFTER)
        db.session.execute(
            update(ProviderHealth).where(ProviderHealth.provider == name, tripped).values(paused_until=at + pause)
        )
    _seen().pop(name, None)


def _well_again(name: str) -> None:
    well = {"failures": 0, "unavailable_since": None, "paused_until": None}
    with writing():
        db.session.execute(update(ProviderHealth).where(ProviderHealth.provider == name).values(**well))
    _seen().pop(name, None)
