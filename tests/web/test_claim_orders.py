"""Orders of guests on the account page."""

from __future__ import annotations

import pytest

from shop.orders import claim as orders_claim
from shop.web import accounts
from tests.shop_fixtures import PEN, Shop
from tests.web.conftest import Visitor
from tests.web.test_verification import ADA, mailed_link


@pytest.fixture
def ada(visitor: Visitor) -> Visitor:
    """A customer with an order that was placed as a guest, and an account that is not verified."""
    visitor.order()
    visitor.get("/register")
    visitor.post("/register", ADA)
    return visitor


def test_the_account_page_offers_orders_once_the_address_is_verified(shop: Shop, ada: Visitor) -> None:
    page = ada.get("/account").text
    assert "without signing in" not in page and "No orders yet" in page
    assert ada.post("/account/orders").status_code == 409
    path = mailed_link(shop, ada, "verification")
    ada.get(path)
    ada.post(path)
    assert "1 order was placed with your address without signing in." in ada.get("/account").text
    assert ada.post("/account/orders").location == "/account"
    page = ada.get("/account").text
    assert "1 order was added to your account." in page and "No orders yet" not in page
    assert "without signing in" not in page


def verified(shop: Shop, customer: Visitor) -> Visitor:
    path = mailed_link(shop, customer, "verification")
    customer.get(path)
    customer.post(path)
    customer.get("/account")
    return customer


@pytest.mark.parametrize(
    ("most", "claimed", "left"), [(5, "3 orders were added", ""), (2, "2 orders were added", "1 order was placed")]
)
def test_a_request_claims_several_batches_and_offers_the_rest_again(
    shop: Shop, ada: Visitor, monkeypatch: pytest.MonkeyPatch, most: int, claimed: str, left: str
) -> None:
    monkeypatch.setattr(orders_claim, "BATCH", 1)
    monkeypatch.setattr(accounts, "MOST_BATCHES", most)
    for _ in range(2):
        shop.order((PEN, 1))
    verified(shop, ada).post("/account/orders")
    page = ada.get("/account").text
    assert claimed in page
    assert left in page and ("without signing in" in page) == bool(left)


def test_claims_of_one_network_are_limited(shop: Shop, ada: Visitor) -> None:
    verified(shop, ada)
    shop.app.config["RATE_LIMITS"] = True
    answers = [ada.post("/account/orders") for _ in range(11)]
    assert [one.status_code for one in answers] == [303] * 10 + [429]
    assert answers[10].headers["Retry-After"] == "60"
