"""Whether the acquirers speak and answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from shop.alerts.desk import WATCH, Cause
from shop.alerts.episodes import TEN_MINUTES, Sight, follow, since
from shop.core.db import db
from shop.payments import registry
from shop.payments.health import TRIP_AFTER
from shop.payments.models import Capture, InboxRow, ProviderHealth

SILENT_AFTER = 3
"""Captures in a row of which no webhook told. One lost webhook is nothing; the polling is for that."""


def silent(sight: Sight) -> None:
    """For ten minutes and three captures a provider's money was heard of by asking, and no notice came at all."""
    names = sorted(registry.all_providers())
    last = dict(zip(names, _each([_last_notice(name) for name in names]), strict=True))
    third = dict(zip(names, _each([_capture_after(name, last[name], SILENT_AFTER) for name in names]), strict=True))
    found = []
    for name in names:
        first = db.session.scalar(_capture_after(name, last[name], 1)) if third[name] else None
        if first and first <= sight.at - TEN_MINUTES:
            observed = {"lastWebhookAt": last[name] and last[name].isoformat(), "heardByAskingSince": first.isoformat()}
            expected = {"webhooks": "one for each capture"}
            found.append(Cause("OPS_WEBHOOKS_SILENT", name, since(last[name]), WATCH, observed, expected))
    follow(sight, "OPS_WEBHOOKS_SILENT", found, "A webhook has come.")


def _each(questions: Sequence[Any]) -> Sequence[Any]:
    """The answers to many small questions, in one."""
    return db.session.execute(select(*(question.scalar_subquery() for question in questions))).one()


def _last_notice(provider: str) -> Any:
    return select(func.max(InboxRow.received_at)).where(InboxRow.provider == provider)


def _capture_after(provider: str, last: datetime | None, number: int) -> Any:
    """When we heard of the first, second … capture after the last notice; without a notice, of all."""
    query = select(Capture.heard_at).where(Capture.provider == provider).order_by(Capture.heard_at)
    query = query.where(Capture.heard_at > last) if last else query
    return query.offset(number - 1).limit(1)


def unavailable(sight: Sight) -> None:
    """A provider has not answered for ten minutes, and was asked."""
    away = select(ProviderHealth).where(
        ProviderHealth.unavailable_since <= sight.at - TEN_MINUTES, ProviderHealth.failures >= TRIP_AFTER
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
    follow(sight, "OPS_PROVIDER_UNAVAILABLE", found, "It answers again.")
