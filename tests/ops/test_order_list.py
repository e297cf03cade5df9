"""The list of orders in the console."""

from __future__ import annotations

import html
import re

import pytest

from shop.core.db import db
from shop.order_search import pages
from tests.ops.conftest import visitor_as
from tests.shop_fixtures import PEN, Shop
from tests.web.conftest import Visitor
from tests.web.test_page_statements import sent_for

LIST = "/ops/orders"


@pytest.fixture
def support(shop: Shop) -> Visitor:
    return visitor_as(shop, "support")


def listed(page: str) -> list[str]:
    """Order numbers on a page of the list."""
    return re.findall(r'<th scope="row"[^>]*>(?:<a[^>]*>)?([0-9A-Z-]{12})', page)


def link(page: str, rel: str) -> str:
    found = re.search(rf'<a href="([^"]+)" rel="{rel}"', page)
    return html.unescape(found[1]) if found else ""


def test_a_list_shows_orders_newest_first_with_state_payment_and_flags(shop: Shop, support: Visitor) -> None:
    first, second = shop.order((PEN, 1)), shop.paid_order((PEN, 1))
    page = support.get(LIST).text
    assert listed(page) == [second.number, first.number]
    assert "2 orders" in page and 'class="chip good">paid<' in page and "NT$90" in page
    assert listed(support.get(f"{LIST}?state=PAID&payment=CAPTURED&payment=OPEN").text) == [second.number]


def dropped(page: str) -> list[str]:
    """Addresses that an empty list offers: those with orders first."""
    return [html.unescape(one) for one in re.findall(r'small" href="([^"]+)">Drop', page)]


def test_an_empty_list_names_the_filters_without_which_there_are_orders(shop: Shop, support: Visitor) -> None:
    order = shop.order((PEN, 1))
    page = support.get(f"{LIST}?provider=fakepay&state=PAID&state=FAILED").text
    assert "There are some without this filter:" in page and "Drop Order state: paid, failed" in page
    assert dropped(page) == [f"{LIST}?provider=fakepay", f"{LIST}?state=PAID&state=FAILED"]
    assert listed(support.get(dropped(page)[0]).text) == [order.number]
    amounts = support.get(f"{LIST}?currency=TWD&least=1000").text
    assert "without one of these filters" in amounts and dropped(amounts) == [LIST, f"{LIST}?currency=TWD"]
    nothing = support.get(f"{LIST}?state=PAID&flag=late").text
    assert "Without any one of them there are none either." in nothing and len(dropped(nothing)) == 2


@pytest.mark.parametrize(
    ("query", "known"),
    [
        ("colour=red", "Filters are state, payment, provider, method, flag, currency, least, most, from, to."),
        ("state=paid", "Values are PENDING, WAITING_PAYMENT,"),
        ("after=x", "Go to the first page."),
        ("after=1-1&page=last", "one of after, before and page=last"),
        ("page=2", "one of after, before and page=last"),
    ],
)
def test_an_address_that_is_not_understood_is_422_with_what_is_known(
    shop: Shop, support: Visitor, query: str, known: str
) -> None:
    answer = support.get(f"{LIST}?{query}")
    assert answer.status_code == 422 and known in html.unescape(answer.text)


def test_the_address_of_a_form_loses_its_empty_fields(shop: Shop, support: Visitor) -> None:
    answer = support.get(f"{LIST}?state=PAID&least=&most=&from=&to=")
    assert (answer.status_code, answer.location) == (303, f"{LIST}?state=PAID")


def test_pages_link_to_each_other_and_keep_the_filters(
    shop: Shop, support: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "ON_A_PAGE", 2)
    placed = [shop.order((PEN, 1)).number for _ in range(5)][::-1]
    query = f"{LIST}?provider=fakepay"
    first = support.get(query).text
    second = support.get(link(first, "next")).text
    last = support.get(link(first, "last")).text
    assert [listed(page) for page in (first, second, last)] == [placed[:2], placed[2:4], placed[3:]]
    assert listed(support.get(link(last, "prev")).text) == placed[1:3]
    assert listed(support.get(link(second, "prev")).text) == placed[:2]
    assert link(second, "first") == query and link(first, "first") == link(last, "next") == ""
    monkeypatch.setattr(pages, "COUNTED", 4)
    assert "4+ orders" in support.get(query).text


def test_a_page_of_the_list_needs_three_statements_whatever_is_filtered_and_one_more_when_it_is_empty(
    shop: Shop, support: Visitor
) -> None:
    for _ in range(3):
        shop.paid_order((PEN, 1))
    for query, most in {
        "": 3,
        "?state=PAID&payment=CAPTURED&currency=TWD&from=2026-01-01": 3,
        "?page=last": 3,
        "?state=FAILED&method=store&currency=TWD&least=5": 4,
        "?state=PAID&payment=CAPTURED&flag=late": 4,  # nothing matches, so it looks for the filter to drop
    }.items():
        db.session.rollback()
        found = sent_for(support, f"{LIST}{query}")
        assert len(found) <= most, "\n".join(found)
        assert all(one.startswith(("SELECT", "WITH matching AS")) for one in found)
