"""Refusals of the catalogue. No database."""

from __future__ import annotations

from shop.core.errors import Refusal
from shop.core.sentences import sentence


class NotSoldIn(Refusal):
    """The product `sku` has no price in `currency`."""

    def __init__(self, sku: str, name: str, currency: str) -> None:
        message = sentence("%(name)s is not sold in %(currency)s.", name=name, currency=currency)
        super().__init__("not_sold_in_currency", message, sku=sku, currency=currency)
        self.sku, self.name, self.currency = sku, name, currency
