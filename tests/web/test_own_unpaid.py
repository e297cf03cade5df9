"""Links to a visitor's unpaid orders, and what to do before reserving more."""

from __future__ import annotations

import html

import pytest
from flask import Flask

from tests.shop_fixtures import KETTLE, Shop
from tests.web.conftest import Visitor

RESERVED = "You have an unpaid order. Its items are reserved for you."


def test_what_the_visitors_own_unpaid_order_holds_is_linked_and_not_called_sold_out(
    visitor: Visitor, other_visitor: Visitor
) -> None:
    visitor.add(KETTLE, 10)
    order = visitor.checkout().location
    page = visitor.get("/products/kettle")
    assert "Sold out" not in page.text and "Reserved for you" in page.text
    assert "You have already reserved 10 of these. No more are available." in page.text
    for path in ("/products/kettle", "/products/pen", "/cart", "/orders"):
        page = visitor.get(path)
        assert RESERVED in page.text and f'href="{order}"' in page.text, path
        assert page.headers["Cache-Control"] == "no-store", path
        page = other_visitor.get(path)
        assert RESERVED not in page.text and order not in page.text, path
    assert "Sold out" in other_visitor.get("/products/kettle").text


def test_the_cart_explains_that_the_visitors_own_order_holds_what_is_missing(visitor: Visitor, shop: Shop) -> None:
    visitor.add(KETTLE, 4)
    visitor.checkout()
    visitor.add(KETTLE, 6)
    shop.order((KETTLE, 1))
    assert "You have already reserved 4 of these. Only 5 left." in visitor.get("/cart").text


def test_an_order_that_is_paid_or_cancelled_is_no_longer_called_unpaid(visitor: Visitor) -> None:
    path = visitor.order()
    visitor.get(path)
    visitor.post(f"{path}/cancel")
    assert RESERVED not in visitor.get("/cart").text


def test_a_visitor_with_too_many_unpaid_orders_is_shown_them_and_keeps_everything_typed(
    visitor: Visitor, app: Flask
) -> None:
    app.config["UNPAID_ORDERS_PER_VISITOR"] = 2
    orders = [visitor.order(), visitor.order()]
    visitor.add()
    response = visitor.checkout(city="Tainan", line2="2F")
    text = html.unescape(response.text)
    assert response.status_code == 409
    assert "You have 2 unpaid orders. Pay or cancel one of them first." in text
    assert all(f'href="{order}"' in text for order in orders)
    assert 'value="Tainan"' in text and 'value="2F"' in text and visitor.cart() == {KETTLE: 1}
    visitor.get(orders[0])
    visitor.post(f"{orders[0]}/cancel")
    assert visitor.checkout().status_code == 303


@pytest.mark.parametrize("counted_by", ["UNPAID_EMAIL_FACTOR", "UNPAID_ADDRESS_FACTOR"])
def test_unpaid_orders_of_other_customers_are_counted_and_never_shown(
    visitor: Visitor, other_visitor: Visitor, app: Flask, counted_by: str
) -> None:
    app.config.update({"UNPAID_ORDERS_PER_VISITOR": 1, "UNPAID_EMAIL_FACTOR": 9, "UNPAID_ADDRESS_FACTOR": 9})
    app.config[counted_by] = 1
    theirs = other_visitor.order()
    visitor.add()
    response = visitor.checkout()
    assert response.status_code == 429 and response.headers["Retry-After"] == "600"
    assert theirs not in response.text and 'value="Taipei"' in response.text


def test_the_addresses_of_one_ipv6_network_are_counted_as_one_client(app: Flask, shop: Shop) -> None:
    app.config.update({"RATE_LIMITS": False, "UNPAID_ORDERS_PER_VISITOR": 1, "UNPAID_ADDRESS_FACTOR": 2})
    statuses = []
    for number in range(4):
        visitor = Visitor(app)
        network = "2001:db8:1:2" if number < 3 else "2001:db8:1:3"
        visitor.client.environ_base["REMOTE_ADDR"] = f"{network}::{number}"
        visitor.add()
        statuses.append(visitor.checkout(email=f"c{number}@example.com").status_code)
    assert statuses == [303, 303, 429, 303]


def test_signing_in_keeps_the_link_to_an_unpaid_order(visitor: Visitor) -> None:
    path = visitor.order()
    visitor.get("/register")
    form = {"email": "new@example.com", "name": "Ada", "password": "a quiet lane in Taipei"}
    assert visitor.post("/register", form).status_code == 303
    assert f'href="{path}"' in visitor.get("/cart").text
    visitor.get("/account")
    assert visitor.post("/sign-out").status_code == 303
    assert path not in visitor.get("/cart").text
