"""States of store credit that is held for an order. The values are stored and must not change."""

from __future__ import annotations

from enum import StrEnum


class HoldState(StrEnum):
    """State of held store credit."""

    HELD = "HELD"
    USED = "USED"
    RELEASED = "RELEASED"
