"""Refunds made in the acquirer's dashboard: recognised from every source, booked once, and reported to staff once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import structlog

from shop.core import clock
from shop.core.actor import Actor
from shop.core.db import db, transaction
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.explain.order_rows import OrderRows
from shop.explain.why import why
from shop.integrity.compare import compare_with_acquirer
from shop.ledger import book, chart
from shop.ledger.models import Journal
from shop.orders.models import Order
from shop.payments.disputes import disputes
from shop.payments.providers import registry
from shop.payments.providers.interface import DisputeFact
from shop.payments.records.models import Payment, Refund
from shop.payments.records.types import RefundDestination
from shop.payments.refunds import apply, requests
from tests.alerts.helpers import all_alerts, of, operational
from tests.parts.waiting import until
from tests.payments.outside_refunds import (
    PROVIDERS,
    REPORTS,
    late_capture,
    outside,
    refund_there,
    report_by_all,
    reported_by_eight_at_once,
    reported_by_file,
    reported_by_query,
    reported_by_webhook,
    webhook_sent,
)
from tests.payments.trading import Trading
from tests.race_fixtures import Race
from tests.shop_fixtures import Shop


@pytest.mark.whole_sweep
@pytest.mark.parametrize("source", ["webhook", "query", "file"])
@pytest.mark.parametrize(
    ("percent", "state", "key"), [(100, "REFUNDED", "refunded"), (30, "PARTIALLY_REFUNDED", "partly_refunded")]
)
def test_a_refund_made_at_the_acquirer_is_booked_moves_its_order_and_is_one_alert(
    shop: Shop, source: str, percent: int, state: str, key: str
) -> None:
    order = shop.paid_order()
    refund = refund_there(shop, order, percent)
    REPORTS[source](shop, order, refund)
    amount = order.total_amount * percent // 100
    assert outside(shop, order) == [(f"fakepay:{refund}", "DONE", amount)]
    assert (shop.state(order), shop.order_status(order).key) == (state, key)
    assert book.balance(chart.REFUNDS, "TWD").amount == amount
    assert "made at Fakepay and not requested by the shop" in why(OrderRows(db.session.get_one(Order, order.id)))
    assert compare_with_acquirer(order.id)["difference"] == {}
    report_by_all(shop, order, refund, source)
    shop.turn(minutes=5)
    assert of(order) == [("OPS_REFUND_OUTSIDE", "NEW")]
    assert len(outside(shop, order)) == 1


def test_what_is_left_after_a_refund_outside_is_what_staff_can_refund(shop: Shop) -> None:
    order = shop.paid_order()
    reported_by_webhook(shop, refund_there(shop, order, 60))
    with pytest.raises(Refusal) as refused:
        requests.request(shop.capture(order), order.total, reason="", by=shop.sam)
    assert refused.value.details["refundable"] == order.total_amount * 40 // 100
    requests.request(shop.capture(order), None, reason="", by=shop.sam)
    shop.sweep()
    assert shop.state(order) == "REFUNDED"


def test_a_refused_refund_leads_to_a_poll_that_finds_the_outside_refund(shop: Shop) -> None:
    order = shop.paid_order()
    refund_there(shop, order)
    ours = requests.request(shop.capture(order), order.total, reason="", by=shop.sam)
    shop.sweep()
    shop.sweep()
    assert (shop.state(order), len(outside(shop, order))) == ("REFUNDED", 1)
    assert db.session.get_one(Refund, ours.id).state == "REJECTED"


@pytest.mark.whole_sweep
def test_an_unsent_automatic_refund_is_withdrawn_when_its_money_was_refunded_outside(shop: Shop) -> None:
    order = late_capture(shop)
    assert [one.state for one in shop.refunds(order)] == ["REQUESTED"]
    reported_by_webhook(shop, refund_there(shop, order))
    shop.sweep()
    assert not [call for call in shop.acquirer.calls if call[0] == "refund"], "it was not sent"
    assert sorted((one.kind, one.state) for one in shop.refunds(order)) == [("late", "REJECTED"), ("outside", "DONE")]
    shop.turn(minutes=5)
    assert sorted(of(order)) == [("OPS_REFUND_OUTSIDE", "NEW"), ("RULE_C", "RESOLVED")]
    assert shop.order_status(order).key == "late"


def test_the_rest_of_a_late_capture_with_a_partial_outside_refund_is_refunded_automatically(shop: Shop) -> None:
    order = late_capture(shop)
    reported_by_webhook(shop, refund_there(shop, order, 30))
    shop.sweep()
    assert sum(one.amount for one in shop.refunds(order) if one.state == "DONE") == order.total_amount
    assert book.balance(chart.UNALLOCATED_FUNDS, "TWD").amount == 0


@pytest.mark.parametrize("ends", ["WON", "LOST"])
def test_the_rest_of_a_disputed_late_capture_is_under_review(shop: Shop, ends: str) -> None:
    """Found by a generated history: 30 % was refunded at the acquirer while a chargeback held the rest."""
    order = late_capture(shop)
    theirs = shop.acquirer.payments[shop.payment(order).id].captures[0]
    chargeback = DisputeFact("dp_1", theirs.id, "chargeback", "OPEN", theirs.money, clock.now(), "fraudulent")
    assert disputes.apply("fakepay", chargeback, "webhook") == "applied"
    reported_by_webhook(shop, refund_there(shop, order, 30))
    shop.sweep()
    shop.is_sound()
    assert db.session.get_one(Order, order.id, populate_existing=True).review_since
    assert disputes.apply("fakepay", replace(chargeback, state=ends), "webhook") == "applied"
    if ends == "WON":
        requests.request(shop.capture(order), None, reason="won back", by=shop.sam)
        shop.sweep()
    assert not db.session.get_one(Order, order.id, populate_existing=True).review_since


@pytest.mark.whole_sweep
@pytest.mark.parametrize("reported_first", [True, False])
def test_after_a_partial_outside_refund_a_refused_automatic_refund_is_replaced_by_one_of_the_rest(
    shop: Shop, reported_first: bool
) -> None:
    """It was never sent, but after an attempt that is unknown, so it is not withdrawn."""
    order = late_capture(shop, "unreachable")
    shop.sweep()
    refund = refund_there(shop, order, 30)
    if reported_first:
        reported_by_webhook(shop, refund)
    assert [(one.state, one.checks) for one in shop.refunds(order) if one.kind == "late"] == [("REQUESTED", 1)]
    shop.turn(minutes=5)
    ended = sorted((one.kind, one.state, one.amount * 100 // order.total_amount) for one in shop.refunds(order))
    assert ended == [("late", "DONE", 70), ("late", "REJECTED", 100), ("outside", "DONE", 30)]
    assert book.balance(chart.UNALLOCATED_FUNDS, "TWD").amount == 0
    shop.turn(minutes=5)
    assert ("OPS_REFUND_REJECTED", "RESOLVED") in of(order) and ("RULE_C", "RESOLVED") in of(order)
    assert shop.order_status(order).key == "late" and len(shop.refunds(order)) == 3


def test_an_automatic_refund_that_failed_later_is_left_to_staff_when_a_part_was_refunded_outside(
    shop: Shop,
) -> None:
    order = late_capture(shop)
    shop.sweep()
    (ours,) = shop.refunds(order)
    shop.acquirer.refund_becomes(ours.id, "REJECTED")
    apply.result(ours.id, "REJECTED", Actor.of_source("webhook"))
    reported_by_webhook(shop, refund_there(shop, order, 30))
    shop.sweep()
    assert [(one.kind, one.state) for one in shop.refunds(order)] == [("late", "REJECTED"), ("outside", "DONE")]


def test_a_manual_refund_is_left_to_staff_when_its_money_was_refunded_at_the_acquirer(shop: Shop) -> None:
    order = shop.paid_order()
    ours = requests.request(shop.capture(order), order.total, reason="", by=shop.sam, to=RefundDestination.BANK).id
    reported_by_webhook(shop, refund_there(shop, order))
    assert db.session.get_one(Refund, ours, populate_existing=True).state == "REQUESTED"
    requests.approve(ours, shop.kim)
    shop.sweep()
    assert sorted((one.kind, one.state) for one in shop.refunds(order)) == [("customer", "DONE"), ("outside", "DONE")]
    assert book.balance(chart.REFUNDS, "TWD").amount == 2 * order.total_amount, "both have gone"


def test_an_unsent_manual_refund_is_declined_after_its_money_was_refunded_at_the_acquirer(shop: Shop) -> None:
    order = shop.paid_order()
    ours = requests.request(shop.capture(order), order.total, reason="", by=shop.sam, to=RefundDestination.BANK).id
    reported_by_webhook(shop, refund_there(shop, order))
    requests.decline(ours, shop.kim)
    assert shop.state(order) == "REFUNDED"
    assert book.balance(chart.REFUNDS, "TWD").amount == order.total_amount


def test_a_mismatch_that_was_refunded_outside_is_no_longer_under_review(shop: Shop) -> None:
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id, money=Money(500, "TWD"))
    shop.deliver_webhook(payment)
    assert shop.order_status(order).key == "review"
    reported_by_webhook(shop, refund_there(shop, order))
    assert db.session.get_one(Order, order.id, populate_existing=True).review_since is None
    assert "pay" in shop.order_status(order).can


def test_a_duplicate_that_was_refunded_at_the_acquirer_is_not_refunded_twice(shop: Shop) -> None:
    order = shop.paid_order()
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id)
    refund_there(shop, order)  # of the second one, before the shop knows of it
    shop.deliver_webhook(payment)
    reported_by_query(shop, order)
    shop.sweep()
    assert (shop.state(order), book.balance(chart.UNALLOCATED_FUNDS, "TWD").amount) == ("PAID", 0)
    assert len([one for one in shop.refunds(order) if one.state == "DONE"]) == 1


def test_a_capture_and_its_refund_reported_at_once_are_both_booked(shop: Shop) -> None:
    order = shop.order()
    shop.acquirer.capture(shop.payment(order).id)
    refund_there(shop, order)
    reported_by_query(shop, order)
    assert shop.moves(order)[-2:] == ["PAID", "REFUNDED"]


@pytest.mark.whole_sweep
def test_a_refund_that_is_reported_before_its_capture_waits_for_it(shop: Shop) -> None:
    order = shop.order()
    shop.acquirer.capture(shop.payment(order).id)
    refund = refund_there(shop, order)
    assert reported_by_webhook(shop, refund) == (200, "orphan")
    shop.turn(seconds=6)
    assert (shop.state(order), len(outside(shop, order))) == ("REFUNDED", 1)
    shop.turn(minutes=5)
    assert [rule for rule, _, _ in operational()] == ["OPS_REFUND_OUTSIDE"]


def test_a_webhook_about_a_refund_whose_capture_is_unknown_makes_its_payment_due(shop: Shop) -> None:
    """The webhook about the capture was lost, and the payment is polled once in minutes."""
    order = shop.order()
    shop.acquirer.capture(shop.payment(order).id)
    refund = refund_there(shop, order)
    with transaction():
        db.session.execute(db.update(Payment).values(next_check_at=clock.now() + timedelta(minutes=10)))
    reported_by_webhook(shop, refund)
    shop.sweep()
    assert shop.state(order) == "REFUNDED", "the query brought the capture and its refund"
    shop.turn(seconds=6)
    assert len(outside(shop, order)) == 1


def test_a_pending_outside_refund_is_polled_until_it_is_done(shop: Shop) -> None:
    order = shop.paid_order()
    refund = refund_there(shop, order, state="PENDING")
    reported_by_webhook(shop, refund)
    assert (shop.state(order), shop.order_status(order).key) == ("PAID", "refund_pending")
    shop.acquirer.refund_becomes(refund, "DONE")
    shop.turn(seconds=31)
    assert shop.state(order) == "REFUNDED"


def test_an_outside_refund_that_fails_later_takes_the_order_back_to_paid(shop: Shop) -> None:
    order = shop.paid_order()
    refund = refund_there(shop, order)
    reported_by_webhook(shop, refund)
    shop.acquirer.refund_becomes(refund, "REJECTED")
    shop.turn(days=1, minutes=1)
    assert shop.moves(order)[-2:] == ["REFUNDED", "PAID"]
    assert requests.request(shop.capture(order), None, reason="", by=shop.sam).money == order.total
    shop.sweep()


def test_our_own_refund_is_never_taken_for_one_made_outside(shop: Shop) -> None:
    order = shop.paid_order()
    shop.acquirer.misbehave("refund", "lose_answer")
    ours = requests.request(shop.capture(order), Money(500, "TWD"), reason="", by=shop.sam)
    shop.sweep()
    reported_by_query(shop, order)
    reported_by_webhook(shop, ours.id)
    reported_by_file(shop, order, ours.id)
    shop.sweep()
    assert [(one.kind, one.state) for one in shop.refunds(order)] == [("customer", "DONE")]
    assert operational() == []


@pytest.mark.whole_sweep
@pytest.mark.parametrize("source", ["webhook", "query", "file"])
def test_an_outside_refund_in_another_currency_is_not_booked_and_is_one_alert_however_often_reported(
    shop: Shop, source: str
) -> None:
    order = shop.paid_order()
    capture = shop.acquirer.payments[shop.payment(order).id].captures[0]
    refund = shop.acquirer.refund_outside(capture.id, Money(100, "JPY"))
    with structlog.testing.capture_logs() as logged:
        report_by_all(shop, order, refund, source)
        reported_by_query(shop, order)
    assert outside(shop, order) == [] and shop.state(order) == "PAID"
    levels = [line["log_level"] for line in logged if line["event"] == "refund.other_currency"]
    assert levels[0] == "error" and set(levels[1:]) == {"info"}, levels
    for _ in range(2):
        shop.turn(minutes=5)
        assert [one for one in of(order) if one[0] == "OPS_REFUND_OUTSIDE"] == [("OPS_REFUND_OUTSIDE", "NEW")]
    (alert,) = [one for one in all_alerts() if one.rule == "OPS_REFUND_OUTSIDE"]
    assert (alert.observed["refund"], alert.observed["notBooked"]) == (f"fakepay:{refund}", "other_currency")


@pytest.mark.whole_sweep
def test_eight_concurrent_reports_of_an_outside_refund_book_it_once(shop: Shop, race: Race) -> None:
    """Webhook, query and settlement file at the same time."""
    for _ in range(3):
        order = shop.paid_order()
        refund = refund_there(shop, order)
        reported_by_eight_at_once(shop, race, order, refund)
        assert (shop.state(order), len(outside(shop, order))) == ("REFUNDED", 1)
        journals = db.select(Journal.key).where(Journal.order_id == order.id, Journal.kind == "refund")
        assert len(db.session.scalars(journals).all()) == 1
        shop.turn(minutes=5)
        assert of(order) == [("OPS_REFUND_OUTSIDE", "NEW")]


def test_the_command_orders_show_finds_an_outside_refund(shop: Shop) -> None:
    order = shop.paid_order()
    refund_there(shop, order, 30)
    result = shop.app.test_cli_runner().invoke(args=["orders", "show", order.number])
    assert "both sides agree" in result.stdout and "Partially refunded because refund fakepay:X1" in result.stdout
    assert shop.state(order) == "PARTIALLY_REFUNDED"


# --- the real acquirer, in all dialects ---


def _refund_in_the_dashboard(trading: Trading, order: Order, amount: int | None = None) -> None:
    trading.acquirer.act(trading.shop.payment(order).id, "refund", **({"amount": amount} if amount else {}))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_in_every_dialect_a_query_reports_a_refund_in_the_dashboard(trading: Trading, provider: str) -> None:
    order = trading.paid(provider)
    _refund_in_the_dashboard(trading, order, 1000)
    _refund_in_the_dashboard(trading, order)
    trading.look(order)
    assert trading.shop.state(order) == "REFUNDED"
    assert compare_with_acquirer(order.id)["difference"] == {}
    assert len(outside(trading.shop, order)) == 2


@pytest.mark.whole_sweep
@pytest.mark.parametrize("provider", PROVIDERS)
def test_in_every_dialect_the_settlement_file_reports_the_same_refund(trading: Trading, provider: str) -> None:
    unseen, seen = trading.paid(provider), trading.paid(provider)
    for order in (unseen, seen):
        _refund_in_the_dashboard(trading, order)
    trading.look(seen)
    trading.day_is_over()
    trading.reconcile(provider)
    assert [trading.shop.state(order) for order in (unseen, seen)] == ["REFUNDED", "REFUNDED"]
    assert [len(outside(trading.shop, order)) for order in (unseen, seen)] == [1, 1]
    assert trading.discrepancies() == []
    trading.shop.turn(minutes=5)
    assert [rule for order in (unseen, seen) for rule, _ in of(order)] == ["OPS_REFUND_OUTSIDE"] * 2


@pytest.mark.parametrize("provider", ["kpay", "stripe"])
def test_where_refunds_are_reported_by_webhook_one_in_the_dashboard_is_recognised(
    trading: Trading, provider: str
) -> None:
    order = trading.paid(provider)
    _refund_in_the_dashboard(trading, order)
    headers, body = until(lambda: webhook_sent(trading, order)) or ({}, b"")
    assert trading.shop.receive({name.lower(): value for name, value in headers.items()}, body, provider)[0] == 200
    assert (trading.shop.state(order), len(outside(trading.shop, order))) == ("REFUNDED", 1)
    trading.look(order)
    assert len(outside(trading.shop, order)) == 1


def test_refunds_of_two_tpay_trades_under_the_same_number_are_two(trading: Trading) -> None:
    orders = [trading.paid("tpay"), trading.paid("tpay")]
    provider = registry.get("tpay")
    assert provider
    for order in orders:
        trade, charge = trading.shop.payment(order).id, trading.capture(order).capture_id
        refund_request = {"MerchantTradeNo": trade, "ChargeNo": charge, "RefundNo": "R1", "RefundAmount": "10"}
        assert provider._call("refund", **refund_request)["RtnCode"] == "1"  # type: ignore[attr-defined]
    trading.day_is_over()
    for order in orders:
        trading.look(order)
    assert [trading.shop.state(order) for order in orders] == ["PARTIALLY_REFUNDED"] * 2
    assert [compare_with_acquirer(order.id)["difference"] for order in orders] == [{}, {}]
    trading.reconcile("tpay")
    assert trading.discrepancies() == []
    assert [len(outside(trading.shop, order)) for order in orders] == [1, 1]


def test_paypay_s_cancelling_of_a_paid_payment_is_a_refund_outside(trading: Trading) -> None:
    order = trading.paid("paypay")
    provider = registry.get("paypay")
    assert provider
    answer = provider._call("DELETE", f"/v2/payments/{trading.shop.payment(order).id}")  # type: ignore[attr-defined]
    assert answer.status_code == 202
    trading.pass_until((clock.now() + timedelta(minutes=5)).isoformat())
    trading.look(order)
    assert (trading.shop.state(order), len(outside(trading.shop, order))) == ("REFUNDED", 1)
    trading.day_is_over()
    trading.reconcile("paypay")
    assert (trading.discrepancies(), len(outside(trading.shop, order))) == ([], 1)
