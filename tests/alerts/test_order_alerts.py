"""Alerts about orders, from the acquirer's webhook to one row and one event."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from shop.alerts import conditions, store, watcher
from shop.alerts.models import Alert, Watched
from shop.core import clock, outbox, redis
from shop.core.db import db
from shop.core.event_types import Stream
from shop.core.money import Money
from shop.jobs import effects
from shop.orders.models import Order
from shop.payments.providers.interface import Facts
from shop.payments.providers.types import PaymentState
from shop.payments.records.models import Capture, Payment, Refund
from shop.payments.refunds import requests, send
from shop.payments.updates import decide
from shop.payments.updates.apply import accept, apply
from shop.payments.updates.snapshot import PaymentUpdate
from tests.alerts.helpers import all_alerts, of, published
from tests.parts.redis_server import RedisServer
from tests.race_fixtures import Race
from tests.shop_fixtures import Shop


def paid(shop: Shop, **wrong: Any) -> Order:
    """An order with a capture that a webhook has reported."""
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id, **wrong)
    shop.deliver_webhook(payment)
    shop.sweep()
    return order


def expired(shop: Shop) -> tuple[Order, Payment]:
    order = shop.order()
    shop.turn(minutes=31)
    assert shop.state(order) == "EXPIRED"
    return order, shop.payment(order)


def capture_of(order: Order, allocation: str) -> int:
    db.session.rollback()
    found = db.select(Capture.id).join(Payment).where(Payment.order_id == order.id, Capture.allocation == allocation)
    return db.session.scalars(found).one()


# --- no alert ---


def test_a_paid_and_confirmed_order_is_checked_and_leaves_the_watch_list(shop: Shop) -> None:
    order = paid(shop)
    assert shop.count(Watched) == 1
    shop.turn(seconds=36)
    shop.sweep()
    assert (of(order), shop.count(Watched)) == ([], 0)


def test_a_decline_and_then_a_success_in_one_session_pays_without_an_alert(shop: Shop) -> None:
    """Case 6."""
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.decline(payment.id)
    shop.deliver_webhook(payment)
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    shop.deliver_webhook(payment, state="FAILED", captures=[])
    shop.turn(seconds=40)
    assert (shop.state(order), of(order)) == ("PAID", [])


def test_a_customer_s_refund_is_no_alert(shop: Shop) -> None:
    order = paid(shop)
    requests.request(capture_of(order, "pays_order"), order.total, reason="", by=shop.sam)
    shop.turn(seconds=40)
    assert (shop.state(order), of(order)) == ("REFUNDED", [])


# --- A ---


def test_a_signed_capture_that_we_cannot_apply_is_rule_a_after_30_s_and_over_when_it_is_applied(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(*_: Any, **__: Any) -> str:
        raise RuntimeError("a mistake of ours")

    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id)
    with monkeypatch.context() as patch:
        patch.setattr(decide, "decide", poisoned)
        shop.deliver_webhook(payment)
        shop.turn(seconds=25)
        assert of(order) == []
        shop.turn(seconds=11)
        assert of(order) == [("RULE_A", "NEW")]
        shop.turn(seconds=60)
        assert of(order) == [("RULE_A", "NEW")]
    shop.turn(minutes=2)
    shop.turn(seconds=36)
    assert (shop.state(order), of(order)) == ("PAID", [("RULE_A", "RESOLVED")])
    (event,) = published()
    assert event["observed"]["orderState"] == "WAITING_PAYMENT"
    assert event["expected"] == {"orderState": "PAID", "withinSeconds": 30}


def test_a_captured_state_without_a_capture_is_rule_a_after_30_s(shop: Shop) -> None:
    order = shop.order()
    payment = shop.payment(order)
    assert apply(PaymentUpdate(payment.id, Facts(PaymentState.CAPTURED), "webhook")).outcome == "hint"
    shop.turn(seconds=20)
    assert of(order) == []
    shop.turn(seconds=11)
    assert of(order) == [("RULE_A", "NEW")]
    shop.acquirer.capture(payment.id)
    shop.turn(seconds=30)
    shop.turn(seconds=36)
    assert (shop.state(order), of(order)) == ("PAID", [("RULE_A", "RESOLVED")])


def test_how_long_a_capture_may_take_is_a_setting(shop: Shop) -> None:
    shop.app.config["ALERT_CONFIRM_SECONDS"] = 5
    order = shop.order()
    apply(PaymentUpdate(shop.payment(order).id, Facts(PaymentState.CAPTURED), "webhook"))
    shop.turn(seconds=6)
    assert of(order) == [("RULE_A", "NEW")]


# --- B ---


def test_a_capture_that_the_query_does_not_show_twice_is_rule_b_until_it_does(shop: Shop) -> None:
    """The acquirer's query contradicts its signed webhook."""
    order = paid(shop)
    payment = shop.payment(order)
    shop.acquirer.misbehave("query", "forget_money", "forget_money")
    shop.turn(seconds=31)
    shop.turn(seconds=10)
    assert of(order) == [], "one miss is nothing yet"
    shop.turn(seconds=31)
    shop.turn(seconds=10)
    assert (shop.state(order), of(order)) == ("PAID", [("RULE_B", "NEW")])
    shop.make_due(payment)
    shop.turn(seconds=31)
    assert of(order) == [("RULE_B", "RESOLVED")]


