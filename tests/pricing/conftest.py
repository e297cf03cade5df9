"""A shop with tax, delivery methods and a discount code."""

from __future__ import annotations

import pytest

from shop.core.money import Money
from shop.pricing import change
from tests.shop_fixtures import Shop


@pytest.fixture
def priced(shop: Shop) -> Shop:
    """5 % included tax in Taiwan, 10 % added tax in the United States, two delivery methods, and TEN for 10 %."""
    change.set_tax("TW", "VAT", 5000, is_included=True)
    change.set_tax("US", "Sales tax", 10_000, is_included=False)
    free = {currency: Money(0, currency) for currency in ("TWD", "JPY", "USD")}
    change.set_delivery("standard", "Standard", free, free_from={}, countries=(), position=0)
    express = {"TWD": Money(12000, "TWD")}
    change.set_delivery("express", "Express", express, free_from={}, countries=("TW", "US"), position=1)
    change.set_code(change.NewCode("TEN", percent=10))
    return shop
