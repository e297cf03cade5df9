"""Pages of the catalogue: products in order or by search, with the units that are available."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from shop.catalogue import browse
from shop.catalogue.browse import CategoryView, ProductView
from shop.product_search import find, tokens
from shop.product_search.find import Wanted
from shop.product_search.query import Part


@dataclass(frozen=True)
class Page:
    """Products of a page, and what `shop.product_search.find.Found` has about the whole list."""

    products: Sequence[ProductView] = ()
    available: Mapping[str, int] = field(default_factory=dict, hash=False)
    number: int = 0
    parts: Sequence[Part] = ()
    corrections: Mapping[str, str] = field(default_factory=dict, hash=False)


def page(wanted: Wanted) -> Page:
    """A page of the products that are wanted; an unknown category has none. At most eight statements, five without
    words.
    """
    categories = _tokens(tuple(browse.categories()))
    if wanted.category and wanted.category not in categories:
        return Page()
    found = find.page(wanted, categories)
    products = browse.by_skus(found.available)
    shown = [products[sku] for sku in found.available if sku in products and not products[sku].is_archived]
    return Page(shown, found.available, found.number, found.parts, found.corrections)


@lru_cache(maxsize=8)
def _tokens(categories: tuple[CategoryView, ...]) -> dict[str, frozenset[str]]:
    """The tokens of the names of each category, in all languages."""
    return {
        kind.slug: frozenset().union(
            *map(tokens.indexed, (kind.name, *(texts.get("name", "") for texts in kind.texts.values())))
        )
        for kind in categories
    }
