"""Returns in the console: the list, the page of one with its acts, and To do."""

from __future__ import annotations

import re

import pytest

from shop.accounts import staff
from shop.alerts import claims
from shop.core.errors import Refusal
from shop.returns import pages
from shop.returns.models import Return
from tests.ops.conftest import visitor_as
from tests.ops.test_to_do import kinds
from tests.returns.conftest import accepted, found, received, requested
from tests.shop_fixtures import PEN, Shop
from tests.web.conftest import Visitor


def acted(visitor: Visitor, one: Return, act: str, **typed: object) -> tuple[int, str]:
    """Status of an act, and the page that follows."""
    visitor.get(f"/ops/returns/{one.id}")
    answer = visitor.post(f"/ops/returns/{one.id}/{act}", typed)
    page = visitor.get(answer.location).text if answer.status_code == 303 else answer.text
    return answer.status_code, page


def test_a_return_is_accepted_received_and_refunded_in_the_console(shop: Shop) -> None:
    order = shop.paid_order((PEN, 3))
    one = requested(shop, order, {PEN: 2}, comment="<i>leaks</i>")
    merchandiser, support = visitor_as(shop, "merchandiser"), visitor_as(shop, "support")
    page = merchandiser.get(f"/ops/returns/{one.id}").text
    assert "&lt;i&gt;leaks&lt;/i&gt;" in page and f"/ops/orders/{order.number}" not in page
    assert 'id="receive"' not in page and 'id="refund"' not in page
    status, page = acted(merchandiser, one, "accept", reason="by post")
    assert status == 303 and "The return is accepted." in page and "by post" in page
    status, page = acted(support, one, "decline", reason="")
    assert status == 422 and "Enter a reason." in page
    status, page = acted(
        merchandiser, one, "receive", **{f"restocked-{PEN}": "1", f"not-restocked-{PEN}": "1", "reason": "wet"}
    )
    assert status == 303 and "NT$180" in page and "Support or finance refunds it." in page
    page = support.get(f"/ops/returns/{one.id}").text
    assert 'name="seen" value="18000"' in page and 'name="amount" inputmode="decimal" required value="180.00"' in page
    typed = {"amount": "170", "seen": "18000", "to": "provider", "reason": "one is wet"}
    status, page = acted(support, one, "refund", **typed)
    assert status == 303 and "The refund was requested.<" in page and "NT$170" in page
    assert acted(support, one, "refund", **typed)[0] == 303, "sent twice"
    assert len(shop.refunds(order)) == 1
    page = support.get(f"/ops/orders/{order.number}").text
    assert one.reference in page and "return: received" in page and "return: refunded" in page
    shop.sweep()


def test_the_page_of_a_refund_to_a_bank_names_the_second_person_and_links_to_approvals(shop: Shop) -> None:
    one, support = received(shop, shop.paid_order((PEN, 1)), {PEN: 1}), visitor_as(shop, "support")
    typed = {"amount": "90", "seen": "9000", "to": "bank", "reason": "asked for a transfer"}
    status, page = acted(support, one, "refund", **typed)
    assert status == 303 and "It waits under Approvals for a second person." in page
    assert re.search(r'href="/ops/approvals\?after=[0-9]+-R\w{19}#request-R', page)
    shop.sweep()


def test_units_that_came_damaged_are_not_restocked_unless_staff_choose_it(shop: Shop) -> None:
    merchandiser = visitor_as(shop, "merchandiser")
    for reason, (restocked, not_restocked) in {"damaged": (0, 2), "changed_mind": (2, 0)}.items():
        one = accepted(shop, shop.paid_order((PEN, 2)), {PEN: 2}, reason=reason)
        page = merchandiser.get(f"/ops/returns/{one.id}").text
        assert re.search(rf'name="restocked-{PEN}"[^>]* value="{restocked}"', page)
        assert re.search(rf'name="not-restocked-{PEN}"[^>]* value="{not_restocked}"', page)
    shop.sweep()


def test_a_person_who_comes_second_reads_who_was_first(shop: Shop) -> None:
    one = requested(shop, shop.paid_order((PEN, 1)), {PEN: 1})
    merchandiser, support = visitor_as(shop, "merchandiser"), visitor_as(shop, "support")
    assert acted(merchandiser, one, "accept")[0] == 303
    status, page = acted(support, one, "accept")
    assert status == 409 and "merchandiser@example.com has already accepted this return. Nothing was changed." in page
    shop.sweep()