# --- C ---


def test_a_capture_after_expiry_is_rule_c_until_it_is_refunded(shop: Shop) -> None:
    """Case 11."""
    order, payment = expired(shop)
    shop.acquirer.misbehave("refund", "unreachable")
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    shop.sweep()
    assert of(order) == [("RULE_C", "NEW")]
    shop.turn(minutes=1)
    shop.sweep()
    assert (shop.state(order), of(order)) == ("EXPIRED", [("RULE_C", "RESOLVED")])
    (alert,) = all_alerts()
    assert (alert.resolved_by, alert.resolved_note) == (store.WATCHER, "The money has been refunded.")


def test_a_capture_in_time_that_is_reported_late_revives_the_order_with_rule_c(shop: Shop) -> None:
    """Case 11."""
    order = shop.order()
    payment = shop.payment(order)
    paid_at = clock.now()
    shop.turn(minutes=31)
    shop.acquirer.capture(payment.id, at=paid_at)
    shop.deliver_webhook(payment)
    shop.turn(seconds=36)
    assert (shop.state(order), of(order)) == ("PAID", [("RULE_C", "RESOLVED")])
    assert all_alerts()[0].resolved_note == "The payment has paid the order."


def test_a_closed_payment_that_brings_money_after_all_pays_with_rule_c(shop: Shop) -> None:
    """Case 33."""
    order = shop.order()
    first = shop.payment(order)
    shop.acquirer.end(first.id, PaymentState.FAILED, "declines")
    shop.deliver_webhook(first)
    shop.pay_again(order)
    shop.acquirer.capture(first.id)
    shop.deliver_webhook(first)
    shop.turn(seconds=36)
    assert (shop.state(order), [rule for rule, _ in of(order)]) == ("PAID", ["RULE_C"])


def test_paid_in_the_tab_that_was_left_open_after_cancelling_is_rule_c(shop: Shop) -> None:
    """Case 31."""
    order = shop.order()
    payment = shop.payment(order)
    shop.cancel(order)
    shop.wait(minutes=1)
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    shop.sweep()
    assert (shop.state(order), [rule for rule, _ in of(order)]) == ("CANCELLED", ["RULE_C"])


# --- D ---


def test_captured_twice_is_rule_d_until_the_second_capture_is_refunded(shop: Shop) -> None:
    order = paid(shop)
    payment = shop.payment(order)
    shop.acquirer.misbehave("refund", "unreachable")
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    shop.sweep()
    assert of(order) == [("RULE_D", "NEW")]
    shop.turn(minutes=1)
    shop.sweep()
    assert of(order) == [("RULE_D", "RESOLVED")]


# --- E ---


def wrong(order: Order, currency: str = "TWD") -> Money:
    return Money(order.total_amount + (1 if currency == "TWD" else 0), currency)


