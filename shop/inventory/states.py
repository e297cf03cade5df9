"""States of reserved stock. The values are stored and must not change."""

from __future__ import annotations

from enum import StrEnum


class ReservationState(StrEnum):
    """State of reserved stock."""

    HELD = "HELD"
    SOLD = "SOLD"
    RELEASED = "RELEASED"
