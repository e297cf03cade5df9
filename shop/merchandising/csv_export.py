"""Export of all products as a CSV file, which `imports` reads again."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select

from shop.catalogue import product_fields
from shop.catalogue.models import Product
from shop.core import csv_cells
from shop.core.db import db
from shop.merchandising import csv_file, opening_stock

_AT_ONCE = 500


def export() -> Iterator[bytes]:
    """The file in parts, by SKU, archived products included."""
    columns, after = csv_file.columns(), ""
    yield csv_cells.BYTE_ORDER_MARK + csv_cells.lines([columns])
    while True:
        query = select(Product).where(Product.sku > after).order_by(Product.sku).limit(_AT_ONCE)
        found = [values(product) for product in db.session.scalars(query)]
        db.session.rollback()
        if not found:
            return
        yield csv_cells.lines([row[name] for name in columns] for row in found)
        after = found[-1]["sku"]


def values(product: Product) -> dict[str, str]:
    """The cells of a product by column. The opening stock is empty: it has been received."""
    state = "archived" if product.archived_at else "active"
    return {"sku": product.sku, "state": state, **product_fields.as_typed(product), opening_stock.COLUMN: ""}
