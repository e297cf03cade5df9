"""Effects of events by event kind. All are idempotent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shop.alerts import notifications, watcher
from shop.core.event_types import EventKind
from shop.documents import decide, issue
from shop.mail import outgoing
from shop.outgoing_webhooks import record

EFFECTS: dict[str, tuple[Callable[[dict[str, Any]], None], ...]] = {
    EventKind.PAYMENT_CAPTURED: (watcher.after_capture,),
    EventKind.REFUND_PENDING: (watcher.after_pending_refund,),
    EventKind.REFUND_DONE: (watcher.after_refund,),
    EventKind.REFUND_REJECTED: (watcher.after_refund,),
    EventKind.REFUND_NOT_BOOKED: (watcher.after_refund,),
    EventKind.ORDER_MOVED: (watcher.after_move,),
    EventKind.ALERT_RAISED: (notifications.after_raised,),
    EventKind.ALERT_WAITS: (notifications.after_waiting,),
}
ALONE: dict[str, Callable[[dict[str, Any]], None]] = dict.fromkeys(decide.KINDS, issue.after_event)
"""Effects in transactions of their own: one that issues documents locks the numbers of the year."""


def follow(kind: str, payload: dict[str, Any]) -> None:
    """Run the effects of one event that share a transaction with those of others.

    Every event is offered to mail and to outgoing webhooks, which decide by pure functions.
    """
    for effect in EFFECTS.get(kind, ()):
        effect(payload)
    outgoing.after_event(kind, payload)
    record.after_event(kind, payload)


def follow_alone(kind: str, payload: dict[str, Any]) -> None:
    """Run the effect of one event that needs a transaction of its own."""
    if kind in ALONE:
        ALONE[kind](payload)
