"""Refusals of store credit. No database."""

from __future__ import annotations

from shop.core.errors import Refusal
from shop.core.money import Money


class NotEnoughCredit(Refusal):
    """Less store credit is available than was to be used. `details["available"]` is the available amount in minor
    units.
    """

    def __init__(self, available: Money) -> None:
        message = f"Only {available.format()} of your store credit can be used."
        super().__init__("not_enough_credit", message, available=available.amount)
