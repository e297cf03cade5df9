"""Alerts on webhook endpoints that the shop has disabled."""

from __future__ import annotations

from sqlalchemy import select

from shop.alerts.episodes import CheckRun, follow
from shop.alerts.store import WATCH, Cause
from shop.core.db import db
from shop.outgoing_webhooks.endpoints import IS_PRESENT
from shop.outgoing_webhooks.kinds import DisabledBecause
from shop.outgoing_webhooks.models import WebhookEndpoint

RULE = "OPS_ENDPOINT_DISABLED"


def disabled(run: CheckRun) -> None:
    """Alert on each endpoint that was disabled because it failed, until staff enable or delete it."""
    by_the_shop = WebhookEndpoint.disabled_because.in_([DisabledBecause.GONE, DisabledBecause.FAILING])
    rows = db.session.scalars(select(WebhookEndpoint).where(by_the_shop, IS_PRESENT))  # a shop has few
    found = [_cause(endpoint) for endpoint in rows]
    follow(run, RULE, found, "The endpoint was enabled again, or deleted.")


def _cause(endpoint: WebhookEndpoint) -> Cause:
    at = endpoint.disabled_at.isoformat() if endpoint.disabled_at else ""
    failing_since = endpoint.failing_since.isoformat() if endpoint.failing_since else None
    return Cause(
        rule=RULE,
        subject=f"endpoint {endpoint.id}",
        cause=f"disabled {at}",
        source=WATCH,
        observed={"because": endpoint.disabled_because, "failingSince": failing_since},
        expected={"enabled": True},
    )
