"""Decisions about outgoing webhooks: which events are public, when a delivery is tried again, and when an endpoint is
disabled. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shop.core.event_types import EventKind
from shop.orders.states import OrderState, Reason
from shop.outgoing_webhooks.kinds import DeliveryState, DisabledBecause, EventType

BY_KIND: Mapping[str, EventType] = {
    EventKind.ORDER_PLACED: EventType.ORDER_CREATED,
    EventKind.SHIPMENT_SHIPPED: EventType.ORDER_SHIPPED,
    EventKind.PAYMENT_CAPTURED: EventType.PAYMENT_CAPTURED,
    EventKind.PAYMENT_FAILED: EventType.PAYMENT_FAILED,
    EventKind.REFUND_DONE: EventType.REFUND_SUCCEEDED,
    EventKind.REFUND_REJECTED: EventType.REFUND_FAILED,
    EventKind.DISPUTE_OPEN: EventType.DISPUTE_OPENED,
    EventKind.DISPUTE_WON: EventType.DISPUTE_CLOSED,
    EventKind.DISPUTE_LOST: EventType.DISPUTE_CLOSED,
}
BY_TARGET: Mapping[str, EventType] = {
    OrderState.PAID: EventType.ORDER_PAID,
    OrderState.EXPIRED: EventType.ORDER_EXPIRED,
    OrderState.CANCELLED: EventType.ORDER_CANCELLED,
}
"""Types of state transitions of orders, by the new state; see `public_type` for the exception."""
_SECONDS = (5, 30, 120, 600, 3600, 10800)
_LAST = 36000
KEEP_TRYING = timedelta(days=3, minutes=1)
"""Time from the first attempt to the last one. A minute more than FAILING_FOR, so that the last attempt of an endpoint
that never answers disables it.
"""
FAILING_FOR = timedelta(days=3)
"""Time without a success after which a failure disables the endpoint."""
JITTER = 0.2
"""The greatest part of a pause by which it is prolonged, so that deliveries do not arrive in waves."""
LONGEST_WAIT = timedelta(hours=1)
"""The longest pause that a receiver may ask for with Retry-After."""
LONGEST_PAUSE = timedelta(seconds=60)


def public_type(kind: str, event: Mapping[str, Any]) -> EventType | None:
    """The public type of an event of the outbox; None for one that is internal.

    An order that is PAID again because a refund has failed later is not paid a second time.
    """
    if kind == EventKind.ORDER_MOVED:
        is_again = event["because"] == Reason.REFUND_FAILED_LATER
        return None if is_again else BY_TARGET.get(event["target"])
    return BY_KIND.get(kind)


@dataclass(frozen=True)
class Result:
    """Result of an attempt: `status` is that of the answer, None without one; `error` is the failure in words, None
    after a success. `wait` is the pause that the receiver asked for, `ms` the duration.
    """

    ms: int
    status: int | None = None
    answer: str = ""
    error: str | None = None
    wait: timedelta = timedelta(0)


@dataclass(frozen=True)
class Progress:
    """A delivery after its attempt number `tries`, the first of which was at `tried_from`, to an endpoint that has
    failed since `failing_since` (None: this is the first failure).
    """

    tries: int
    tried_from: datetime
    failing_since: datetime | None = None


@dataclass(frozen=True)
class Change:
    """Changes by an attempt: the state of the delivery, the next attempt of a QUEUED one, and the reason to disable
    the endpoint.
    """

    state: DeliveryState
    next_attempt_at: datetime | None = None
    disable: DisabledBecause | None = None


def after(result: Result, progress: Progress, now: datetime, jitter: float) -> Change:
    """Decide what an attempt changes. `jitter` is a random number from 0 to 1."""
    if result.error is None:
        return Change(DeliveryState.DELIVERED)
    if result.status == 410:
        return Change(DeliveryState.FAILED, disable=DisabledBecause.GONE)
    if now - (progress.failing_since or now) >= FAILING_FOR:
        return Change(DeliveryState.FAILED, disable=DisabledBecause.FAILING)
    last = progress.tried_from + KEEP_TRYING
    if now >= last:
        return Change(DeliveryState.FAILED)
    wait = max(pause(progress.tries), min(result.wait, LONGEST_WAIT)) * (1 + JITTER * jitter)
    return Change(DeliveryState.QUEUED, min(now + wait, last))


def pause(tries: int) -> timedelta:
    """Shortest pause after the failed attempt number `tries`."""
    return timedelta(seconds=_SECONDS[tries - 1] if tries <= len(_SECONDS) else _LAST)


def rest(unanswered: int) -> timedelta:
    """Pause of an endpoint after this many attempts without an answer: other deliveries would fail too."""
    return min(timedelta(seconds=2 ** min(unanswered, 10)), LONGEST_PAUSE) if unanswered else timedelta(0)
