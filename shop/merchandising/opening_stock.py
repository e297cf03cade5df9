"""Opening stock: the units that a product has when it comes to the shop, from a file or the form that adds it.

They are a receipt like any other. Once units of a product have moved, the number no longer counts: a file that is
imported again doubles nothing, and an old one never overwrites the stock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from shop.catalogue import product_fields, products
from shop.catalogue.product_fields import Fields, InvalidFields
from shop.core import text
from shop.core.actor import Actor
from shop.core.db import transactional
from shop.inventory import stock

COLUMN = "opening_units"
"""Name of the column and of the field."""


def read(typed: Mapping[str, str]) -> tuple[Fields, int]:
    """The fields of a product and its opening stock; 0 if it is missing or empty.

    Raises InvalidFields with all that is wrong.
    """
    errors: dict[str, str] = {}
    try:
        fields = product_fields.read(typed)
    except InvalidFields as refusal:
        errors |= refusal.errors
    units = text.plain(typed.get(COLUMN, "")).replace(",", "") or "0"
    if not re.fullmatch("[0-9]{1,9}", units) or int(units) > stock.MOST_ON_HAND:
        errors[COLUMN] = f"Enter a whole number from 0 to {stock.MOST_ON_HAND:,}."
    if errors:
        raise InvalidFields(errors)
    return fields, int(units)


def decide(units: int, *, has_moved: bool) -> int:
    """Units to receive. Pure."""
    return 0 if has_moved else units


@transactional
def create(sku: str, fields: Fields, units: int, *, by: Actor, is_archived: bool = False) -> str:
    """Create a product with its opening stock and return its SKU.

    Raises Forbidden, and InvalidFields as `products.create` does.
    """
    sku = products.create(sku, fields, by=by, is_archived=is_archived)
    receive(sku, units, by=by, reason="Opening stock")
    return sku


def receive(sku: str, units: int, *, by: Actor, reason: str) -> int:
    """As `receive_all`, for one product."""
    return receive_all({sku: units} if units else {}, by=by, reason=reason).get(sku, 0)


def receive_all(units: Mapping[str, int], *, by: Actor, reason: str) -> dict[str, int]:
    """Receive the opening stock of products in the caller's transaction, and return the units received by SKU.

    Raises Forbidden.
    """
    moved = stock.moved(units)
    found = {sku: number for sku in units if (number := decide(units[sku], has_moved=sku in moved))}
    stock.restock_all(found, by=by, reason=reason)
    return found
