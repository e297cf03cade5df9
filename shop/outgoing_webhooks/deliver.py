"""Deliver due events to one endpoint: claim its lane, then claim, send and record one delivery after the other.

The lane is claimed by a conditional UPDATE, so that one process at a time delivers to an endpoint, and so is each
delivery, for LEASE. Sending happens outside of any transaction. If a process ends between the answer and the record,
the event is sent again with the same id: delivery is at least once. A slow or dead endpoint delays no other one.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
from sqlalchemy import ScalarSelect, insert, or_, select, update

from shop.core import clock, logs, metrics, outside
from shop.core.db import changed, db, table, transactional
from shop.outgoing_webhooks import decide, endpoints, send
from shop.outgoing_webhooks.decide import Change, Progress, Result
from shop.outgoing_webhooks.kinds import DeliveryState
from shop.outgoing_webhooks.models import DeliveryAttempt, OutgoingEvent, WebhookDelivery, WebhookEndpoint
from shop.outgoing_webhooks.record import IS_ENABLED

log = logs.get()
LANE_SECONDS = 15.0
"""Seconds after which a run begins no further attempt. The next run goes on."""
LEASE = timedelta(seconds=60)
"""Longer than LANE_SECONDS, one attempt (`send.BOUNDS`) and its record."""


@dataclass(frozen=True)
class Claimed:
    """A delivery that this process attempts, for the time `tries`."""

    delivery: int
    endpoint: str
    tries: int
    tried_from: datetime
    message: send.Message


def due(limit: int = 100) -> list[str]:
    """Endpoints with due deliveries and a free lane, as `endpoint/delivery` with the first due delivery: the next one
    makes another item for the clock process, which it hands on at once.
    """
    at = clock.now()
    is_free = or_(WebhookEndpoint.lane_until.is_(None), WebhookEndpoint.lane_until <= at)
    rows = db.session.execute(select(WebhookEndpoint.id, _first(at).label("first")).where(is_free).limit(limit)).all()
    db.session.rollback()
    return [f"{row.id}/{row.first}" for row in rows if row.first is not None]


def _first(at: datetime) -> ScalarSelect[int]:
    mine = select(WebhookDelivery.id).where(WebhookDelivery.endpoint_id == WebhookEndpoint.id)
    is_due = mine.where(WebhookDelivery.next_attempt_at <= at)
    first = is_due.order_by(WebhookDelivery.next_attempt_at, WebhookDelivery.id).limit(1)
    return first.correlate(WebhookEndpoint).scalar_subquery()


def run(endpoint_id: str, is_stopping: Callable[[], bool] = lambda: False) -> int:
    """Attempt the due deliveries of an endpoint for LANE_SECONDS; returns the number of attempts. Safe to repeat, and
    by several processes at once. A run ends after an attempt without an answer: the endpoint gets a pause.
    """
    lane = _claim_lane(endpoint_id)
    if lane is None:
        return 0
    number, rest, until = 0, timedelta(0), time.monotonic() + LANE_SECONDS
    try:
        with outside.client(send.BOUNDS) as client:
            while not rest and time.monotonic() < until and not is_stopping():
                claimed = _claim(endpoint_id)
                if claimed is None:
                    break
                rest = _attempt(claimed, client)
                number += 1
    finally:
        db.session.rollback()
        _leave_lane(endpoint_id, lane, rest)
    return number


@transactional
def _claim_lane(endpoint_id: str) -> datetime | None:
    """Take the lane for LEASE: the end of the lease; None if another process has it.

    The deliveries of an endpoint that was disabled or deleted while they were queued end here.
    """
    at = clock.now()
    is_free = or_(WebhookEndpoint.lane_until.is_(None), WebhookEndpoint.lane_until <= at)
    claim = update(WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id, is_free, IS_ENABLED)
    if changed(claim.values(lane_until=at + LEASE)):
        return at + LEASE
    present = select(WebhookEndpoint.id).where(WebhookEndpoint.id == endpoint_id, IS_ENABLED)
    if db.session.scalar(present) is None:
        endpoints.end_queued(endpoint_id)
    return None


@transactional
def _leave_lane(endpoint_id: str, lane: datetime, rest: timedelta) -> None:
    mine = update(WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id, WebhookEndpoint.lane_until == lane)
    db.session.execute(mine.values(lane_until=clock.now() + rest if rest else None))


@transactional
def _claim(endpoint_id: str) -> Claimed | None:
    """Claim the first due delivery of an enabled endpoint for LEASE and count the attempt; None if there is none."""
    at = clock.now()
    due_now = (WebhookDelivery.endpoint_id == endpoint_id, WebhookDelivery.next_attempt_at <= at)
    query = (
        select(WebhookDelivery, OutgoingEvent.event_id, OutgoingEvent.body, WebhookEndpoint)
        .join(OutgoingEvent, OutgoingEvent.id == WebhookDelivery.event_id)
        .join(WebhookEndpoint, WebhookEndpoint.id == WebhookDelivery.endpoint_id)
        .where(*due_now, IS_ENABLED)
        .order_by(WebhookDelivery.next_attempt_at, WebhookDelivery.id)
        .limit(1)
    )
    row = db.session.execute(query.execution_options(populate_existing=True)).one_or_none()
    if row is None:
        return None
    delivery, event_id, body, endpoint = row
    tried_from, tries = delivery.tried_from or at, delivery.tries + 1
    message = send.Message(endpoint.url, event_id, body, endpoints.signing_secrets(endpoint, at))
    claim = update(WebhookDelivery).where(WebhookDelivery.id == delivery.id, *due_now)
    values = {"next_attempt_at": at + LEASE, "tries": tries, "tried_from": tried_from}
    if not changed(claim.values(**values).execution_options(synchronize_session=False)):
        return None
    return Claimed(delivery.id, endpoint_id, tries, tried_from, message)


def _attempt(claimed: Claimed, client: httpx.Client) -> timedelta:
    """Send one delivery and record the result; returns the pause that its endpoint gets."""
    result = send.post(client, claimed.message)
    jitter = secrets.randbelow(1001) / 1000
    change, rest = _record(claimed, result, jitter)
    metrics.OUTGOING_WEBHOOKS.labels(change.state.lower() if result.error is None else "attempt_failed").inc()
    metrics.OUTGOING_WEBHOOK_SECONDS.labels("attempt").observe(result.ms / 1000)
    if result.error is not None:
        again = change.next_attempt_at and change.next_attempt_at.isoformat()
        which = {"delivery": claimed.delivery, "endpoint": claimed.endpoint, "tries": claimed.tries}
        log.warning("outgoing_webhook.failed", **which, error=result.error, next=again)
    if change.disable is not None:
        log.error("outgoing_webhook.endpoint_disabled", endpoint=claimed.endpoint, because=change.disable)
    return rest


@transactional
def _record(claimed: Claimed, result: Result, jitter: float) -> tuple[Change, timedelta]:
    """Record an attempt, and what it changes of the delivery and of the endpoint."""
    at = clock.now()
    columns = (WebhookEndpoint.failing_since, WebhookEndpoint.unanswered)
    this = WebhookEndpoint.id == claimed.endpoint
    endpoint = db.session.execute(select(*columns).where(this).with_for_update()).one()
    progress = Progress(claimed.tries, claimed.tried_from, endpoint.failing_since)
    change = decide.after(result, progress, at, jitter)
    has_answer = result.status is not None
    unanswered = 0 if has_answer else endpoint.unanswered + 1
    health = {"attempted_at": at, "unanswered": unanswered}
    if result.error is None:
        health |= {"succeeded_at": at, "failing_since": None}
    else:
        health |= {"failing_since": endpoint.failing_since or at}
    db.session.execute(insert(table(DeliveryAttempt)).inline(), _row(claimed, result, at))
    if _write(claimed, change, result, at):
        db.session.execute(update(WebhookEndpoint).where(this).values(**health))
        if change.disable is not None:
            endpoints.write_disabled(claimed.endpoint, change.disable)
    return change, decide.rest(unanswered)


def _row(claimed: Claimed, result: Result, at: datetime) -> dict[str, object]:
    answer = {"status": result.status, "answer": result.answer, "error": result.error}
    return {"delivery_id": claimed.delivery, "at": at, "ms": result.ms, **answer}


def _write(claimed: Claimed, change: Change, result: Result, at: datetime) -> int:
    """Change the delivery; 0 if that is outdated. A success counts whatever another process has begun meanwhile, and a
    failure needs its own claim.
    """
    mine = update(WebhookDelivery).where(WebhookDelivery.id == claimed.delivery)
    mine = mine.where(WebhookDelivery.state == DeliveryState.QUEUED)
    is_delivered = change.state is DeliveryState.DELIVERED
    if not is_delivered:
        mine = mine.where(WebhookDelivery.tries == claimed.tries)
    values = {"state": change.state, "next_attempt_at": change.next_attempt_at, "error": result.error}
    return changed(mine.values(**values, delivered_at=at if is_delivered else None))
