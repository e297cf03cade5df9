"""The initial catalogue, read from `initial_catalogue.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path

from sqlalchemy import select

from shop.catalogue.models import Category, Product
from shop.core.db import db, insert

_FILE = Path(__file__).with_name("initial_catalogue.toml")


def insert_missing() -> dict[str, int]:
    """Insert missing categories and products, in the caller's transaction.

    Existing rows are not changed. Returns the initial stock by SKU of the products of the initial catalogue that exist.
    """
    catalogue = tomllib.loads(_FILE.read_text())
    kinds = ("slug", "name", "texts")
    categories = [{c: kind[c] for c in kinds} | {"position": i} for i, kind in enumerate(catalogue["category"])]
    columns = ("sku", "slug", "name", "category", "summary", "description", "image", "prices", "texts")
    products = [{c: p[c] for c in columns} | {"position": i} for i, p in enumerate(catalogue["product"])]
    for model, rows in ((Category, categories), (Product, products)):
        # for all indexes: a merchant's own product may have the SKU or the slug of an initial one
        db.session.execute(insert(model).on_conflict_do_nothing(), rows)
    units = {p["sku"]: p["stock"] for p in catalogue["product"]}
    existing = set(db.session.scalars(select(Product.sku).where(Product.sku.in_(units))))
    return {sku: number for sku, number in units.items() if sku in existing}
