"""Payouts and disputes in the console."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from shop.core import clock
from shop.core.db import db
from shop.payments.disputes import disputes
from shop.payments.providers.interface import DisputeFact
from shop.payouts import payouts
from tests.fakes import FakePay
from tests.ops.conftest import visitor_as
from tests.payouts.settlement import settled
from tests.shop_fixtures import Shop


def test_a_payout_is_requested_with_a_reason_and_waits_for_another_person(shop: Shop) -> None:
    settled(90000)
    ada = visitor_as(shop, "finance")
    assert "NT$900" in ada.get("/ops/payouts").text
    answer = ada.post("/ops/payouts", {"amount": "800", "currency": "TWD", "reason": "rent"})
    assert answer.status_code == 303
    page = ada.get("/ops/payouts").text
    assert "You have requested the payout." in page and "NT$800" in page and "rent" in page
    [waiting] = payouts.waiting()
    [place] = re.findall(rf'href="(/ops/approvals\?after=[\w-]+)#request-{waiting.id}"', page)
    assert f'id="request-{waiting.id}"' in ada.get(place).text


WRONG = {
    "nothing": ({"amount": "0"}, "Enter an amount greater than zero"),
    "more than is there": ({"amount": "901"}, "Only NT$900 can be paid out."),
    "no number": ({"amount": "much"}, "much"),
    "an unknown currency": ({"currency": "EUR"}, "Choose one of TWD"),
    "no reason": ({"reason": " "}, "Give a reason."),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_payout_that_cannot_be_made_is_refused_and_what_was_typed_stays(shop: Shop, what: str) -> None:
    settled(90000)
    changed, sentence = WRONG[what]
    ada = visitor_as(shop, "finance")
    ada.get("/ops/payouts")
    answer = ada.post("/ops/payouts", {"amount": "800", "currency": "TWD", "reason": "rent", **changed})
    assert answer.status_code in (409, 422) and sentence in answer.text
    assert f'value="{changed.get("amount", "800")}"' in answer.text
    db.session.rollback()
    assert payouts.waiting() == []


@pytest.mark.parametrize("page", ["https://acquirer.example/disputes/dp_1", ""])
def test_a_dispute_links_to_its_page_at_the_acquirer_where_there_is_one(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    monkeypatch.setattr(FakePay, "dispute_page", lambda _self, number: page)
    order = shop.paid_order()
    theirs = shop.acquirer.payments[shop.payment(order).id].captures[0]
    fact = DisputeFact("dp_1", theirs.id, "chargeback", "OPEN", theirs.money, clock.now())
    assert disputes.apply("fakepay", fact, "webhook") == "applied"
    support = visitor_as(shop, "support")
    for path in ("/ops/disputes", f"/ops/orders/{order.number}"):
        assert (f'href="{page}" rel="noreferrer">dp_1</a>' in support.get(path).text) is bool(page)


def test_disputes_are_listed_by_the_date_of_their_answer_and_are_among_what_is_to_do(shop: Shop) -> None:
    order = shop.paid_order()
    theirs = shop.acquirer.payments[shop.payment(order).id].captures[0]
    until = clock.now() + timedelta(days=7)
    fact = DisputeFact("dp_1", theirs.id, "chargeback", "OPEN", theirs.money, clock.now(), "fraudulent", until)
    assert disputes.apply("fakepay", fact, "webhook") == "applied"
    support = visitor_as(shop, "support")
    page = support.get("/ops/disputes").text
    assert "dp_1" in page and order.number in page and "fraudulent" in page
    assert "Chargeback at fakepay (fraudulent)" in support.get("/ops").text
