"""Queries for products and categories. Results are plain values.

Categories and products by address are cached in the process for FRESH seconds, because they change rarely and every
page reads them.
Charged prices never come from the cache: carts and orders read the database. Stock is not cached. Code that changes the
catalogue calls `forget` after the commit; other processes show the change within FRESH seconds.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, TypeVar

from flask import current_app
from sqlalchemy import RowMapping, Select, select

from shop.catalogue.models import Category, FormerSlug, Priced, Product, Texts
from shop.core.db import db, table
from shop.core.languages import text_in
from shop.core.tax_classes import TaxClass

FRESH = 1.0
_MOST_KEPT = 512
"""Cached results; each is a product or the products of a category."""
_CATEGORIES, _PRODUCTS, _FORMER = table(Category), table(Product), table(FormerSlug)
T = TypeVar("T")


@dataclass(frozen=True)
class CategoryView:
    """A category."""

    slug: str
    name: str
    texts: Texts = field(default_factory=dict, hash=False)

    def in_language(self, locale: str) -> CategoryView:
        """The category with its name in a language."""
        return replace(self, name=text_in(self.texts, locale, "name", self.name)) if locale in self.texts else self


@dataclass(frozen=True)
class ProductView(Priced):
    """A product. `prices` maps a currency to minor units; an archived product has none and cannot be bought."""

    sku: str
    slug: str
    name: str
    category: str
    summary: str
    description: str
    image: str
    prices: dict[str, int] = field(hash=False)
    texts: Texts = field(default_factory=dict, hash=False)
    images: Sequence[Mapping[str, Any]] = field(default=(), hash=False)
    tax_class: TaxClass = TaxClass.STANDARD
    version: int = 1
    is_archived: bool = False

    def in_language(self, locale: str) -> ProductView:
        """The product with its texts in a language; English where it has none."""
        if locale not in self.texts:
            return self
        return replace(
            self,
            name=text_in(self.texts, locale, "name", self.name),
            summary=text_in(self.texts, locale, "summary", self.summary),
            description=text_in(self.texts, locale, "description", self.description),
        )


def categories() -> list[CategoryView]:
    """All categories in their display order."""
    return _kept(("categories",), lambda: [CategoryView(*row) for row in db.session.execute(_ALL)])


def in_order(category: str = "", limit: int | None = None) -> list[ProductView]:
    """Products that are not archived, of one category or of all, in the order of the catalogue."""
    query = _IN_ORDER.where(_PRODUCTS.c.category == category) if category else _IN_ORDER
    return _kept(("category", category, str(limit)), lambda: _products(query.limit(limit)))


def by_slug(slug: str) -> ProductView | None:
    """The product at /products/<slug>."""
    found = _kept(("slug", slug), lambda: _products(_COLUMNS.where(_PRODUCTS.c.slug == slug)))
    return found[0] if found else None


def by_former_slug(slug: str) -> str | None:
    """The present slug of the product that had this one before."""
    query = select(_PRODUCTS.c.slug).join_from(_FORMER, _PRODUCTS, _PRODUCTS.c.sku == _FORMER.c.sku)
    return db.session.scalar(query.where(_FORMER.c.slug == slug))


def by_skus(skus: Iterable[str]) -> dict[str, ProductView]:
    """Products by SKU, read from the database; unknown SKUs are left out."""
    wanted = list(skus)
    return {p.sku: p for p in _products(_COLUMNS.where(_PRODUCTS.c.sku.in_(wanted)))} if wanted else {}


def clear_cache() -> None:
    """Clear the cache, because categories or products have changed."""
    with _lock:
        _results().clear()


_FIELDS = (
    "sku",
    "slug",
    "name",
    "category",
    "summary",
    "description",
    "image",
    "prices",
    "texts",
    "images",
    "tax_class",
    "version",
    "archived_at",
)
_COLUMNS = select(*(_PRODUCTS.c[name] for name in _FIELDS))
_IN_ORDER = (
    _COLUMNS.join_from(_PRODUCTS, _CATEGORIES, _CATEGORIES.c.slug == _PRODUCTS.c.category)
    .where(_PRODUCTS.c.archived_at.is_(None))
    .order_by(_CATEGORIES.c.position, _PRODUCTS.c.position, _PRODUCTS.c.sku)
)
_ALL = select(_CATEGORIES.c.slug, _CATEGORIES.c.name, _CATEGORIES.c.texts).order_by(_CATEGORIES.c.position)
_lock = Lock()


def _products(query: Select[Any]) -> list[ProductView]:
    return [_view(row._mapping) for row in db.session.execute(query)]


def _view(row: RowMapping) -> ProductView:
    values: dict[str, Any] = {**row}
    is_archived = values.pop("archived_at") is not None
    return ProductView(**values | ({"prices": {}} if is_archived else {}), is_archived=is_archived)


def _results() -> OrderedDict[tuple[str, ...], tuple[float, Any]]:
    found: OrderedDict[tuple[str, ...], tuple[float, Any]] = current_app.extensions.setdefault(
        "settled_catalogue", OrderedDict()
    )
    return found


def _kept(key: tuple[str, ...], read: Callable[[], list[T]]) -> list[T]:
    """A copy of the cached result of `key`, or of `read` if the cache is older than FRESH seconds. Empty results are
    not cached: the number of unknown slugs is not bounded.
    """
    results, now = _results(), time.monotonic()
    at, found = results.get(key, (float("-inf"), None))
    if now - at >= FRESH:
        found = read()
        if found:
            with _lock:
                results[key] = (now, found)
                while len(results) > _MOST_KEPT:
                    results.popitem(last=False)
    return list(found)
