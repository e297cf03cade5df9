"""Operational alerts: one per subject, resolved when the cause is gone."""

from __future__ import annotations

from typing import Any

import pytest

from shop.alerts import conditions, stuck_work
from shop.core import clock
from shop.core.db import db, transaction
from shop.core.event_types import Stream
from shop.jobs import effects
from shop.orders.models import Order
from shop.payments.providers import registry
from shop.payments.providers.interface import BadSignature
from shop.payments.providers.types import PaymentState
from shop.payments.records.models import Payment, WebhookEventRow
from shop.payments.records.settlement_models import Discrepancy
from shop.payments.webhooks import inbox
from tests.alerts.helpers import all_alerts, of, operational, published
from tests.shop_fixtures import PEN, Shop


def raised(rule: str) -> list[tuple[str, str]]:
    """Subject and state of each alert of a rule."""
    return [(subject, state) for found, subject, state in operational() if found == rule]


def forge(shop: Shop, times: int = 1, provider: str = "fakepay") -> None:
    for number in range(times):
        shop.receive({}, b"forged %d" % number, provider)


# --- forged ---


def test_fifty_forged_webhooks_are_one_alert_in_ten_minutes_which_ends_when_no_more_come(shop: Shop) -> None:
    for _ in range(5):
        forge(shop, 10)
        shop.turn(minutes=1)
    assert raised("OPS_BAD_SIGNATURE") == [("fakepay", "NEW")]
    shop.turn(minutes=11)
    assert raised("OPS_BAD_SIGNATURE") == [("fakepay", "RESOLVED")]


def test_forging_that_goes_on_is_one_more_alert_every_ten_minutes_for_each_provider(shop: Shop) -> None:
    for minute in range(25):
        forge(shop)
        if minute == 12:
            forge(shop, provider="otherpay")
        shop.turn(minutes=1)
    assert [subject for subject, _ in raised("OPS_BAD_SIGNATURE")] == ["fakepay", "fakepay", "otherpay", "fakepay"]


def test_forged_webhooks_on_both_sides_of_a_ten_minute_boundary_are_one_alert(shop: Shop) -> None:
    for _ in range(2):
        forge(shop)
        shop.turn(minutes=9)
    assert len(raised("OPS_BAD_SIGNATURE")) == 1


def test_unreadable_webhooks_are_one_alert_in_ten_minutes_and_do_not_count_as_forged(shop: Shop) -> None:
    for _ in range(5):
        shop.receive({"x-signature": "good"}, b"[]")
        shop.turn(minutes=1)
    assert operational() == [("OPS_MALFORMED", "fakepay", "NEW")]
    shop.turn(minutes=11)
    assert operational() == [("OPS_MALFORMED", "fakepay", "RESOLVED")]


def test_three_webhooks_signed_at_another_time_are_an_alert_about_a_wrong_clock(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*_: Any) -> None:
        raise BadSignature("signed at another time")

    fakepay = registry.get("fakepay")
    assert fakepay
    with monkeypatch.context() as patch:
        patch.setattr(fakepay, "verify", late)
        forge(shop, 2)
        shop.turn(seconds=11)
        assert raised("OPS_CLOCK_SKEW") == []
        forge(shop)
        shop.turn(seconds=11)
    assert raised("OPS_CLOCK_SKEW") == [("fakepay", "NEW")]


@pytest.mark.parametrize("provider", ["kpay", "stripe"])
def test_providers_that_sign_a_time_report_another_time(shop: Shop, provider: str) -> None:
    """The reason that identifies clock skew."""
    stamp = str(int(clock.wall().timestamp()) - 301)
    headers = {"webhook-id": "evt-1", "webhook-timestamp": stamp, "webhook-signature": "v1,x"}
    headers["stripe-signature"] = f"t={stamp},v1=00"
    for number in range(3):
        assert shop.receive(headers, b"%d" % number, provider)[0] in (400, 401)
    shop.sweep()
    assert raised("OPS_CLOCK_SKEW") == [(provider, "NEW")]


def test_an_event_id_that_comes_with_other_content_is_one_alert(shop: Shop) -> None:
    payment = shop.payment(shop.order())
    shop.deliver_webhook(payment, "evt-1")
    assert shop.deliver_webhook(payment, "evt-1", note="other") == (409, "key_reused")
    for _ in range(3):
        shop.turn(seconds=11)
    assert raised("OPS_KEY_REUSED") == [("fakepay", "NEW")]


# --- orphans and other merchants ---


def test_a_webhook_about_a_payment_that_never_appears_is_an_orphan_after_a_minute(shop: Shop) -> None:
    shop.deliver_webhook("P000000000000N0B0DYS")
    shop.turn(seconds=50)
    assert raised("OPS_ORPHAN") == []
    shop.turn(seconds=11)
    shop.turn(hours=2)
    assert raised("OPS_ORPHAN") == [("fakepay", "NEW")]
    (event,) = [event for event in published(Stream.OPERATIONS) if event["rule_id"] == "OPS_ORPHAN"]
    assert event["observed"]["reference"] == "P000000000000N0B0DYS"
    assert (event["order_no"], event["severity"], event["source"]) == (None, "P1", "webhook")


