"""Refunds made at the acquirer with a reference in the format of ours: the capture decides whose they are."""

from __future__ import annotations

from typing import Any

import pytest

from shop.core import ids
from shop.core.db import db
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.integrity.compare import compare_with_acquirer
from shop.ledger import book, chart
from shop.ledger.models import Journal
from shop.orders.models import Order
from shop.payments.calls import request as requests
from shop.payments.providers import registry
from shop.payments.providers.interface import RefundRequest
from shop.payments.records.models import Refund
from shop.payments.records.settlement_models import Discrepancy
from shop.payments.refunds import requests as refund_requests
from shop.payments.refunds import send
from tests.alerts.helpers import of, operational
from tests.parts.waiting import until
from tests.payments.outside_refunds import (
    PROVIDERS,
    REPORTS,
    outside,
    refund_there,
    report_by_all,
    reported_by_eight_at_once,
    reported_by_file,
    reported_by_query,
    reported_by_webhook,
    webhook_sent,
)
from tests.payments.trading import CURRENCY, Trading
from tests.race_fixtures import Race
from tests.shop_fixtures import Shop

SOURCES = pytest.mark.parametrize("source", list(REPORTS))


def state_of(refund: str) -> str:
    db.session.rollback()
    return db.session.get_one(Refund, refund).state


@pytest.mark.whole_sweep
@SOURCES
def test_a_refund_with_an_id_of_our_shape_that_we_do_not_have_is_booked_once_with_one_alert(
    shop: Shop, source: str
) -> None:
    order = shop.paid_order()
    lost = refund_there(shop, order, 30, name=ids.refund_id())
    report_by_all(shop, order, lost, source)
    amount = order.total_amount * 30 // 100
    assert outside(shop, order) == [(f"fakepay:{lost}", "DONE", amount)]
    assert (shop.state(order), book.balance(chart.REFUNDS, "TWD").amount) == ("PARTIALLY_REFUNDED", amount)
    sides = compare_with_acquirer(order.id)
    assert sides["difference"] == {}
    assert [one["id"] for one in sides["payments"][0]["theirs"]["refunds"]] == [f"fakepay:{lost}"]
    with pytest.raises(Refusal) as refused:
        refund_requests.request(shop.capture(order), order.total, reason="", by=shop.sam)
    assert refused.value.details["refundable"] == order.total_amount - amount
    shop.turn(minutes=5)
    assert of(order) == [("OPS_REFUND_OUTSIDE", "NEW")]
    assert [rule for rule, _, _ in operational()] == ["OPS_REFUND_OUTSIDE"]


def test_a_refund_with_an_id_of_our_shape_of_a_payment_that_we_do_not_have_stays_an_orphan(shop: Shop) -> None:
    order = shop.paid_order()
    refund = refund_there(shop, order, name=ids.refund_id())
    remote = shop.acquirer.payments[shop.payment(order).id]
    remote.reference, remote.captures = ids.payment_id(), [remote.captures[0]]
    reported = [refund, "DONE", refund, 500, "TWD", "cap-unknown", remote.reference]
    headers, body = shop.acquirer.webhook(
        remote.reference, "e1", state=None, captures=[], decline=None, show=None, refund=reported
    )
    assert shop.receive(headers, body) == (200, "orphan")
    assert (outside(shop, order), shop.state(order)) == ([], "PAID")


@pytest.mark.whole_sweep
@SOURCES
@pytest.mark.parametrize("sent", [True, False], ids=["sent", "not sent"])
@pytest.mark.parametrize("same", [True, False], ids=["same payment", "other payment"])
@pytest.mark.parametrize("fits", [True, False], ids=["same amount", "other amount"])
def test_a_report_with_an_id_of_ours_is_about_our_refund_only_if_payment_and_amount_fit_and_it_was_sent(
    shop: Shop, source: str, sent: bool, same: bool, fits: bool
) -> None:
    order, other = shop.paid_order(), shop.paid_order()
    shop.app.config["REFUND_NEEDS_TWO"] = {"TWD": 10**9 if sent else 0}
    shop.acquirer.misbehave("refund", "lose_request")
    ours = refund_requests.request(shop.capture(order), Money(500, "TWD"), reason="", by=shop.sam).id
    shop.sweep()
    before = state_of(ours)
    assert before == ("UNKNOWN" if sent else "REQUESTED")
    about = order if same else other
    capture = shop.acquirer.payments[shop.payment(about).id].captures[0].id
    shop.acquirer.refund_outside(capture, Money(500 if fits else 1000, "TWD"), name=ours)
    report_by_all(shop, about, ours, source)
    is_ours = sent and same and fits
    if is_ours and source == "query":  # the query of the refund itself returns it
        shop.turn(minutes=1)
    assert state_of(ours) == ("DONE" if is_ours else before)
    made_there = [] if is_ours else [(f"fakepay:{ours}", "DONE", 500 if fits else 1000)]
    assert outside(shop, about) == made_there
    assert shop.state(about) == "PARTIALLY_REFUNDED"
    assert (shop.state(order) == "PAID") == (not same)
    assert compare_with_acquirer(about.id)["difference"] == {}
    shop.turn(minutes=5)
    made_outside = [alert for alert in of(about) if alert[0] == "OPS_REFUND_OUTSIDE"]
    assert made_outside == ([] if is_ours else [("OPS_REFUND_OUTSIDE", "NEW")])
    if not is_ours and sent:
        assert state_of(ours) == "REJECTED", "the acquirer has another refund under our id"
    assert compare_with_acquirer(about.id)["difference"] == {}


