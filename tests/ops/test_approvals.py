"""Approvals in the console: two people decide about money, and the second one reads the present numbers."""

from __future__ import annotations

import re
from html import unescape

import pytest

from shop.accounts import verification
from shop.accounts.models import User
from shop.core import audit_search
from shop.core.actor import Actor
from shop.core.audit import Act
from shop.core.db import db, transaction
from shop.core.money import Money
from shop.credit_gifts import gifts
from shop.credit_gifts.models import CreditGift
from shop.ops import waiting
from shop.payments.records.models import Refund
from shop.payments.refunds import requests
from shop.payments.updates import shortfalls
from shop.payouts import payouts
from shop.payouts.models import Payout
from tests.ops.conftest import visitor_as
from tests.payouts.settlement import settled
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor


def waiting_refund(shop: Shop) -> str:
    """The id of a refund to a bank, which always needs a second person."""
    order = shop.paid_order()
    return requests.request(shop.capture(order), Money(20000, "TWD"), reason="broken", by=shop.sam, to="bank").id


def refund_row(refund_id: str) -> Refund:
    db.session.rollback()
    return db.session.get_one(Refund, refund_id)


def approve(visitor: Visitor, kind: str, request_id: str) -> tuple[int, str]:
    visitor.get("/ops/approvals")
    answer = visitor.post(f"/ops/approvals/{kind}/{request_id}/approve", {"sent": "yes"})
    return answer.status_code, answer.text


def test_a_second_person_approves_a_refund_and_the_page_shows_the_present_numbers(shop: Shop) -> None:
    refund, kim = waiting_refund(shop), visitor_as(shop, "finance")
    page = kim.get("/ops/approvals").text
    assert "Refund of NT$200 to a bank" in page
    assert "sam@example.com sends the money. Do not send it yourself" in page and "broken" in page
    assert "The order is paid;" in page and "refunded or requested besides this." in page
    assert approve(kim, "refunds", refund)[0] == 303
    page = kim.get("/ops/approvals").text
    assert f"The refund {refund} is approved." in page and "Nothing waits for a second person." in page
    shop.sweep()
    assert refund_row(refund).state == "DONE"


def test_a_refund_to_a_bank_is_approved_only_with_the_confirmation_that_it_was_sent(shop: Shop) -> None:
    refund, kim = waiting_refund(shop), visitor_as(shop, "finance")
    assert 'name="sent" value="yes" required' in kim.get("/ops/approvals").text
    answer = kim.post(f"/ops/approvals/refunds/{refund}/approve")
    assert answer.status_code == 422 and "Check that the money was sent" in answer.text
    assert refund_row(refund).approved_by is None


def test_the_requester_can_only_withdraw_their_own_request_with_a_reason(shop: Shop) -> None:
    ada = visitor_as(shop, "finance")
    me = db.session.scalars(db.select(User).where(User.email == "finance@example.com")).one()
    order = shop.paid_order()
    refund = requests.request(shop.capture(order), Money(20000, "TWD"), reason="", by=Actor.staff(me.id), to="bank").id
    page = ada.get("/ops/approvals").text
    assert "You requested it. Send NT$200 to" in page and "Approve NT$" not in page
    assert approve(ada, "refunds", refund)[0] == 409
    without = ada.post(f"/ops/approvals/refunds/{refund}/decline", {"reason": " "})
    assert without.status_code == 422 and "Give a reason." in without.text
    assert ada.post(f"/ops/approvals/refunds/{refund}/decline", {"reason": "wrong order"}).status_code == 303
    db.session.rollback()
    [entry] = [one for one in audit_search.find().rows if one.act == Act.REFUND_DECLINED]
    assert entry.reason == "wrong order"


def test_of_two_people_who_decide_at_once_the_second_reads_who_was_first(shop: Shop) -> None:
    refund, kim = waiting_refund(shop), visitor_as(shop, "finance")
    kim.get("/ops/approvals")
    requests.approve(refund, shop.kim)
    status, page = approve(kim, "refunds", refund)
    assert status == 409 and f"kim@example.com has approved the refund {refund}." in page


