"""Products: parameters and answers."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from shop.api.schemas.fields import Strict
from shop.api.schemas.pages import PageQuery, page_schema
from shop.catalogue.browse import ProductView


class ProductQuery(PageQuery):
    """Filters of products. Their list has no cursor."""

    q = fields.String(
        validate=validate.Length(max=100),
        metadata={"description": "Words of the name, the description or the category, in any language of the shop."},
    )
    category = fields.String(validate=validate.Length(max=64), metadata={"description": "Slug of a category."})


class ProductSchema(Strict):
    """A product. `prices` maps a currency to minor units; `available` are the units that can be ordered."""

    sku = fields.String(required=True)
    slug = fields.String(required=True)
    name = fields.String(required=True)
    summary = fields.String(required=True)
    description = fields.String(required=True)
    category = fields.String(required=True)
    prices = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    available = fields.Integer(required=True)


ProductPageSchema = page_schema(ProductSchema)
EXAMPLE: dict[str, Any] = {
    "sku": "KETTLE-01",
    "slug": "kettle",
    "name": "Kettle",
    "summary": "A steel kettle",
    "description": "Holds a litre and whistles politely.",
    "category": "kitchen",
    "prices": {"TWD": 118000, "JPY": 5600, "USD": 3800},
    "available": 12,
}


def product(view: ProductView, available: int) -> dict[str, Any]:
    """The body of a product."""
    names = ("sku", "slug", "name", "summary", "description", "category")
    values = {name: getattr(view, name) for name in names}
    return values | {"prices": dict(view.prices), "available": max(0, available)}
