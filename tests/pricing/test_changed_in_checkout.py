"""Delivery, tax and codes that staff change while a customer is in the checkout."""

from __future__ import annotations

import html
from collections.abc import Callable

import pytest
from flask import Flask

from shop.accounts.permissions import Role
from shop.core.actor import Actor
from shop.core.money import Money
from shop.pricing import change
from tests.pricing.test_checkout_page import orders
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor

FREE = {currency: Money(0, currency) for currency in ("TWD", "JPY", "USD")}
CHOSEN = {"country": "US", "region": "CA", "postcode": "94110", "delivery": "express", "code": "TEN"}


@pytest.fixture
def visitor(app: Flask, priced: Shop) -> Visitor:
    """A customer whose checkout shows delivery by express, added tax and the code TEN, in all NT$1,320."""
    app.config["RATE_LIMITS"] = False
    visitor = Visitor(app)
    visitor.add()
    visitor.get("/checkout")
    page = visitor.post("/checkout/update", {**visitor.filled(), **CHOSEN})
    assert "NT$1,320" in page.text
    return visitor


def _express(price: int, by: Actor, *, is_offered: bool = True) -> None:
    prices = {"TWD": Money(price, "TWD")}
    change.set_delivery(
        "express", "Express", prices, free_from={}, countries=("US",), position=1, by=by, is_offered=is_offered
    )


def _tax(rate: int, by: Actor) -> None:
    change.set_tax("US", "Sales tax", rate, is_included=False, by=by)


CHANGES: list[tuple[Callable[[Actor, Actor], object], str, int]] = [
    (lambda mia, _: _express(20000, mia), "Delivery: changed from NT$120 to NT$200", 140800),
    (lambda _, sam: _tax(20_000, sam), "Tax: changed from NT$120 to NT$240", 144000),
    (lambda _, sam: change.remove_tax("US", by=sam), "Tax: changed from NT$120 to NT$0", 120000),
    (
        lambda mia, _: change.set_code(change.NewCode("TEN", percent=20), by=mia),
        "Discount: changed from −NT$120 to −NT$240",
        118800,
    ),
]


@pytest.mark.parametrize(("act", "message", "total"), CHANGES)
def test_a_change_of_the_total_is_shown_before_it_is_ordered(
    shop: Shop, visitor: Visitor, act: Callable[[Actor, Actor], object], message: str, total: int
) -> None:
    earlier = shop.order(country="US", delivery="express", code="TEN", email="eve@example.com")
    act(shop.colleague("mo", Role.MERCHANDISER), shop.sam)
    refused = visitor.post("/checkout", {**visitor.filled(), **CHOSEN})
    assert refused.status_code == 409
    assert message in html.unescape(refused.text)
    assert len(orders()) == 1
    assert visitor.post("/checkout", {**visitor.filled(), **CHOSEN}).status_code == 303
    assert [order.total_amount for order in orders()] == [earlier.total_amount, total] == [132000, total]


def test_a_method_that_is_switched_off_is_refused_and_another_one_ordered(shop: Shop, visitor: Visitor) -> None:
    _express(12000, shop.colleague("mo", Role.MERCHANDISER), is_offered=False)
    refused = visitor.post("/checkout", {**visitor.filled(), **CHOSEN})
    assert refused.status_code == 409 and orders() == []
    assert "The delivery method that you chose is not available for this order." in refused.text
    answer = visitor.post("/checkout", {**visitor.filled(), **CHOSEN, "delivery": "standard"})
    assert answer.status_code == 303
    assert [line.name for line in orders()[0].charges if line.kind == "delivery"] == ["Standard"]


def test_a_code_that_is_switched_off_is_refused_and_the_order_placed_without_it(shop: Shop, visitor: Visitor) -> None:
    change.disable_code("TEN", by=shop.colleague("mo", Role.MERCHANDISER))
    refused = visitor.post("/checkout", {**visitor.filled(), **CHOSEN})
    assert refused.status_code == 422 and orders() == []
    assert "This discount code is not valid." in refused.text
    assert visitor.post("/checkout", {**visitor.filled(), **CHOSEN, "code": ""}).status_code == 303
    assert orders()[0].total_amount == 145200