def test_a_large_shortfall_is_requested_on_the_order_and_approved_here(shop: Shop) -> None:
    order, ada, kim = shop.order(), visitor_as(shop, "finance"), visitor_as(shop, "support", "finance")
    shop.acquirer.capture(shop.payment(order).id, money=Money(90000, "TWD"))
    shop.deliver_webhook(shop.payment(order))
    shop.app.config["REFUND_NEEDS_TWO"] = {"TWD": 1000}
    path = f"/ops/orders/{order.number}/accept"
    assert "NT$300 are missing, so a second person has to approve it." in ada.get(path).text
    form = {"about": str(shop.capture(order)), "seen": "90000", "reason": "the rest was cash"}
    assert ada.post(path, form).status_code == 303
    assert ada.post(path, form).status_code == 409
    assert shop.state(order) == "WAITING_PAYMENT"
    page = kim.get("/ops/approvals").text
    assert "Accepted shortfall of NT$300 with a payment of NT$900" in page and order.number in page
    assert "Marks the order as paid after the approval" in kim.get("/ops").text
    request = shortfalls.waiting()[0].id
    assert approve(ada, "shortfalls", request)[0] == 409
    assert approve(kim, "shortfalls", request)[0] == 303
    assert shop.state(order) == "PAID" and "Nothing waits for a second person." in kim.get("/ops/approvals").text
    status, page = approve(kim, "shortfalls", request)
    assert status == 409 and "support-finance@example.com has approved the shortfall" in page


def test_requests_of_all_kinds_are_on_pages_from_the_oldest_to_the_newest(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(90000)
    found = []
    for number in range(3):
        found += [payouts.request(Money(100 + number, "TWD"), by=shop.sam).id, waiting_refund(shop)]
    kim = visitor_as(shop, "finance")
    monkeypatch.setattr(waiting.requests, "__kwdefaults__", {"limit": 2})

    def shown(address: str) -> tuple[list[str], dict[str, str]]:
        page = kim.get(address).text
        links = {rel: unescape(to) for to, rel in re.findall(r'<a href="([^"]+)" rel="(\w+)"', page)}
        return re.findall(r'<h2 id="request-(\w+)"', page), links

    first, links = shown("/ops/approvals")
    assert first == found[:2] and links.keys() == {"next", "last"}
    second, links = shown(links["next"])
    assert second == found[2:4] and links.keys() == {"first", "prev", "next", "last"}
    assert shown(links["prev"])[0] == first and shown(links["next"])[0] == shown(links["last"])[0] == found[4:]
    start = waiting.before(found[0], db.session.get_one(Payout, found[0]).requested_at)
    oldest, links = shown(f"/ops/approvals?after={start}")
    assert oldest == first and shown(links["prev"])[0] == first, "no request is before the oldest"
    for wrong in ("after=1-2", "before=x", "page=2", f"after=1-{'é' * 20}"):
        assert kim.get(f"/ops/approvals?{wrong}").status_code == 422, wrong
    db.session.rollback()
    page = kim.post(f"/ops/approvals/refunds/{found[5]}/approve").text
    assert "Check that the money was sent" in page and f'id="request-{found[5]}"' in page


@pytest.mark.parametrize("role", ["support", "admin"])
def test_support_and_admins_approve_no_money(shop: Shop, role: str) -> None:
    refund, visitor = waiting_refund(shop), visitor_as(shop, role)
    assert "Approve NT$" not in visitor.get("/ops/approvals").text
    assert approve(visitor, "refunds", refund)[0] == 403
    assert refund_row(refund).approved_by is None


def test_a_gift_and_a_payout_are_approved_here_too(shop: Shop) -> None:
    ada = shop.customer()
    with transaction():
        verification.mark(ada)
    gift = gifts.request(ada, Money(5000, "TWD"), by=shop.sam, reason="sorry").id
    settled(90000)
    payout = payouts.request(Money(80000, "TWD"), by=shop.sam).id
    kim = visitor_as(shop, "finance")
    page = kim.get("/ops/approvals").text
    assert "Store credit of" in page and "Payout of" in page and "of settled money are there." in page
    assert approve(kim, "credit", gift)[0] == 303
    assert approve(kim, "payouts", payout)[0] == 303
    assert db.session.get_one(CreditGift, gift, populate_existing=True).state == "APPROVED"
    assert db.session.get_one(Payout, payout, populate_existing=True).state == "APPROVED"


def test_a_request_of_a_person_who_lost_the_permission_lapses(shop: Shop) -> None:
    refund, kim = waiting_refund(shop), visitor_as(shop, "finance")
    with transaction():
        db.session.get_one(User, shop.sam.user_id).roles = []
    status, page = approve(kim, "refunds", refund)
    assert status == 409 and "sam@example.com, who requested this, was disabled" in page
    assert refund_row(refund).approved_by is None


def test_an_unknown_request_is_refused(shop: Shop) -> None:
    kim = visitor_as(shop, "finance")
    for kind in ("refunds", "credit", "payouts"):
        assert approve(kim, kind, "NO-SUCH")[0] == 409, kind