def test_another_amount_is_rule_e_and_never_paid_until_staff_accept_it(shop: Shop) -> None:
    """Case 22."""
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id, money=wrong(order))
    shop.deliver_webhook(payment)
    shop.turn(minutes=5)
    assert (shop.state(order), of(order)) == ("WAITING_PAYMENT", [("RULE_E", "NEW")])
    accept(capture_of(order, "mismatch"), by=shop.sam)
    shop.sweep()
    assert (shop.state(order), of(order)) == ("PAID", [("RULE_E", "RESOLVED")])


def test_another_currency_is_rule_e_until_it_is_refunded(shop: Shop) -> None:
    """Case 22."""
    order = shop.order()
    payment = shop.payment(order)
    money = wrong(order, "JPY")
    shop.acquirer.capture(payment.id, money=money)
    shop.deliver_webhook(payment)
    shop.sweep()
    assert of(order) == [("RULE_E", "NEW")]
    refund = requests.request(capture_of(order, "mismatch"), money, reason="", by=shop.sam)
    requests.approve(refund.id, shop.kim)
    shop.sweep()
    assert of(order) == [("RULE_E", "RESOLVED")]


def test_a_mismatch_after_expiry_is_rule_e_alone(shop: Shop) -> None:
    order, payment = expired(shop)
    shop.acquirer.capture(payment.id, money=wrong(order))
    shop.deliver_webhook(payment)
    shop.sweep()
    assert of(order) == [("RULE_E", "NEW")]


# --- refunds ---


def test_a_refused_automatic_refund_is_an_alert_until_the_money_is_refunded_otherwise(shop: Shop) -> None:
    order, payment = expired(shop)
    shop.acquirer.misbehave("refund", "refuse")
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    shop.sweep()
    assert of(order) == [("RULE_C", "NEW"), ("OPS_REFUND_REJECTED", "NEW")]
    requests.request(capture_of(order, "late"), order.total, reason="", by=shop.sam)
    shop.sweep()
    assert of(order) == [("RULE_C", "RESOLVED"), ("OPS_REFUND_REJECTED", "RESOLVED")]
    assert [event["rule_id"] for event in published(Stream.OPERATIONS)] == ["OPS_REFUND_REJECTED"]


def test_a_refund_that_fails_later_is_an_alert(shop: Shop) -> None:
    order = paid(shop)
    refund = requests.request(capture_of(order, "pays_order"), order.total, reason="", by=shop.sam)
    shop.sweep()
    theirs, money, _ = shop.acquirer.refunds[refund.id]
    shop.acquirer.refunds[refund.id] = (theirs, money, "REJECTED")
    shop.turn(days=1, minutes=1)
    assert (shop.state(order), of(order)) == ("PAID", [("OPS_REFUND_FAILED_LATER", "NEW")])


# --- once ---

PAYLOAD = {"alertId", "ruleId", "severity", "orderNo", "observed", "expected", "detectedAt", "source"}


def test_an_alert_is_one_row_and_one_event_however_often_it_is_detected(shop: Shop) -> None:
    order, payment = expired(shop)
    shop.acquirer.misbehave("refund", *["unreachable"] * 9)
    shop.acquirer.capture(payment.id)
    for _ in range(3):
        shop.deliver_webhook(payment)
        shop.turn(seconds=11)
        watcher.check_order(order.id)
    (alert,) = all_alerts()
    (event,) = published()
    assert set(event) == PAYLOAD
    assert (event["alertId"], event["ruleId"], event["severity"]) == (alert.id, "RULE_C", "P1")
    assert (event["orderNo"], event["source"]) == (order.number, "webhook")
    assert event["detectedAt"] == alert.detected_at.isoformat()
    assert event["observed"]["amount"] == order.total_amount
    assert event["observed"]["orderState"] == "EXPIRED"
    shop.turn(minutes=10)