def test_an_orphan_is_an_alert_even_if_the_conditions_are_checked_after_it_was_given_up(shop: Shop) -> None:
    shop.deliver_webhook("P000000000000N0B0DYS")
    with transaction():
        db.session.execute(db.update(WebhookEventRow).values(due_at=None, done_at=clock.now()))
    shop.turn(days=3)
    assert raised("OPS_ORPHAN") == [("fakepay", "NEW")]


def test_an_orphan_is_over_when_its_payment_appears(shop: Shop) -> None:
    """Case 7."""
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id)
    with transaction():
        db.session.execute(db.update(Payment).values(provider="otherpay"))
    shop.deliver_webhook(payment)
    shop.turn(seconds=61)
    assert raised("OPS_ORPHAN") == [("fakepay", "NEW")]
    with transaction():
        db.session.execute(db.update(Payment).values(provider="fakepay"))
    shop.turn(minutes=1)
    shop.turn(seconds=36)
    assert (shop.state(order), raised("OPS_ORPHAN")) == ("PAID", [("fakepay", "RESOLVED")])


def test_another_merchant_s_payment_is_an_operational_alert_and_nothing_else(shop: Shop) -> None:
    """Case 22."""
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id)
    assert shop.deliver_webhook(payment, merchant="somebody else") == (200, "foreign")
    shop.turn(seconds=11)
    assert shop.deliver_webhook(payment, merchant="somebody else") == (200, "foreign")
    shop.turn(minutes=9)
    assert raised("OPS_FOREIGN") == [("fakepay", "NEW")], "one in ten minutes"
    shop.turn(minutes=2)
    assert shop.deliver_webhook(payment, merchant="somebody else") == (200, "foreign")
    shop.turn(minutes=2)
    assert len(raised("OPS_FOREIGN")) == 2
    assert [rule for rule, _ in of(order)] == []


def test_an_unproven_webhook_about_another_merchant_is_no_alert(shop: Shop) -> None:
    payment = shop.payment(shop.order())
    shop.deliver_webhook(payment, merchant="somebody else", trust="unsigned")
    shop.turn(seconds=11)
    assert all_alerts() == []


# --- acquirers ---


def paid_by_polling(shop: Shop) -> None:
    """Pay as the customer; every webhook is lost."""
    order = shop.order((PEN, 1))
    shop.acquirer.capture(shop.payment(order).id)
    shop.turn(seconds=31)
    assert shop.state(order) == "PAID"


def test_all_webhooks_lost_for_ten_minutes_are_one_alert_until_one_comes(shop: Shop) -> None:
    for minute in range(12):
        paid_by_polling(shop)
        if minute == 5:
            assert raised("OPS_WEBHOOKS_SILENT") == []
        shop.restock(PEN)
        shop.turn(minutes=1)
    assert raised("OPS_WEBHOOKS_SILENT") == [("fakepay", "NEW")]
    shop.deliver_webhook(shop.payment(shop.order()))
    shop.turn(seconds=31)
    assert raised("OPS_WEBHOOKS_SILENT") == [("fakepay", "RESOLVED")]


def test_one_lost_webhook_is_no_alert(shop: Shop) -> None:
    paid_by_polling(shop)
    paid_by_polling(shop)
    shop.turn(hours=1)
    assert all_alerts() == []


@pytest.mark.full
def test_an_acquirer_unavailable_for_ten_minutes_is_one_alert_until_it_answers_and_an_order_that_waits_for_it_another(
    shop: Shop,
) -> None:
    """Case 32."""
    order = shop.order()
    shop.acquirer.away = True
    shop.turn(minutes=30)
    for _ in range(40):
        shop.turn(seconds=35)
    assert sorted(operational()) == [
        ("OPS_CLOSING_WAITS", order.number, "NEW"),
        ("OPS_PROVIDER_UNAVAILABLE", "fakepay", "NEW"),
    ]
    shop.acquirer.away = False
    shop.turn(minutes=1)
    shop.turn(minutes=1)
    assert shop.state(order) == "EXPIRED"
    assert {state for _, _, state in operational()} == {"RESOLVED"}
    assert of(order) == [("OPS_CLOSING_WAITS", "RESOLVED")]


def test_an_order_under_review_waits_for_staff_and_not_for_an_acquirer(shop: Shop) -> None:
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id, money=shop.price(PEN))
    shop.deliver_webhook(payment)
    shop.turn(hours=2)
    assert of(order) == [("RULE_E", "NEW")]


# --- stuck work ---


def poison(*_: Any, **__: Any) -> str:
    raise RuntimeError("a mistake of ours")


