"""Alerts on acquirers that send no webhooks or are unavailable."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from shop.alerts.episodes import TEN_MINUTES, CheckRun, follow, since
from shop.alerts.store import WATCH, Cause
from shop.core.db import db
from shop.payments.calls.circuit_breaker import TRIP_AFTER
from shop.payments.providers import registry
from shop.payments.records.models import Capture, ProviderHealth, WebhookEventRow

SILENT_AFTER = 3
"""Consecutive captures without a webhook. One lost webhook is normal; polling covers it."""


def silent(run: CheckRun) -> None:
    """Alert when no webhook of a provider has arrived for ten minutes and three captures, which only polling has
    found.
    """
    names = sorted(registry.all_providers())
    last = dict(zip(names, _each([_last_webhook(name) for name in names]), strict=True))
    third = dict(zip(names, _each([_capture_after(name, last[name], SILENT_AFTER) for name in names]), strict=True))
    found = []
    for name in names:
        first = db.session.scalar(_capture_after(name, last[name], 1)) if third[name] else None
        if first and first <= run.at - TEN_MINUTES:
            observed = {"lastWebhookAt": last[name] and last[name].isoformat(), "heardByAskingSince": first.isoformat()}
            expected = {"webhooks": "one for each capture"}
            found.append(Cause("OPS_WEBHOOKS_SILENT", name, since(last[name]), WATCH, observed, expected))
    follow(run, "OPS_WEBHOOKS_SILENT", found, "A webhook has arrived.")


def _each(questions: Sequence[Any]) -> Sequence[Any]:
    """Combine many small queries into one."""
    return db.session.execute(select(*(question.scalar_subquery() for question in questions))).one()


def _last_webhook(provider: str) -> Any:
    return select(func.max(WebhookEventRow.received_at)).where(WebhookEventRow.provider == provider)


def _capture_after(provider: str, last: datetime | None, number: int) -> Any:
    """Recording time of the `number`-th capture after the last webhook; of all captures if there was no webhook."""
    query = select(Capture.received_at).where(Capture.provider == provider).order_by(Capture.received_at)
    query = query.where(Capture.received_at > last) if last else query
    return query.offset(number - 1).limit(1)


def unavailable(run: CheckRun) -> None:
    """Alert when a provider has not answered any call for ten minutes."""
    away = select(ProviderHealth).where(
        ProviderHealth.unavailable_since <= run.at - TEN_MINUTES, ProviderHealth.failures >= TRIP_AFTER
    )
    found = [
        Cause(
            rule="OPS_PROVIDER_UNAVAILABLE",
            subject=row.provider,
            cause=since(row.unavailable_since),
            source=WATCH,
            observed={"since": row.unavailable_since and row.unavailable_since.isoformat(), "failures": row.failures},
            expected={"failures": 0},
        )
        for row in db.session.scalars(away)
    ]
    follow(run, "OPS_PROVIDER_UNAVAILABLE", found, "The provider responds again.")
