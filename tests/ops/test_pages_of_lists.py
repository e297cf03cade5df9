"""Pages of the console's lists: each list can be walked to its end and back."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest

from shop.accounts import staff_list
from shop.accounts.permissions import Role
from shop.alerts import store
from shop.core import clock
from shop.core.keyset import ON_A_PAGE
from shop.core.money import Money
from shop.mail import outgoing
from shop.payments.disputes import disputes
from shop.payments.disputes import pages as disputes_pages
from shop.payments.providers.interface import DisputeFact
from shop.payouts import payouts
from tests.ops.conftest import visitor_as
from tests.ops.test_alerts import alert
from tests.payouts.settlement import settled
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor


def dispute(shop: Shop, name: str, *states: str, opened: int, answer_in: int | None = None) -> None:
    """A dispute opened so many days ago, which has been in these states."""
    theirs = shop.acquirer.payments[shop.payment(shop.paid_order()).id].captures[0]
    at = clock.now()
    until = None if answer_in is None else at + timedelta(days=answer_in)
    for state in states:
        fact = DisputeFact(name, theirs.id, "chargeback", state, theirs.money, at - timedelta(days=opened), "", until)
        disputes.apply("fakepay", fact, "webhook")


def some_disputes(shop: Shop) -> None:
    dispute(shop, "dp_lost", "OPEN", "LOST", opened=9)
    dispute(shop, "dp_later", "OPEN", opened=3, answer_in=7)
    dispute(shop, "dp_undated", "OPEN", opened=2)
    dispute(shop, "dp_soon", "OPEN", opened=1, answer_in=2)
    dispute(shop, "dp_won", "OPEN", "WON", opened=5)


def some_payouts(shop: Shop) -> None:
    settled(90000)
    for amount in (100, 200, 300):
        payouts.request(Money(amount, "TWD"), by=shop.sam)


def some_mails(shop: Shop) -> None:
    for _ in range(3):
        shop.order()
    shop.sweep()


def some_alerts(_shop: Shop) -> None:
    alert("kpay"), alert("inbox 7", "OPS_DEAD_LETTER"), alert("TEST-1", "RULE_A"), alert("tpay")


def some_colleagues(shop: Shop) -> None:
    for name in ("ada", "bo", "cy"):
        shop.colleague(name, Role.SUPPORT)


LISTS = {
    "disputes": (some_disputes, disputes_pages.find),
    "payouts": (some_payouts, payouts.page),
    "mails": (some_mails, outgoing.page),
    "alerts": (some_alerts, store.page),
    "users": (some_colleagues, staff_list.find),
}


def rows(page: str) -> list[str]:
    """The rows of the last table of a page."""
    return re.findall(r"<tr>(.*?)</tr>", page.rpartition("<tbody")[2], re.DOTALL)


def link(page: str, rel: str) -> str:
    found = re.search(rf'<a href="([^"]+)" rel="{rel}"', page)
    return unescape(found[1]) if found else ""


def walked(visitor: Visitor, path: str, rel: str) -> list[list[str]]:
    """The rows of each page from `path` on, along the links."""
    found = []
    while path:
        page = visitor.get(path).text
        found.append(rows(page))
        path = link(page, rel)
    return found


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_walked_to_its_end_and_back(shop: Shop, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    make, find = LISTS[name]
    make(shop)
    reader, path = visitor_as(shop, "finance", "admin"), f"/ops/{name}"
    together = reader.get(path).text
    every = rows(together)
    assert 3 <= len(every) < ON_A_PAGE and not link(together, "next")
    monkeypatch.setitem(find.__kwdefaults__, "limit", 2)
    pages = [every[at : at + 2] for at in range(0, len(every), 2)]
    first = reader.get(path).text
    assert walked(reader, path, "next") == pages
    assert rows(reader.get(link(first, "last")).text) == every[-2:]
    assert walked(reader, link(first, "last"), "prev")[-1] == (every[:2] if len(every) % 2 == 0 else every[:1])


def test_open_disputes_are_sorted_by_their_answer_and_then_come_the_closed_ones(shop: Shop) -> None:
    some_disputes(shop)
    page = visitor_as(shop, "support").get("/ops/disputes").text
    assert re.findall(r">(dp_\w+)<", page) == ["dp_undated", "dp_soon", "dp_later", "dp_won", "dp_lost"]


NO_PAGES = ("after=1&before=2", "page=2", "after=1&page=last")
NO_ROWS = ("99999999999999999-9-999999999999999999", "é👍", "1-1", "M", "'")


def test_an_address_of_no_page_is_refused_and_a_position_without_a_row_is_no_error(shop: Shop) -> None:
    reader = visitor_as(shop, "finance", "admin")
    for name in LISTS:
        refused = [reader.get(f"/ops/{name}?{query}").status_code for query in NO_PAGES]
        assert refused == [422] * len(NO_PAGES), name
        for position in NO_ROWS:
            answers = {reader.get(f"/ops/{name}?{where}={position}").status_code for where in ("after", "before")}
            assert answers <= {200, 422}, (name, position)


def test_alerts_that_were_resolved_meanwhile_are_no_reason_to_call_the_list_empty(shop: Shop) -> None:
    alert()
    page = visitor_as(shop, "support").get("/ops/alerts?after=99999999999999999-3-1").text
    assert "No alert is open at this place of the list any more." in page and "No alert is open.<" not in page
