"""Kinds of the lines of an order."""

from __future__ import annotations

from enum import StrEnum


class LineKind(StrEnum):
    """Kind of a line of an order. The values are stored and must not change."""

    ITEM = "item"
    DELIVERY = "delivery"
    DISCOUNT = "discount"
    TAX = "tax"
