"""Orders of guests on the account page."""

from __future__ import annotations

import pytest

from tests.shop_fixtures import Shop
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
    assert "1 order is added to your account." in page and "No orders yet" not in page
    assert "without signing in" not in page
