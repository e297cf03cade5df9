"""Refusals of the catalogue. No database."""

from __future__ import annotations

from shop.core.errors import Refusal


class NotSoldIn(Refusal):
    """The product `sku` has no price in `currency`."""

    def __init__(self, sku: str, name: str, currency: str) -> None:
        super().__init__("not_sold_in_currency", f"{name} is not sold in {currency}.", sku=sku, currency=currency)
        self.sku, self.name, self.currency = sku, name, currency
