"""Products: parameters and answers."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from shop.api.schemas.fields import Line, OneOf, Strict, WholeNumber
from shop.api.schemas.pages import PageQuery, page_schema
from shop.catalogue import product_fields
from shop.catalogue.browse import ProductView
from shop.catalogue.product_fields import LARGEST_POSITION, LARGEST_PRICE, LONGEST, LONGEST_SLUG
from shop.core.languages import ENGLISH, OFFERED, tag
from shop.core.money import CURRENCIES
from shop.core.tax_classes import TaxClass
from shop.product_search.find import Sort

_TAX_CLASS = "The rate of each country that it is taxed with."


class ProductQuery(PageQuery):
    """Filters of products. Their list has no cursor."""

    q = fields.String(
        validate=validate.Length(max=100),
        metadata={"description": "Words of the name, the description or the category, in any language of the shop."},
    )
    category = fields.String(validate=validate.Length(max=64), metadata={"description": "Slug of a category."})
    sort = OneOf(
        *Sort,
        load_default=str(Sort.RELEVANCE),
        metadata={"description": "`name` sorts by the names in the language of the answer."},
    )
    currency = OneOf(
        *CURRENCIES,
        load_default=CURRENCIES[0],
        metadata={"description": "Sorted by price, the list has the products that have one in this currency."},
    )


class ProductSchema(Strict):
    """A product. `prices` maps a currency to minor units; `available` are the units that can be ordered."""

    sku = fields.String(required=True)
    slug = fields.String(required=True)
    name = fields.String(required=True)
    summary = fields.String(required=True)
    description = fields.String(required=True)
    category = fields.String(required=True)
    tax_class = OneOf(*TaxClass, required=True, metadata={"description": _TAX_CLASS})
    prices = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    available = fields.Integer(required=True)


def _object(name: str, doc: str, values: dict[str, fields.Field[Any]]) -> type[Strict]:
    made = type(name, (Strict,), dict(values))
    made.__doc__ = doc
    return made


def _price() -> WholeNumber:
    return WholeNumber(
        allow_none=True, validate=validate.Range(1, LARGEST_PRICE - 1), metadata={"description": "Minor units."}
    )


ProductTextsSchema = _object(
    "ProductTextsSchema",
    "Texts of a product in one language; an empty one is shown in English.",
    {name: Line(longest) for name, longest in LONGEST.items()},
)
TranslationsSchema = _object(
    "TranslationsSchema",
    "Texts of a product by language.",
    {tag(locale): fields.Nested(ProductTextsSchema) for locale in OFFERED if locale != ENGLISH},
)
NewPricesSchema = _object(
    "NewPricesSchema",
    "Prices by currency, in minor units. Null ends the sale in a currency; what is left out stays.",
    {currency: _price() for currency in CURRENCIES},
)


class ChangeProductSchema(Strict):
    """Values of a product to change; what is left out stays. `name`, `summary` and `description` are English."""

    name = Line(LONGEST["name"])
    summary = Line(LONGEST["summary"])
    description = Line(LONGEST["description"])
    slug = Line(LONGEST_SLUG, metadata={"description": "Part of the product's address; the former one leads there."})
    category = Line(LONGEST_SLUG, metadata={"description": "Slug of a category."})
    position = WholeNumber(
        validate=validate.Range(0, LARGEST_POSITION), metadata={"description": "Place in its category."}
    )
    tax_class = OneOf(*TaxClass, metadata={"description": _TAX_CLASS})
    prices = fields.Nested(NewPricesSchema)
    translations = fields.Nested(TranslationsSchema)


CHANGE: dict[str, Any] = {"summary": "A steel kettle that whistles", "prices": {"TWD": 125000}}
ProductPageSchema = page_schema(ProductSchema)
EXAMPLE: dict[str, Any] = {
    "sku": "KETTLE-01",
    "slug": "kettle",
    "name": "Kettle",
    "summary": "A steel kettle",
    "description": "Holds a litre and whistles politely.",
    "category": "kitchen",
    "tax_class": "standard",
    "prices": {"TWD": 118000, "JPY": 5600, "USD": 3800},
    "available": 12,
}


def product(view: ProductView, available: int) -> dict[str, Any]:
    """The body of a product."""
    names = ("sku", "slug", "name", "summary", "description", "category", "tax_class")
    values = {name: getattr(view, name) for name in names}
    return values | {"prices": dict(view.prices), "available": max(0, available)}


def typed(change: dict[str, Any]) -> dict[str, str]:
    """The values of a change as people type them, by the names of `product_fields`."""
    found = {name: str(value) for name, value in change.items() if name not in ("prices", "translations")}
    for currency, amount in change.get("prices", {}).items():
        found[f"price.{currency}"] = product_fields.price_text(amount, currency)
    for language, texts in change.get("translations", {}).items():
        found |= {f"{name}.{language}": text for name, text in texts.items()}
    return found


def pointer(name: str) -> str:
    """The pointer into a change for a name of `product_fields`."""
    first, _, rest = name.partition(".")
    if first == "price":
        return f"/prices/{rest}"
    return f"/translations/{rest}/{first}" if rest else f"/{first}"
