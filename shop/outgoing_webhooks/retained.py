"""Rows of outgoing webhooks whose retention period is over: conditions, and deletion in the current transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, exists, select

from shop.core.db import db
from shop.outgoing_webhooks.kinds import DeliveryState
from shop.outgoing_webhooks.models import DeliveryAttempt, OutgoingEvent, WebhookDelivery, WebhookEndpoint

KEPT = timedelta(days=30)
"""Time for which events are kept, and may be sent again."""
IS_QUEUED = exists().where(WebhookDelivery.event_id == OutgoingEvent.id, WebhookDelivery.state == DeliveryState.QUEUED)
"""Condition that a delivery of an event is queued."""
HAS_DELIVERIES = exists().where(WebhookDelivery.endpoint_id == WebhookEndpoint.id)


def erase(events: Sequence[int]) -> None:
    """Delete the deliveries of events, with their attempts."""
    of_events = select(WebhookDelivery.id).where(WebhookDelivery.event_id.in_(events))
    db.session.execute(delete(DeliveryAttempt).where(DeliveryAttempt.delivery_id.in_(of_events)))
    db.session.execute(delete(WebhookDelivery).where(WebhookDelivery.event_id.in_(events)))
