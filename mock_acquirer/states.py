"""State machine of a payment, as a table. A capture may follow an ended session only with a fault."""

from __future__ import annotations

OPEN = ("requires_payment", "requires_action")
ENDED = ("captured", "voided", "failed", "expired")

TRANSITIONS: dict[str, tuple[str, ...]] = {
    "requires_payment": ("requires_action", "authorized", "captured", "voided", "failed", "expired"),
    "requires_action": ("requires_payment", "authorized", "captured", "voided", "failed", "expired"),
    "authorized": ("captured", "voided", "expired"),
    "voided": ("captured",),
    "expired": ("captured",),
    "captured": ("captured",),
    "failed": (),
}


def sources_of(state: str) -> tuple[str, ...]:
    """The states from which a payment may become `state`."""
    return tuple(source for source, targets in TRANSITIONS.items() if state in targets)


REFUND_TRANSITIONS: dict[str, tuple[str, ...]] = {
    "pending": ("succeeded", "failed"),
    "succeeded": ("failed",),
    "failed": (),
}
