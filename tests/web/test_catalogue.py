"""Catalogue pages."""

from __future__ import annotations

import pytest

from shop.inventory import stock
from tests.shop_fixtures import KETTLE, Shop
from tests.web.conftest import HTMX, Visitor, title


def test_the_catalogue_shows_what_is_sold_with_its_price_and_currency(visitor: Visitor) -> None:
    page = visitor.get("/").text
    assert "Kettle" in page and "NT$1,200" in page and "2 products" in page


def test_a_search_without_results_offers_everything(visitor: Visitor) -> None:
    page = visitor.get("/?q=zeppelin").text
    assert "0 products" in page and "Show all products" in page


def test_a_search_while_typing_gets_the_list_alone_and_announces_the_count(visitor: Visitor) -> None:
    fragment = visitor.get("/?q=ket", headers=HTMX).text
    assert "<html" not in fragment and 'id="products"' in fragment
    assert '<hx-partial hx-target="#live" hx-swap="innerMorph">1 product</hx-partial>' in fragment


@pytest.mark.parametrize("q", ["%", "_", "\\", "' OR 1=1 --", "<script>x</script>", "x" * 5000, "日本語"])
def test_whatever_is_searched_for_is_taken_literally(visitor: Visitor, q: str) -> None:
    response = visitor.get("/", query_string={"q": q})
    assert response.status_code == 200 and "0 products" in response.text and "<script>x" not in response.text


@pytest.mark.parametrize(
    "path",
    ["/products/unknown", "/?category=unknown", "/products/" + "x" * 300, "/nothing", "/products/%00", "/?q=%00"],
)
def test_an_unknown_address_is_a_page_with_a_message(visitor: Visitor, path: str) -> None:
    response = visitor.get(path)
    assert response.status_code == 404 and title(response) == "Page not found · Settled"


def test_a_product_that_is_sold_out_is_marked_and_cannot_be_added(visitor: Visitor, shop: Shop) -> None:
    shop.order((KETTLE, stock.available([KETTLE])[KETTLE]))
    page = visitor.get("/products/kettle").text
    assert "Sold out" in page and "Add to cart" not in page


def test_the_last_ones_are_announced(visitor: Visitor, shop: Shop) -> None:
    shop.order((KETTLE, 8))
    assert "Only 2 left" in visitor.get("/").text
