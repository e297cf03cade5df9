"""Record outgoing events with their bodies, and queue one delivery for each endpoint.

Unique indexes decide races: an event of an order is recorded once, and delivered once to an endpoint, however often the
outbox publishes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select

from shop.core import clock, ids
from shop.core.db import db, insert, table, transactional
from shop.outgoing_webhooks import bodies, decide
from shop.outgoing_webhooks.kinds import TEST, DeliveryState
from shop.outgoing_webhooks.models import OutgoingEvent, WebhookDelivery, WebhookEndpoint

IS_ENABLED = WebhookEndpoint.disabled_at.is_(None) & WebhookEndpoint.deleted_at.is_(None)


@transactional
def after_event(kind: str, event: dict[str, Any]) -> None:
    """Record a published event if it is public, and queue its deliveries."""
    public_type = decide.public_type(kind, event)
    if public_type is None:
        return
    event_id, at = ids.outgoing_event_id(), datetime.fromisoformat(event["at"])
    values = {
        "event_id": event_id,
        "type": public_type,
        "order_id": event["order_id"],
        "seq": event["seq"],
        "occurred_at": at,
        "body": bodies.text(event_id, public_type, at, bodies.load(kind, event)),
    }
    new = insert(OutgoingEvent, plain=True).on_conflict_do_nothing(index_elements=["order_id", "seq"])
    number = db.session.scalar(new.returning(table(OutgoingEvent).c.id), values)
    if number is not None:
        queue(number, _subscribers(public_type))


@transactional
def test_event(endpoint_id: str, body_of: dict[str, Any]) -> int:
    """Record a test event for one endpoint, due at once; returns the number of its delivery."""
    event_id, at = ids.outgoing_event_id(), clock.now()
    values = {"event_id": event_id, "type": TEST, "occurred_at": at, "body": bodies.text(event_id, TEST, at, body_of)}
    new = insert(OutgoingEvent, plain=True).returning(table(OutgoingEvent).c.id)
    [delivery] = queue(db.session.scalars(new, values).one(), [endpoint_id])
    return delivery


def queue(event: int, endpoint_ids: Sequence[str]) -> list[int]:
    """Queue deliveries of an event, due at once, in the current transaction; returns the numbers of new ones."""
    if not endpoint_ids:
        return []
    at = clock.now()
    rows = [
        {
            "endpoint_id": endpoint_id,
            "event_id": event,
            "state": DeliveryState.QUEUED,
            "created_at": at,
            "next_attempt_at": at,
            "tries": 0,
        }
        for endpoint_id in endpoint_ids
    ]
    new = insert(WebhookDelivery, plain=True).values(rows)
    once = new.on_conflict_do_nothing(index_elements=["endpoint_id", "event_id"])
    return list(db.session.scalars(once.returning(table(WebhookDelivery).c.id)))


def _subscribers(public_type: str) -> list[str]:
    rows = db.session.execute(select(WebhookEndpoint.id, WebhookEndpoint.event_types).where(IS_ENABLED))
    return [row.id for row in rows.all() if public_type in row.event_types]
