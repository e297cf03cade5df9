"""Links to a guest's earlier orders."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from tests.web.conftest import Visitor, title


def test_a_signed_link_shows_the_orders_of_an_address(visitor: Visitor, other_visitor: Visitor) -> None:
    path = visitor.order()
    other_visitor.get("/orders")
    page = other_visitor.post("/orders", {"email": "Ada@Example.com"}).text
    link = re.search(r'href="(/orders/of/[^"]+)"', page)
    assert link
    listed = other_visitor.get(link[1])
    assert path in listed.text and listed.headers["Cache-Control"] == "no-store"


def test_an_address_without_orders_gets_the_same_answer(visitor: Visitor) -> None:
    visitor.get("/orders")
    assert "/orders/of/" in visitor.post("/orders", {"email": "nobody@example.com"}).text


@pytest.mark.parametrize("email", ["", "ada", "x" * 400 + "@example.com"])
def test_an_invalid_address_is_reported(visitor: Visitor, email: str) -> None:
    visitor.get("/orders")
    response = visitor.post("/orders", {"email": email})
    assert response.status_code == 422 and 'id="wrong-email"' in response.text


@pytest.mark.parametrize("signed", ["x", "ImFkYUBleGFtcGxlLmNvbSI.aaaaaa.forged", "é", "a" * 3000])
def test_a_forged_link_opens_nothing(visitor: Visitor, signed: str) -> None:
    response = visitor.get(f"/orders/of/{signed}")
    assert response.status_code == 404 and title(response) == "Page not found · Settled"


def test_outside_the_demo_an_order_link_is_never_shown_on_a_page(visitor: Visitor, app: Flask) -> None:
    visitor.get("/orders")
    app.config["SETTLED_ENV"] = "production"
    assert 'name="email"' not in visitor.get("/orders").text
    assert "/orders/of/" not in visitor.post("/orders", {"email": "ada@example.com"}).text
