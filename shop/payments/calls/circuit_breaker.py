"""Circuit breaker per provider: after five consecutive failures no calls for a few seconds, then one trial call."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from flask import current_app
from sqlalchemy import func, select, update
from sqlalchemy.exc import SQLAlchemyError

from shop.core import clock, http_client, logs, metrics, rate_limit
from shop.core.db import db, insert, transaction
from shop.payments.providers.interface import PaymentProvider, Unavailable, Unknown
from shop.payments.records.models import ProviderHealth

log = logs.get()
T = TypeVar("T")
TRIP_AFTER = 5
PAUSE = 5.0  # seconds
_CACHED_FOR = 0.5  # seconds for which a process caches the state


@dataclass(frozen=True)
class RateUsedUp(Unavailable):
    """The call was not made, because the rate limit was exhausted. The provider's health is unknown."""


def query_rate(provider: PaymentProvider) -> int:
    """Limit of queries per second to the provider."""
    return min(int(current_app.config["CALLS_PER_SECOND"]), provider.capabilities.queries_per_second or 10**6)


def call(provider: PaymentProvider, operation: str, use: Callable[[], T]) -> T | Unavailable:
    """Make one call within the provider's rate limit, outside any transaction, and record success or failure.

    Unavailable without a call when the provider is paused or its rate is used up.
    """
    http_client.leave_database()
    if current_app.config["SETTLED_PASSIVE"]:
        return Unavailable("a passive copy calls no acquirer")
    failures, paused_until = _health(provider.NAME)
    if paused_until is not None and paused_until > clock.now():
        return Unavailable("paused after failures", retry_after=PAUSE)
    if not rate_limit.wait_for_turn(provider.NAME, current_app.config["CALLS_PER_SECOND"]):
        return RateUsedUp("our own rate is used up", retry_after=1.0)
    slowly = provider.capabilities.queries_per_second if operation.startswith("query") else None
    if slowly and not rate_limit.wait_for_turn(f"{provider.NAME} queries", slowly, patience=1.0):
        return RateUsedUp("their rate is used up", retry_after=1.0)
    started = time.monotonic()
    with http_client.within(current_app.config["CALL_SECONDS"]):
        answer = use()
    metrics.CALL_SECONDS.labels(provider.NAME, operation).observe(time.monotonic() - started)
    failed = isinstance(answer, Unavailable | Unknown)
    metrics.CALLS.labels(provider.NAME, operation, type(answer).__name__.lower()).inc()
    try:
        if failed:
            _trouble(provider.NAME, answer.retry_after if isinstance(answer, Unavailable) else None)
        elif failures or paused_until:
            _well_again(provider.NAME)
    except SQLAlchemyError as error:  # the answer matters more than the state of the breaker
        db.session.rollback()
        log.error("circuit_breaker.not_recorded", provider=provider.NAME, error=type(error).__name__)
    return answer


def paused() -> list[str]:
    """Names of the providers to which calls are paused."""
    return list(db.session.scalars(select(ProviderHealth.provider).where(ProviderHealth.paused_until > clock.now())))


def _health(name: str) -> tuple[int, datetime | None]:
    """Consecutive failures, and the end of the pause in calls, as cached by this process."""
    seen = _seen().get(name)
    if seen is None or time.monotonic() - seen[0] > _CACHED_FOR:
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
    with transaction():
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
    with transaction():
        db.session.execute(update(ProviderHealth).where(ProviderHealth.provider == name).values(**well))
    _seen().pop(name, None)
