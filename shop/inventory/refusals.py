"""Refusals of inventory. No database."""

from __future__ import annotations

from shop.core.errors import Refusal
from shop.core.sentences import sentence


class OutOfStock(Refusal):
    """Fewer units are available than requested. `details["short"]` lists SKUs and available units."""

    def __init__(self, short: list[dict[str, int | str]]) -> None:
        super().__init__("out_of_stock", sentence("Some of the items are no longer in stock."), short=short)
