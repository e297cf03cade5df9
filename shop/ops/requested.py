"""The thing that an address of the console names, or 404 with a sentence."""

from __future__ import annotations

from flask import abort

from shop.orders import find
from shop.orders.models import Order


def order(number: str) -> Order:
    """The order with this number in any spelling. Aborts with 404."""
    found = find.by_number(number)
    if found is None:
        abort(404, f"There is no order {number[:40]}. Search for it by another id, or by the e-mail address.")
    return found
