"""States of the use of a discount code."""

from __future__ import annotations

from enum import StrEnum


class UseState(StrEnum):
    """State of an order's use of a discount code. The values are stored and must not change."""

    HELD = "HELD"
    RELEASED = "RELEASED"
    """The order ended unpaid: the use and its budget can be given to another order."""
