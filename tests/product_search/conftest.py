"""Products with texts in four languages, which are created as staff create them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shop.catalogue import category_changes, listing, products
from shop.catalogue.product_fields import Fields
from shop.core.actor import Actor
from shop.core.db import transaction
from shop.inventory import stock
from shop.product_search.find import Wanted
from tests.shop_fixtures import Shop

BY = Actor.operator()


def create(
    sku: str, name: str, *, texts: dict[str, dict[str, str]] | None = None, units: int = 5, **more: object
) -> str:
    """Create a product that is in stock."""
    values: dict[str, object] = {"category": "test", "position": 5, "summary": "", "description": ""}
    values |= {"prices": {"TWD": 100_00}, **more}
    products.create(sku, Fields(slug=sku.lower(), name=name, texts=texts or {}, **values), by=BY)  # type: ignore[arg-type]
    if units:
        with transaction():
            stock.receive(sku, units)
    return sku


Find = Callable[..., list[str]]


@pytest.fixture
def find(shop: Shop) -> Find:
    """SKUs that a search finds, in order."""

    def found(q: str = "", **wanted: object) -> list[str]:
        return [product.sku for product in listing.page(Wanted(q, **wanted)).products]  # type: ignore[arg-type]

    return found


@pytest.fixture
def teapot(shop: Shop) -> str:
    """A teapot with texts in four languages, in a category of its own."""
    names = {"zh_Hant": "茶具", "zh_Hans": "茶具", "ja": "お茶の道具"}
    category = category_changes.create("Tea things", names, by=BY)
    texts = {
        "zh_Hant": {"name": "青瓷茶壺", "summary": "容量七百毫升"},
        "zh_Hans": {"name": "青瓷茶壶", "description": "适合泡乌龙茶"},
        "ja": {"name": "青磁のティーポット"},
    }
    summary, description = "Crackle glaze", "A strainer of porcelain keeps the leaves back."
    return create("POT", "Celadon Teapot", category=category, summary=summary, description=description, texts=texts)
