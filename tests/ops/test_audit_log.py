"""The audit log and the matrix of roles in the console."""

from __future__ import annotations

import html
import re

import pytest

from shop.accounts.permissions import PERMISSIONS, Permission, Role
from shop.core.money import Money
from shop.ops import audit_log
from shop.payments.refunds import requests
from tests.ops.conftest import visitor_as
from tests.shop_fixtures import PEN, Shop
from tests.web.conftest import Visitor
from tests.web.test_page_statements import sent_for


@pytest.fixture
def admin(shop: Shop) -> Visitor:
    return visitor_as(shop, "admin")


def acts(page: str) -> list[str]:
    """The acts on a page, in its order."""
    return re.findall(r'<th scope="row">([\w.]+)</th>', page)


def refunded(shop: Shop) -> str:
    order = shop.paid_order((PEN, 1))
    requests.request(shop.capture(order), Money(300, "TWD"), reason="broken lid", by=shop.sam)
    return order.number


def test_entries_are_shown_with_account_subject_reason_and_change(shop: Shop, admin: Visitor) -> None:
    number = refunded(shop)
    page = admin.get("/ops/audit").text
    assert acts(page)[:2] == ["refund.requested", "sign_in.succeeded"]
    assert "sam@example.com" in page and "broken lid" in page and f'href="/ops/orders/{number}"' in page


def test_a_refund_leads_to_its_order_and_a_sign_in_has_no_reason_to_miss(shop: Shop, admin: Visitor) -> None:
    order = shop.paid_order((PEN, 1))
    refund = requests.request(shop.capture(order), Money(300, "TWD"), to="bank", reason="closed", by=shop.sam).id
    requests.approve(refund, shop.kim)
    page = html.unescape(admin.get("/ops/audit?kind=refund").text)
    assert f'<a href="/ops/orders/{order.number}">refund {refund}</a>' in page
    assert "{" not in page.partition("<table")[2]
    page = admin.get("/ops/audit?act=sign_in.succeeded").text
    assert "No reason" not in page and "Seal: the number of the seal" in page


@pytest.mark.parametrize(
    "query",
    [
        "by=sam@example.com",
        "act=refund.requested",
        "kind=order",
        "id={number}",
        "act=refund.requested&act=payout.approved",
    ],
)
def test_filters_limit_the_entries(shop: Shop, admin: Visitor, query: str) -> None:
    number = refunded(shop)
    assert acts(admin.get(f"/ops/audit?{query.format(number=number)}&from=2020-01-01").text) == ["refund.requested"]


def test_an_empty_log_offers_to_drop_each_filter(shop: Shop, admin: Visitor) -> None:
    page = admin.get("/ops/audit?by=operator&act=payout.approved").text
    assert "No entries match these filters." in page
    assert 'href="/ops/audit?act=payout.approved"' in page and 'href="/ops/audit?by=operator"' in page


@pytest.mark.parametrize(
    ("query", "known"),
    [
        ("colour=red", "Filters are by, act, kind, id, request, from, to."),
        ("act=refund", "Values are sign_in.succeeded"),
        ("kind=cat", "Values are account, order"),
        ("by=nobody@example.com", "No account has this e-mail address."),
        ("from=soon", "a day, such as"),
        ("after=x", "Go to the first page."),
        ("before=1-1&after=1-1", "one of after, before and page=last"),
    ],
)
def test_an_address_that_is_not_understood_is_422(shop: Shop, admin: Visitor, query: str, known: str) -> None:
    answer = admin.get(f"/ops/audit?{query}")
    assert answer.status_code == 422 and known in html.unescape(answer.text)


def test_pages_of_entries_lead_to_each_other_in_both_directions_in_three_statements(
    shop: Shop, admin: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    refunded(shop)
    monkeypatch.setattr(audit_log, "ON_A_PAGE", 1)
    page = admin.get("/ops/audit?from=2020-01-01")
    forward = [(acts(page.text), set(links(page.text)))]
    while following := links(page.text).get("next"):
        page = admin.get(following)
        forward.append((acts(page.text), set(links(page.text))))
    assert [row for row, _ in forward] == [["refund.requested"], ["sign_in.succeeded"], ["account.created"]]
    of_two = admin.get("/ops/audit?act=account.created&act=refund.requested")
    then = admin.get(links(of_two.text)["next"])
    assert (acts(of_two.text), acts(then.text)) == (["refund.requested"], ["account.created"])
    assert acts(admin.get(links(then.text)["prev"]).text) == ["refund.requested"]
    assert [names for _, names in forward] == [
        {"next", "last"},
        {"first", "prev", "next", "last"},
        {"first", "prev"},
    ]
    last = admin.get(links(admin.get("/ops/audit?from=2020-01-01").text)["last"])
    assert acts(last.text) == ["account.created"] and "from=2020-01-01" in links(last.text)["prev"]
    back = [acts(last.text)]
    while before := links(last.text).get("prev"):
        last = admin.get(before)
        back.append(acts(last.text))
    assert back == [row for row, _ in reversed(forward)]
    assert len(sent_for(admin, "/ops/audit")) <= 3


def links(page: str) -> dict[str, str]:
    """Addresses of other pages of the list, by their relation."""
    return {rel: html.unescape(to) for to, rel in re.findall(r'<a href="([^"]+)" rel="(first|prev|next|last)"', page)}


def test_the_matrix_shows_the_table_that_is_enforced(shop: Shop) -> None:
    page = visitor_as(shop, "merchandiser").get("/ops/roles").text
    rows = {
        row[0]: re.findall(r">(yes|no)<", row[1]) for row in re.findall(r'row">([\w.]+)</th>(.*?)</tr>', page, re.S)
    }
    expected = {str(one): ["yes" if one in PERMISSIONS[role] else "no" for role in Role] for one in Permission}
    assert rows == expected
