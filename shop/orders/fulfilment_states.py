"""States of the fulfilment of an order, which its row keeps beside the state of its money."""

from __future__ import annotations

from enum import StrEnum


class FulfilmentState(StrEnum):
    """State of the fulfilment of an order. Before the order is paid it is TO_PACK. The values are stored and must not
    change.
    """

    TO_PACK = "TO_PACK"
    PARTLY_PACKED = "PARTLY_PACKED"
    """Some units are in packages, none of which was shipped."""
    PACKED = "PACKED"
    """All units that are to be shipped are in packages, none of which was shipped."""
    PARTLY_SHIPPED = "PARTLY_SHIPPED"
    SHIPPED = "SHIPPED"
    NOTHING_TO_SHIP = "NOTHING_TO_SHIP"
    """Staff have taken all units out of the fulfilment."""


DONE = frozenset({FulfilmentState.SHIPPED, FulfilmentState.NOTHING_TO_SHIP})
"""Nothing is left to pack or to ship."""
