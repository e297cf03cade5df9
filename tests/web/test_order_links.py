"""Links to a guest's earlier orders."""

from __future__ import annotations

import pytest

from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor, title
from tests.web.order_links import mailed, newest_link


def request_link(visitor: Visitor, email: str) -> tuple[str, str]:
    """Send the form; returns the address that it leads to, and the text of the page there."""
    visitor.get("/orders")
    answer = visitor.post("/orders", {"email": email})
    assert answer.status_code == 303, answer.text
    return answer.location, visitor.get(answer.location).text


def test_a_mailed_link_shows_the_orders_of_an_address(shop: Shop, visitor: Visitor, other_visitor: Visitor) -> None:
    path = visitor.order()
    page = request_link(other_visitor, "Ada@Example.com")[1]
    assert "we have sent a link to it" in page and "/orders/of/" not in page
    assert [one.recipient for one in mailed()] == ["ada@example.com"]
    listed = other_visitor.get(newest_link())
    assert path in listed.text and listed.headers["Cache-Control"] == "no-store"


def test_an_address_without_orders_gets_the_same_answer_and_no_mail(shop: Shop, visitor: Visitor) -> None:
    visitor.order()
    without = request_link(visitor, "grace@example.com")
    assert mailed() == [] and without == request_link(visitor, "ada@example.com")


def test_an_address_gets_one_link_in_an_hour(shop: Shop, visitor: Visitor) -> None:
    visitor.order()
    for _ in range(3):
        request_link(visitor, "ada@example.com")
    assert len(mailed()) == 1
    shop.turn(minutes=60)
    request_link(visitor, "ada@example.com")
    assert len(mailed()) == 2


@pytest.mark.parametrize("email", ["", "ada", "x" * 400 + "@example.com"])
def test_an_invalid_address_is_reported(visitor: Visitor, email: str) -> None:
    visitor.get("/orders")
    response = visitor.post("/orders", {"email": email})
    assert response.status_code == 422 and 'id="wrong-email"' in response.text


@pytest.mark.parametrize("signed", ["x", "ImFkYUBleGFtcGxlLmNvbSI.aaaaaa.forged", "é", "a" * 3000])
def test_a_forged_link_opens_nothing(visitor: Visitor, signed: str) -> None:
    response = visitor.get(f"/orders/of/{signed}")
    assert response.status_code == 404 and title(response) == "Page not found · Settled"