def test_eight_watchers_at_once_raise_one_alert_with_one_event_and_resolve_it_once(shop: Shop, race: Race) -> None:
    order, payment = expired(shop)
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    order_id = order.id
    assert race(lambda _: watcher.check_order(order_id)) == [None] * 8
    outbox.relay(effects.follow)
    assert (of(order), len(published())) == ([("RULE_C", "NEW")], 1)
    send.do(db.session.scalars(db.select(Refund.id)).one())
    assert race(lambda _: watcher.check_order(order_id)) == [None] * 8
    shop.sweep()
    assert of(order) == [("RULE_C", "RESOLVED")]
    assert [event["state"] for event in published(Stream.ALERT_CHANGES)] == ["RESOLVED"]


@pytest.mark.full
def test_eight_clocks_at_once_share_the_watch_list_and_look_for_conditions_once(shop: Shop, race: Race) -> None:
    orders = []
    for _ in range(6):
        order, payment = expired(shop)
        shop.acquirer.capture(payment.id)
        shop.deliver_webhook(payment)
        orders.append(order)
    outbox.relay(effects.follow)
    shop.receive({}, b"forged")
    shop.wait(minutes=1)
    assert race(lambda number: (watcher.check_due, conditions.check_due)[number % 2]()) == [None] * 8
    rules = sorted(alert.rule for alert in all_alerts())
    assert rules == ["OPS_BAD_SIGNATURE", *["RULE_C"] * 6]
    shop.sweep()


# --- properties ---


def test_a_repeated_effect_puts_an_order_on_the_watch_list_once_and_never_later(shop: Shop) -> None:
    order = shop.order()
    at = clock.now()
    for seconds in (30, 10, 60):
        watcher.put(order.id, at + timedelta(seconds=seconds))
    (row,) = db.session.scalars(db.select(Watched)).all()
    assert row.due_at == at + timedelta(seconds=10)


def test_no_effect_of_a_transaction_is_lost_when_the_database_aborts_one(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = [expired(shop) for _ in range(3)]
    for _, payment in orders:
        shop.acquirer.capture(payment.id)
        shop.deliver_webhook(payment)
    given_up: list[str] = []
    execute = db.session.execute

    def deadlock(statement: Any, *rest: Any, **more: Any) -> Any:
        if "INSERT INTO watch_list" in str(statement) and len(given_up) == 1:
            given_up.append("now")
            raise OperationalError("deadlock", {}, type("Given", (Exception,), {"sqlstate": "40P01"})())
        if "INSERT INTO watch_list" in str(statement):
            given_up.append("no")
        return execute(statement, *rest, **more)

    monkeypatch.setattr(db.session, "execute", deadlock)
    outbox.relay(effects.follow)
    assert "now" in given_up
    monkeypatch.undo()
    shop.sweep()
    assert [[rule for rule, _ in of(order)] for order, _ in orders] == [["RULE_C"]] * 3


def test_an_order_that_cannot_be_checked_stops_no_other_and_is_checked_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(order: Any, *rest: Any) -> Any:
        if order.number == bad.number:
            raise RuntimeError("a mistake of ours")
        return findings(order, *rest)

    (bad, one), (good, other) = expired(shop), expired(shop)
    for payment in (one, other):
        shop.acquirer.capture(payment.id)
        shop.deliver_webhook(payment)
    findings = watcher.rules.findings
    with monkeypatch.context() as patch:
        patch.setattr(watcher.rules, "findings", poisoned)
        shop.sweep()
        assert (len(of(bad)), len(of(good))) == (0, 1)
    shop.turn(seconds=31)
    assert len(of(bad)) == 1


def test_without_redis_alerts_are_raised_and_their_events_wait(shop: Shop, own_redis: RedisServer) -> None:
    """Case 25."""
    shop.app.config["REDIS_URL"] = own_redis.url
    shop.app.extensions["settled_redis"].client = None
    own_redis.kill()
    order, payment = expired(shop)
    shop.acquirer.misbehave("refund", "unreachable", "unreachable")
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    shop.turn(seconds=6)
    assert of(order) == [("RULE_C", "NEW")]
    own_redis.start()
    shop.app.extensions["settled_redis"].away_until = 0.0
    shop.turn(seconds=31)
    assert [event["ruleId"] for event in published()] == ["RULE_C"]
    assert redis.is_here()
    assert shop.count(Alert) >= 1