def test_a_refund_whose_id_was_used_at_the_acquirer_before_we_sent_it_is_rejected_and_not_booked_twice(
    shop: Shop,
) -> None:
    shop.app.config["REFUND_NEEDS_TWO"] = {"TWD": 0}
    order = shop.paid_order()
    ours = refund_requests.request(shop.capture(order), Money(500, "TWD"), reason="", by=shop.sam).id
    capture = shop.acquirer.payments[shop.payment(order).id].captures[0].id
    reported_by_webhook(shop, shop.acquirer.refund_outside(capture, Money(500, "TWD"), name=ours))
    refund_requests.approve(ours, shop.kim)
    shop.sweep()
    assert not [call for call in shop.acquirer.calls if call[0] == "refund"], "it was not sent"
    assert [(one.state, one.rejected_code) for one in shop.refunds(order) if one.id == ours] == [
        ("REJECTED", "id_taken")
    ]
    assert (book.balance(chart.REFUNDS, "TWD").amount, compare_with_acquirer(order.id)["difference"]) == (500, {})
    report_by_all(shop, order, ours, "file")
    assert (book.balance(chart.REFUNDS, "TWD").amount, len(outside(shop, order))) == (500, 1)


def test_a_file_that_is_wrong_about_the_amount_of_our_booked_refund_is_a_discrepancy_and_no_other_refund(
    shop: Shop,
) -> None:
    order = shop.paid_order()
    ours = refund_requests.request(shop.capture(order), Money(500, "TWD"), reason="", by=shop.sam).id
    shop.sweep()
    capture, _, state = shop.acquirer.refunds[ours]
    shop.acquirer.refunds[ours] = (capture, Money(600, "TWD"), state)
    reported_by_file(shop, order, ours)
    assert (outside(shop, order), book.balance(chart.REFUNDS, "TWD").amount) == ([], 500)
    found = [row.cause for row in db.session.scalars(db.select(Discrepancy))]
    assert "amount" in found


@pytest.mark.whole_sweep
@pytest.mark.parametrize("known", [True, False], ids=["known id", "unknown id"])
def test_eight_concurrent_reports_of_a_refund_with_an_id_of_our_format_book_it_once(
    shop: Shop, race: Race, known: bool
) -> None:
    shop.app.config["REFUND_NEEDS_TWO"] = {"TWD": 0}
    for _ in range(2):
        order = shop.paid_order()
        ours = (
            refund_requests.request(shop.capture(order), Money(500, "TWD"), reason="", by=shop.sam).id if known else ""
        )
        refund = refund_there(shop, order, 40, name=ours or ids.refund_id())
        reported_by_eight_at_once(shop, race, order, refund)
        assert (shop.state(order), len(outside(shop, order))) == ("PARTIALLY_REFUNDED", 1)
        journals = db.select(Journal.key).where(Journal.order_id == order.id, Journal.kind == "refund")
        assert db.session.scalars(journals).all() == [f"refund:fakepay:{refund}"]
        assert not ours or state_of(ours) == "REQUESTED"
        shop.turn(minutes=5)
        assert of(order) == [("OPS_REFUND_OUTSIDE", "NEW")]