def test_a_webhook_that_cannot_be_applied_is_a_dead_letter_after_five_minutes_until_it_is(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = shop.order(), shop.order()
    with monkeypatch.context() as patch:
        patch.setattr(inbox, "apply_event", poison)
        patch.setattr(inbox, "apply_update", poison)
        shop.deliver_webhook(shop.payment(bad), state=PaymentState.OPEN)
        shop.turn(minutes=4)
        assert raised("OPS_DEAD_LETTER") == []
        shop.turn(minutes=2)
        ((subject, state),) = raised("OPS_DEAD_LETTER")
        assert (subject.startswith("inbox "), state) == (True, "NEW")
        shop.turn(hours=3)
        assert len(raised("OPS_DEAD_LETTER")) == 1
    shop.acquirer.capture(shop.payment(good).id)
    shop.deliver_webhook(shop.payment(good))
    shop.turn(hours=1)
    shop.turn(seconds=11)
    assert raised("OPS_DEAD_LETTER") == [(subject, "RESOLVED")]


def test_a_refund_that_the_acquirer_never_accepts_is_stuck_work_after_ten_tries(shop: Shop) -> None:
    order = shop.order()
    payment = shop.payment(order)
    shop.turn(minutes=31)
    shop.acquirer.capture(payment.id)
    shop.acquirer.misbehave("refund", *["unreachable"] * 12)
    shop.deliver_webhook(payment)
    for _ in range(9):
        shop.turn(seconds=31)
    assert raised("OPS_DEAD_LETTER") == []
    shop.turn(seconds=31)
    shop.turn(seconds=31)
    ((subject, _),) = raised("OPS_DEAD_LETTER")
    assert subject.startswith("refund R")
    for _ in range(4):
        shop.turn(minutes=1)
    assert {state for _, state in of(order)} == {"RESOLVED"}


def test_any_number_of_events_that_cannot_be_published_is_one_alert_until_all_are(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(effects.EFFECTS, "order.placed", (poison,))
        for _ in range(3):
            shop.order()
        for _ in range(12):
            shop.turn(seconds=6)
        shop.turn(seconds=11)
        assert raised("OPS_DEAD_LETTER") == [("outbox", "NEW")]
    shop.turn(seconds=11)
    shop.turn(seconds=11)
    assert raised("OPS_DEAD_LETTER") == [("outbox", "RESOLVED")]


# --- settlement ---


def disagree(shop: Shop, order: Order | None) -> Discrepancy:
    day = clock.now()
    with transaction():
        row = Discrepancy(
            provider="fakepay",
            day=day.date(),
            cause="amount" if order else "unknown",
            about="capture:fakepay:c1" if order else "line 7",
            order_id=order.id if order else None,
            ours=1000 if order else None,
            theirs=990,
            currency="TWD",
            opened_at=day,
            seen_at=day,
        )
        db.session.add(row)
    return row


def test_every_open_discrepancy_is_rule_f_once_until_it_is_closed_and_anew_when_it_is_opened_again(shop: Shop) -> None:
    order = shop.order()
    known, unknown = disagree(shop, order), disagree(shop, None)
    for _ in range(2):
        shop.turn(seconds=31)
    events = published()
    assert {event["ruleId"] for event in events} == {"RULE_F"}
    assert [(event["orderNo"], event["observed"]["amount"], event["expected"]["amount"]) for event in events] == [
        (order.number, 990, 1000),
        (None, 990, None),
    ]
    with transaction():
        for row in (known, unknown):
            db.session.get_one(Discrepancy, row.id).closed_at = clock.now()
    shop.turn(seconds=31)
    assert [alert.state for alert in all_alerts()] == ["RESOLVED", "RESOLVED"]
    with transaction():
        row = db.session.get_one(Discrepancy, known.id)
        row.closed_at, row.opened_at = None, clock.now()
    shop.turn(seconds=31)
    assert of(order) == [("RULE_F", "RESOLVED"), ("RULE_F", "NEW")]


# --- properties ---


def test_a_condition_that_cannot_be_checked_stops_no_other(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = conditions.Condition(poison, 10)
    monkeypatch.setitem(conditions.CONDITIONS, "captured_but_stuck", broken)
    forge(shop)
    shop.sweep()
    assert raised("OPS_BAD_SIGNATURE") == [("fakepay", "NEW")]


def test_each_condition_is_checked_when_it_is_due_and_not_before(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    for name, every in (("quick", 10), ("slow", 30)):
        condition = conditions.Condition(lambda _, name=name: looked.append(name), every)  # type: ignore[misc]
        monkeypatch.setitem(conditions.CONDITIONS, name, condition)
    for _ in range(4):
        shop.sweep()
        shop.turn(seconds=10)
    assert (looked.count("quick"), looked.count("slow")) == (5, 2)


def test_more_rows_than_one_check_reads_resolve_no_alert_by_mistake(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        shop.order((PEN, 1))
    shop.acquirer.away = True
    shop.turn(minutes=45)
    monkeypatch.setattr(stuck_work, "AT_ONCE", 2)
    shop.turn(seconds=31)
    assert [state for _, state in raised("OPS_CLOSING_WAITS")] == ["NEW"] * 3
    shop.acquirer.away = False
    shop.turn(minutes=1)
    shop.turn(minutes=1)
    assert [state for _, state in raised("OPS_CLOSING_WAITS")] == ["RESOLVED"] * 3