@pytest.mark.parametrize(
    ("act", "typed", "status"),
    [
        ("receive", {f"restocked-{PEN}": "9"}, 422),
        ("receive", {f"restocked-{PEN}": "x"}, 422),
        ("receive", {f"restocked-{PEN}": "9" * 300}, 422),
        ("receive", {"restocked-NONE": "1"}, 422),
        ("receive", {}, 422),
        ("receive", {f"not-restocked-{PEN}": "1"}, 422),
        ("decline", {"reason": "a\0b"}, 422),
        ("accept", {"reason": "x" * 501}, 422),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_form_that_cannot_be_used_changes_nothing(shop: Shop, act: str, typed: dict[str, str], status: int) -> None:
    one = accepted(shop, shop.paid_order((PEN, 1)), {PEN: 1})
    assert acted(visitor_as(shop, "merchandiser"), one, act, **typed)[0] == status
    assert found(one.reference).state == "ACCEPTED"
    shop.sweep()


@pytest.mark.parametrize(
    "typed",
    [
        {"amount": "91"},
        {"amount": "0"},
        {"amount": "-1"},
        {"amount": "1e9"},
        {"amount": "9" * 40},
        {"seen": ""},
        {"seen": "8000"},
        {"seen": "9" * 30},
        {"to": "moon"},
        {"to": "store_credit"},
        {"reason": ""},
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_refund_that_is_not_right_is_refused_with_the_present_number(shop: Shop, typed: dict[str, str]) -> None:
    order = shop.paid_order((PEN, 1))
    one = received(shop, order, {PEN: 1})
    form = {"amount": "90", "seen": "9000", "to": "provider", "reason": "came back"} | typed
    status, page = acted(visitor_as(shop, "finance"), one, "refund", **form)
    assert status in (409, 422) and 'role="alert"' in page and 'name="seen" value="9000"' in page
    assert shop.refunds(order) == [] and found(one.reference).state == "RECEIVED"
    shop.sweep()


def test_support_requests_a_return_for_a_customer_and_a_merchandiser_cannot(shop: Shop) -> None:
    order = shop.paid_order((PEN, 2))
    shop.turn(days=30)
    support = visitor_as(shop, "support")
    assert "Request return" in support.get(f"/ops/orders/{order.number}").text
    page = support.get(f"/ops/orders/{order.number}/return").text
    key = re.search(r'name="form_key" value="([^"]+)"', page)
    assert key
    typed = {"form_key": key[1], f"units-{PEN}": "3", "why": "faulty", "reason": "by phone"}
    answer = support.post(f"/ops/orders/{order.number}/return", typed)
    assert answer.status_code == 409 and "You can return at most 2 × Pen." in answer.text
    key = re.search(r'name="form_key" value="([^"]+)"', answer.text)
    assert key
    for _ in range(2):
        done = support.post(f"/ops/orders/{order.number}/return", {**typed, "form_key": key[1], f"units-{PEN}": "2"})
        assert done.status_code == 303
    assert shop.count(Return) == 1
    assert "Nothing of this order can be returned" in support.get(f"/ops/orders/{order.number}/return").text
    merchandiser = visitor_as(shop, "merchandiser")
    assert merchandiser.get(f"/ops/orders/{order.number}/return").status_code == 403
    assert merchandiser.get("/ops/returns/99").status_code == 404
    shop.sweep()


def test_the_list_is_filtered_and_has_pages(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    order = shop.paid_order((PEN, 5))
    ones = [requested(shop, order, {PEN: 1}) for _ in range(5)]
    shop.turn(seconds=1)
    admin = visitor_as(shop, "admin")
    page = admin.get("/ops/returns").text
    assert "5 returns" in page and all(one.reference in page for one in ones)
    assert "No return matches these filters." in admin.get("/ops/returns?state=CLOSED&reason=other").text
    assert ones[0].reference in admin.get(f"/ops/returns?order={order.number.lower()}").text
    assert admin.get("/ops/returns?state=&reason=faulty").status_code == 303
    for wrong in ("state=OPEN", "colour=red", "order=a&order=b", "after=x"):
        assert admin.get(f"/ops/returns?{wrong}").status_code == 422, wrong
    monkeypatch.setattr(pages.find, "__defaults__", (pages.keyset.FIRST, 2))
    seen, address = [], "/ops/returns"
    while address:
        page = admin.get(address).text
        seen += re.findall(r'<th scope="row" class="number"><a [^>]+>([^<]+)</a>', page)
        following = re.search(r'href="([^"]+)" rel="next"', page)
        address = following[1].replace("&amp;", "&") if following else ""
    assert seen == [one.reference for one in reversed(ones)]
    last = admin.get("/ops/returns?page=last").text
    assert ones[0].reference in last and 'rel="prev"' in last
    shop.sweep()


def test_returns_that_wait_for_staff_are_to_do_for_those_who_can_act(shop: Shop) -> None:
    order = shop.paid_order((PEN, 3))
    waiting, arrived = requested(shop, order, {PEN: 1}), received(shop, order, {PEN: 1})
    on_its_way = accepted(shop, order, {PEN: 1})
    support, merchandiser = visitor_as(shop, "support"), visitor_as(shop, "merchandiser")
    page = support.get("/ops").text
    assert kinds(page) == ["Return", "Return"] and "Returns: 2" in page
    assert f"Decide about return {waiting.reference}" in page and f"Refund return {arrived.reference}" in page
    page = merchandiser.get("/ops").text
    assert f"Decide about return {waiting.reference}" in page and arrived.reference not in page
    claims.claim(f"return {waiting.id}", shop.sam)
    assert f'owner">{staff.label(shop.sam)}</td>' in merchandiser.get("/ops").text
    with pytest.raises(Refusal, match="done meanwhile"):
        claims.claim(f"return {on_its_way.id}", shop.sam)
    shop.sweep()
