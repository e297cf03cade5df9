"""Effects of events by event kind. All are idempotent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shop.alerts import watcher

EFFECTS: dict[str, tuple[Callable[[dict[str, Any]], None], ...]] = {
    "payment.captured": (watcher.after_capture,),
    "refund.pending": (watcher.after_pending_refund,),
    "refund.done": (watcher.after_refund,),
    "refund.rejected": (watcher.after_refund,),
    "refund.not_booked": (watcher.after_refund,),
    "order.moved": (watcher.after_move,),
}


def follow(kind: str, payload: dict[str, Any]) -> None:
    """Run all effects of one event."""
    for effect in EFFECTS.get(kind, ()):
        effect(payload)