def test_a_refund_that_is_sent_while_seven_webhooks_report_one_with_its_id_is_booked_once(
    shop: Shop, race: Race
) -> None:
    """The first report decides whose the refund is; its money is booked once in any case."""
    for _ in range(3):
        order = shop.paid_order()
        ours = refund_requests.request(shop.capture(order), Money(500, "TWD"), reason="", by=shop.sam).id
        capture = shop.acquirer.payments[shop.payment(order).id].captures[0].id
        shop.acquirer.refund_outside(capture, Money(500, "TWD"), name=ours)

        def act(number: int, order: Order = order, ours: str = ours) -> Any:
            if number == 4:
                return send.do(ours)
            return (
                reported_by_webhook(shop, ours, f"evt-{ours}-{number}")
                if number % 2
                else reported_by_query(shop, order)
            )

        results = race(act)
        assert not [one for one in results if isinstance(one, Exception)], results
        shop.sweep()
        journals = db.select(Journal.key).where(Journal.order_id == order.id, Journal.kind == "refund")
        assert len(db.session.scalars(journals).all()) == 1
        assert compare_with_acquirer(order.id)["difference"] == {}


# --- the real acquirer, in all dialects ---


def refund_with_our_key(trading: Trading, order: Order, refund: str, amount: int) -> None:
    """Another system of ours makes a refund through the API with a reference in our format."""
    capture = trading.capture(order)
    requested = requests.load(trading.shop.payment(order).id)
    provider = registry.get(capture.provider)
    assert requested and provider
    if provider.NAME == "stripe":  # metadata alone, because an idempotency key belongs to its caller
        refund_request = {"charge": capture.capture_id, "amount": amount, "metadata": {"settled_refund": refund}}
        provider._api.refunds.create(refund_request)  # type: ignore[attr-defined]
        return
    provider.refund(requested.request, RefundRequest(refund, Money(amount, capture.currency), capture.capture_id))


@pytest.mark.full
@pytest.mark.whole_sweep
@pytest.mark.sample(4)
@pytest.mark.parametrize("known", [True, False], ids=["known id", "unknown id"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_in_every_dialect_a_refund_with_an_id_of_our_shape_is_booked_by_query_and_file_once(
    trading: Trading, provider: str, known: bool
) -> None:
    shop, order = trading.shop, trading.paid(provider)
    shop.app.config["REFUND_NEEDS_TWO"] = {CURRENCY[provider]: 0}
    name = ids.refund_id()
    if known:  # it waits for its second person
        name = refund_requests.request(shop.capture(order), Money(500, CURRENCY[provider]), reason="", by=shop.sam).id
    unseen = trading.paid(provider)
    refund_with_our_key(trading, order, name, 1000)
    refund_with_our_key(trading, unseen, ids.refund_id(), 1000)
    trading.day_is_over()
    trading.look(order)
    trading.reconcile(provider)
    for one in (order, unseen):
        assert [(state, amount) for _, state, amount in outside(shop, one)] == [("DONE", 1000)]
        assert shop.state(one) == "PARTIALLY_REFUNDED"
        assert compare_with_acquirer(one.id)["difference"] == {}
    assert not known or state_of(name) == "REQUESTED"
    assert trading.discrepancies() == []
    shop.turn(minutes=5)
    rules = sorted(rule for one in (order, unseen) for rule, _ in of(one))
    assert rules == ["OPS_APPROVAL_WAITS"] * known + ["OPS_REFUND_OUTSIDE"] * 2


@pytest.mark.parametrize("provider", ["kpay", "stripe"])
def test_where_refunds_are_reported_by_webhook_one_with_an_id_of_our_format_is_recognised(
    trading: Trading, provider: str
) -> None:
    order = trading.paid(provider)
    refund_with_our_key(trading, order, ids.refund_id(), 1000)
    headers, body = until(lambda: webhook_sent(trading, order)) or ({}, b"")
    reported = trading.shop.receive({name.lower(): value for name, value in headers.items()}, body, provider)
    assert reported[0] == 200 and reported[1] == "applied"
    trading.look(order)
    assert (trading.shop.state(order), len(outside(trading.shop, order))) == ("PARTIALLY_REFUNDED", 1)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_in_every_dialect_a_refund_under_our_id_in_another_amount_does_not_answer_for_ours(
    trading: Trading, provider: str
) -> None:
    """The request was lost, and meanwhile the acquirer has another refund under our id."""
    order = trading.paid(provider)
    ours = refund_requests.request(
        trading.shop.capture(order), Money(500, CURRENCY[provider]), reason="", by=trading.shop.sam
    ).id
    refund_with_our_key(trading, order, ours, 1000)
    trading.shop.sweep()
    trading.day_is_over()
    trading.shop.sweep()
    trading.look(order)
    assert [(state, amount) for _, state, amount in outside(trading.shop, order)] == [("DONE", 1000)]
    expected = "DONE" if provider == "stripe" else "REJECTED"  # metadata is no idempotency key there: ours was made too
    assert state_of(ours) == expected
    assert compare_with_acquirer(order.id)["difference"] == {}
