"""Order page: opened by its link alone, never stored, the same for every viewer."""

from __future__ import annotations

import re

import pytest

from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor

ORDER_CALLS = [("get", ""), ("get", "/status"), ("post", "/pay"), ("post", "/check")]


ORDER_CALLS += [("post", "/cancel"), ("post", "/payment/cancel"), ("post", "/again")]


@pytest.mark.parametrize(("method", "path"), ORDER_CALLS)
@pytest.mark.parametrize("token", ["x", "1", "0" * 32, "%00", "..%2f..", "é"])
def test_a_token_that_was_never_valid_opens_nothing(visitor: Visitor, method: str, path: str, token: str) -> None:
    visitor.get("/cart")
    visitor.add()
    response = getattr(visitor, method)(f"/orders/{token}{path}")
    assert response.status_code == 404


def test_an_order_number_gives_no_access(visitor: Visitor, other_visitor: Visitor) -> None:
    path = visitor.order()
    number = find_number(visitor.get(path).text)
    assert other_visitor.get(f"/orders/{number}").status_code == 404


def test_an_order_is_readable_until_30_days_after_its_end(visitor: Visitor, shop: Shop) -> None:
    path = visitor.order()
    visitor.get(path)
    visitor.post(f"{path}/cancel")
    shop.turn(days=29)
    assert visitor.get(path).status_code == 200
    shop.turn(days=2)
    assert [visitor.get(path + more).status_code for more in ("", "/status")] == [404] * 2


def test_order_pages_are_never_stored_and_fragments_never_set_a_cookie(
    visitor: Visitor, other_visitor: Visitor
) -> None:
    path = visitor.order()
    assert visitor.get(path).headers["Cache-Control"] == "no-store"
    status = other_visitor.get(f"{path}/status")
    assert status.headers["Cache-Control"] == "no-store" and "Set-Cookie" not in status.headers
    assert "csrf" not in status.text and '<hx-partial hx-target="#order-status" hx-swap="outerMorph">' in status.text


def test_what_changes_is_sent_the_same_to_every_viewer(visitor: Visitor, other_visitor: Visitor) -> None:
    path = visitor.order()

    def still(page: str) -> str:
        return re.sub(r'data-left="\d+">[\d:]+', "", page)

    assert still(visitor.get(f"{path}/status").text) == still(other_visitor.get(f"{path}/status").text)


def test_the_token_is_all_that_is_needed_to_pay(visitor: Visitor, other_visitor: Visitor) -> None:
    path = visitor.order()
    assert other_visitor.get(path).status_code == 200
    assert other_visitor.post(f"{path}/pay").status_code == 303


def find_number(page: str) -> str:
    found = re.search(r'class="reference">([^<]+)<', page)
    assert found
    return found[1]
