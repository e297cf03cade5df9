"""List of products with their stock, for staff: filters, keyset pages by SKU, and the number of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Select, and_, func, or_, select

from shop.catalogue.models import Category, Product
from shop.core import filter_values, key_pages, text
from shop.core.db import db, table
from shop.core.key_pages import FIRST, Page, Place
from shop.core.keyset import ON_A_PAGE
from shop.core.money import CURRENCIES, Money
from shop.inventory.models import Stock

COUNTED = 10_000
"""Rows are counted up to this number."""
LONGEST_SEARCH = 80
_PRODUCTS, _STOCK, _CATEGORIES = table(Product), table(Stock), table(Category)
_ON_HAND, _RESERVED = (func.coalesce(_STOCK.c[name], 0) for name in ("on_hand", "reserved"))
IS_LOW = and_(_PRODUCTS.c.archived_at.is_(None), func.coalesce(_STOCK.c.low_at, 0) >= _ON_HAND - _RESERVED)
_COLUMNS = (
    *(_PRODUCTS.c[name] for name in ("sku", "slug", "name", "prices", "image", "images", "archived_at")),
    *(_CATEGORIES.c.name.label("category"), _ON_HAND.label("on_hand"), _RESERVED.label("reserved"), _STOCK.c.low_at),
)
FILTERS = ("q", "category", "state", "low")


class ProductState(StrEnum):
    """State of a product, as a filter."""

    ACTIVE = "active"
    ARCHIVED = "archived"


@dataclass(frozen=True)
class Filters:
    """Conditions that all have to hold; an empty one does not count. `q` is the beginning of an SKU, or words of the
    English names of the product and its category.
    """

    q: str = ""
    category: str = ""
    state: ProductState | None = None
    is_low: bool = False


@dataclass(frozen=True)
class Row:
    """A product with its stock. Without a row of stock it has no units."""

    sku: str
    slug: str
    name: str
    prices: Mapping[str, int]
    image: str
    images: Sequence[Mapping[str, Any]]
    archived_at: datetime | None
    category: str
    on_hand: int
    reserved: int
    low_at: int | None

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved

    @property
    def is_low(self) -> bool:
        """True when few units of a product that is sold are left; without a limit of its own, when none is."""
        return self.archived_at is None and self.available <= (self.low_at or 0)

    @property
    def unit_prices(self) -> list[Money]:
        return [Money(self.prices[currency], currency) for currency in CURRENCIES if currency in self.prices]


def parse(parameters: Mapping[str, Sequence[str]]) -> Filters:
    """The filters of an address. Raises BadInput with the known ones."""
    given = filter_values.given(parameters, FILTERS)
    one = {name: filter_values.single(name, given[name]) or "" for name in FILTERS}
    filter_values.known("low", given["low"], ("yes",))
    states = filter_values.members("state", given["state"], ProductState)
    q, category = text.tidy(one["q"])[:LONGEST_SEARCH], one["category"][:LONGEST_SEARCH]
    return Filters(q, category, states[0] if states else None, is_low=bool(one["low"]))


def pairs(filters: Filters) -> list[tuple[str, str]]:
    """Parameters of an address."""
    values = {"q": filters.q, "category": filters.category, "state": filters.state, "low": "yes" * filters.is_low}
    return [(name, str(value)) for name, value in values.items() if value]


def find(filters: Filters, place: Place = FIRST, limit: int = ON_A_PAGE) -> Page[Row]:
    """A page of the products that match. One statement."""
    query = key_pages.at(_matching(filters, *_COLUMNS), _PRODUCTS.c.sku, place, limit)
    found = [Row(**row._mapping) for row in db.session.execute(query)]
    return key_pages.page(found, place, limit, lambda row: row.sku)


def count(filters: Filters) -> int:
    """The number of products that match, up to COUNTED + 1. One statement."""
    matching = _matching(filters, _PRODUCTS.c.sku).limit(COUNTED + 1).subquery()
    return db.session.scalar(select(func.count()).select_from(matching)) or 0


def _matching(filters: Filters, *columns: Any) -> Select[Any]:
    query = select(*columns).join_from(_PRODUCTS, _CATEGORIES, _CATEGORIES.c.slug == _PRODUCTS.c.category)
    query = query.outerjoin(_STOCK, _STOCK.c.sku == _PRODUCTS.c.sku)
    if filters.category:
        query = query.where(_PRODUCTS.c.category == filters.category)
    if filters.state:
        is_active = _PRODUCTS.c.archived_at.is_(None)
        query = query.where(is_active if filters.state is ProductState.ACTIVE else ~is_active)
    if filters.is_low:
        query = query.where(IS_LOW)
    if filters.q:
        names = _PRODUCTS.c.name + " " + _CATEGORIES.c.name
        words = (names.icontains(word, autoescape=True) for word in filters.q.split()[:8])
        sku = _PRODUCTS.c.sku.startswith(text.plain(filters.q).upper(), autoescape=True)
        query = query.where(or_(sku, and_(*words)))
    return query
