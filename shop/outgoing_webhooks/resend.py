"""Send events again: one delivery, all failed ones, events of the past that an endpoint did not get, and a test event.

The id of the event and its body stay the same, so that receivers recognise what they have processed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.core import audit, clock
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import changed, db, insert, transactional
from shop.core.errors import BadInput, Refusal
from shop.outgoing_webhooks import endpoints, record
from shop.outgoing_webhooks.kinds import TEST, DeliveryState
from shop.outgoing_webhooks.models import OutgoingEvent, WebhookDelivery, WebhookEndpoint
from shop.outgoing_webhooks.retained import KEPT

AT_ONCE = 10_000
"""Deliveries that one act queues."""
TESTS_WAITING = 3
"""Test events of one endpoint that are queued at a time."""


@transactional
def resend(endpoint_id: str, delivery_id: int, *, by: Actor) -> None:
    """Make a delivered or failed delivery due at once. Raises Forbidden, and Refusal `unknown_endpoint`,
    `unknown_delivery`, `endpoint_disabled` and `delivery_queued`.
    """
    _enabled(endpoint_id, by)
    state = db.session.scalar(select(WebhookDelivery.state).where(*_one(endpoint_id, delivery_id)))
    if state is None:
        raise Refusal("unknown_delivery", "There is no such delivery.")
    if not _queue_again(*_one(endpoint_id, delivery_id), WebhookDelivery.state != DeliveryState.QUEUED):
        raise Refusal("delivery_queued", "The delivery is queued: it will be sent anyway.")
    _record(by, Act.DELIVERIES_RESENT, endpoint_id, {"delivery": delivery_id})


@transactional
def resend_failed(endpoint_id: str, since: datetime, *, by: Actor) -> int:
    """Make the failed deliveries of events since a time due at once, the oldest AT_ONCE; returns their number. Raises
    Forbidden, and Refusal `unknown_endpoint` and `endpoint_disabled`.
    """
    _enabled(endpoint_id, by)
    failed = (
        select(WebhookDelivery.id)
        .join(OutgoingEvent, OutgoingEvent.id == WebhookDelivery.event_id)
        .where(WebhookDelivery.endpoint_id == endpoint_id, WebhookDelivery.state == DeliveryState.FAILED)
        .where(OutgoingEvent.occurred_at >= since)
        .order_by(WebhookDelivery.id)
        .limit(AT_ONCE)
    )
    count = _queue_again(WebhookDelivery.id.in_(failed), WebhookDelivery.state == DeliveryState.FAILED)
    if count:
        _record(by, Act.DELIVERIES_RESENT, endpoint_id, {"since": since, "deliveries": count})
    return count


@transactional
def backfill(endpoint_id: str, since: datetime, *, by: Actor) -> int:
    """Queue the events of the endpoint's types since a time that it has no delivery of, the oldest AT_ONCE; returns
    their number. Raises Forbidden, BadInput `too_long_ago`, and Refusal `unknown_endpoint` and `endpoint_disabled`.
    """
    endpoint, at = _enabled(endpoint_id, by), clock.now()
    if since < at - KEPT - timedelta(days=1):  # a whole day may be named
        raise BadInput("too_long_ago", f"Events are kept for {KEPT.days} days. Enter a later time.", field="since")
    has_delivery = select(WebhookDelivery.id).where(
        WebhookDelivery.endpoint_id == endpoint_id, WebhookDelivery.event_id == OutgoingEvent.id
    )
    missing = (
        select(OutgoingEvent.id)
        .where(OutgoingEvent.occurred_at >= since, OutgoingEvent.type.in_(endpoint.event_types))
        .where(~has_delivery.exists())
        .order_by(OutgoingEvent.occurred_at, OutgoingEvent.id)
        .limit(AT_ONCE)
    )
    count = _insert(endpoint_id, missing, at)
    if count:
        _record(by, Act.EVENTS_BACKFILLED, endpoint_id, {"since": since, "deliveries": count})
    return count


@transactional
def test(endpoint_id: str, *, by: Actor) -> int:
    """Queue a test event for an endpoint; returns the number of its delivery. Raises Forbidden, and Refusal
    `unknown_endpoint`, `endpoint_disabled` and `tests_wait`.
    """
    _enabled(endpoint_id, by)
    waiting = (
        select(func.count())
        .select_from(WebhookDelivery)
        .join(OutgoingEvent, OutgoingEvent.id == WebhookDelivery.event_id)
        .where(WebhookDelivery.endpoint_id == endpoint_id, WebhookDelivery.state == DeliveryState.QUEUED)
        .where(OutgoingEvent.type == TEST)
    )
    if (db.session.scalar(waiting) or 0) >= TESTS_WAITING:
        raise Refusal("tests_wait", f"{TESTS_WAITING} test events are queued for this endpoint already.")
    delivery = record.test_event(endpoint_id, {"endpoint": endpoint_id})
    _record(by, Act.ENDPOINT_TESTED, endpoint_id, {"delivery": delivery})
    return delivery


def _enabled(endpoint_id: str, by: Actor) -> WebhookEndpoint:
    """The endpoint, locked: one that is disabled meanwhile gets no queued delivery."""
    rights.demand(by, Permission.WEBHOOK_ENDPOINT_WRITE)
    endpoint = endpoints.locked(endpoint_id)
    if endpoint.disabled_at is not None:
        raise Refusal("endpoint_disabled", "The endpoint is disabled. Enable it first.")
    return endpoint


def _one(endpoint_id: str, delivery_id: int) -> tuple[Any, Any]:
    return WebhookDelivery.id == delivery_id, WebhookDelivery.endpoint_id == endpoint_id


def _queue_again(*which: Any) -> int:
    """Queue deliveries that `which` selects, with a new round of attempts."""
    again = {"state": DeliveryState.QUEUED, "tries": 0, "tried_from": None, "delivered_at": None, "error": None}
    due_now = update(WebhookDelivery).where(*which).values(**again, next_attempt_at=clock.now())
    return changed(due_now.execution_options(synchronize_session=False))


def _insert(endpoint_id: str, events: Any, at: datetime) -> int:
    numbers = list(db.session.scalars(events))
    if numbers:
        fixed = {"endpoint_id": endpoint_id, "state": DeliveryState.QUEUED, "created_at": at, "next_attempt_at": at}
        new = insert(WebhookDelivery, plain=True).on_conflict_do_nothing(index_elements=["endpoint_id", "event_id"])
        db.session.execute(new, [fixed | {"event_id": number, "tries": 0} for number in numbers])
    return len(numbers)


def _record(by: Actor, act: Act, endpoint_id: str, after: dict[str, Any]) -> None:
    audit.record(by, act, Subject(SubjectKind.WEBHOOK_ENDPOINT, endpoint_id), after=after)
