"""States of a shipment. The values are stored and must not change."""

from __future__ import annotations

from enum import StrEnum


class ShipmentState(StrEnum):
    """State of a shipment: PACKED ones are SHIPPED or CANCELLED, and then final."""

    PACKED = "PACKED"
    SHIPPED = "SHIPPED"
    CANCELLED = "CANCELLED"
