"""The range that the shop starts with, read from `goods.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path

from shop.catalogue.models import Category, Product
from shop.core.db import db, insert

_FILE = Path(__file__).with_name("goods.toml")


def put_on_sale() -> dict[str, int]:
    """Write categories and products, replacing what they said before; returns how many units of each SKU come with
    them.

    Part of the caller's unit; repeating it changes nothing.
    """
    goods = tomllib.loads(_FILE.read_text())
    categories = [{"slug": c["slug"], "name": c["name"], "position": i} for i, c in enumerate(goods["category"])]
    columns = ("sku", "slug", "name", "category", "summary", "description", "image", "prices")
    products = [{c: p[c] for c in columns} | {"position": i} for i, p in enumerate(goods["product"])]
    for model, key, rows in ((Category, "slug", categories), (Product, "sku", products)):
        statement = insert(model)
        changed = {c: statement.excluded[c] for c in rows[0] if c != key}
        db.session.execute(statement.on_conflict_do_update(index_elements=[key], set_=changed), rows)
    return {p["sku"]: p["stock"] for p in goods["product"]}
