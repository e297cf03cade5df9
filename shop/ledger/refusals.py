"""Refusals of store credit. No database."""

from __future__ import annotations

from shop.core.errors import Refusal
from shop.core.money import Money
from shop.core.sentences import sentence


class NotEnoughCredit(Refusal):
    """Less store credit is available than was to be used. `details["available"]` is the available amount in minor
    units.
    """

    def __init__(self, available: Money) -> None:
        message = sentence("Only %(available)s of your store credit can be used.", available=available)
        super().__init__("not_enough_credit", message, available=available.amount)
