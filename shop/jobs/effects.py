"""What follows from an event: a table from its kind to its consequences, each keyed so that doing it twice does
nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shop.alerts import watch

EFFECTS: dict[str, tuple[Callable[[dict[str, Any]], None], ...]] = {
    "payment.captured": (watch.after_capture,),
    "refund.done": (watch.after_refund,),
    "refund.rejected": (watch.after_refund,),
    "order.moved": (watch.after_move,),
}


def follow(kind: str, payload: dict[str, Any]) -> None:
    """Do everything that follows from one event."""
    for effect in EFFECTS.get(kind, ()):
        effect(payload)
