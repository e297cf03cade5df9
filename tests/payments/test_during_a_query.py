"""Results that a webhook brings during a query: the answer to the query does not undo what they made due."""

from __future__ import annotations

from typing import Any

import pytest

from shop.core import clock
from shop.core.actor import Actor
from shop.core.db import db, transaction
from shop.core.money import Money
from shop.payments.providers.interface import NotFound, Unavailable
from shop.payments.providers.types import PaymentState, RefundState
from shop.payments.records.models import Payment, Refund
from shop.payments.refunds import apply, requests
from tests.fakes import FakePay
from tests.shop_fixtures import Shop

ANSWERS = [NotFound(), Unavailable("timeout")]


@pytest.mark.parametrize("answer", ANSWERS, ids=["not found", "unavailable"])
def test_a_refund_that_is_done_during_its_query_keeps_its_last_query(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, answer: NotFound | Unavailable
) -> None:
    order = shop.paid_order()
    shop.acquirer.misbehave("refund", "wait")
    requests.request(shop.capture(order), Money(100, "TWD"), reason="", by=shop.sam)
    shop.sweep()
    (refund,) = shop.refunds(order)
    assert refund.state == RefundState.PENDING
    expected: list[Any] = []

    def query(*_: Any) -> NotFound | Unavailable:
        apply.result(refund.id, RefundState.DONE, Actor.of_source("webhook"))
        expected.append(db.session.get_one(Refund, refund.id, populate_existing=True).next_check_at)
        db.session.rollback()
        return answer

    monkeypatch.setattr(FakePay, "query_refund", query)
    with transaction():
        db.session.get_one(Refund, refund.id).next_check_at = clock.now()
    shop.sweep()
    (refund,) = shop.refunds(order)
    assert (refund.state, [refund.next_check_at]) == (RefundState.DONE, expected)
    assert refund.next_check_at is not None


@pytest.mark.parametrize("answer", ANSWERS, ids=["not found", "unavailable"])
def test_a_payment_that_is_captured_during_its_query_is_still_confirmed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, answer: NotFound | Unavailable
) -> None:
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id)

    def query(*_: Any) -> NotFound | Unavailable:
        shop.deliver_webhook(payment)
        return answer

    monkeypatch.setattr(FakePay, "query", query)
    shop.make_due(payment)
    shop.sweep()
    db.session.rollback()
    again = db.session.get_one(Payment, payment.id, populate_existing=True)
    assert (shop.state(order), again.state) == ("PAID", PaymentState.CAPTURED)
    assert again.next_check_at is not None, "the capture is queried once more"
    shop.is_sound()
