"""Orders paid with tpay, with the real dialect: hints, queries, cancellation, and money that does not fit."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from shop.alerts.models import Alert
from shop.core.db import db
from shop.payments.initiation import initiate
from shop.payments.polling import poll
from shop.payments.providers.types import PaymentState
from shop.payments.records.models import Refund, WebhookEventRow
from tests.payments.tpay_helpers import Taiwan


def test_a_card_pays_the_order_within_a_minute_without_any_webhook(taiwan: Taiwan) -> None:
    order = taiwan.order()
    assert taiwan.shop.order_status(order).key == "waiting"
    assert taiwan.browse(order).status_code == 303
    taiwan.act(order, "approve")
    for _ in range(6):
        taiwan.turn(seconds=10)
    assert (taiwan.shop.state(order), taiwan.shop.captures(order)) == ("PAID", ["pays_order"])


def test_a_webhook_about_a_store_code_leads_to_the_code_without_a_return(taiwan: Taiwan) -> None:
    order = taiwan.order()
    taiwan.browse(order)
    taiwan.turn(seconds=11)
    taiwan.act(order, "choose_store")
    assert taiwan.hint(order, RtnCode="10100073") == (200, "1|OK")
    taiwan.turn(seconds=6)  # their answers are five seconds old
    assert taiwan.shop.order_status(order).key == "store_code"
    poll.make_due(order.id, "return")
    assert taiwan.shop.order_status(order).key == "store_code", "a return does not hide the code"


def test_a_hint_leads_to_a_poll_now_and_another_after_the_consistency_window(taiwan: Taiwan) -> None:
    order = taiwan.order()
    taiwan.browse(order)
    taiwan.turn(seconds=11)
    taiwan.act(order, "approve")
    assert taiwan.hint(order) == (200, "1|OK")
    taiwan.shop.sweep()
    assert taiwan.shop.state(order) == "WAITING_PAYMENT", "their answer is five seconds old"
    taiwan.turn(seconds=6)
    assert taiwan.shop.state(order) == "PAID"
    assert {row.outcome for row in db.session.scalars(db.select(WebhookEventRow))} == {"hint"}
    assert all(row.done_at for row in db.session.scalars(db.select(WebhookEventRow)))


def test_the_content_of_a_webhook_is_never_applied(taiwan: Taiwan) -> None:
    order = taiwan.order()
    taiwan.browse(order)
    for changed in ({}, {"SimulatePaid": "1"}, {"TradeAmt": "1"}, {"RtnCode": "0"}):
        assert taiwan.hint(order, **changed) == (200, "1|OK")
        taiwan.turn(seconds=7)
    assert (taiwan.shop.state(order), taiwan.shop.captures(order)) == ("WAITING_PAYMENT", [])


def test_simulate_paid_does_not_lead_to_a_poll(taiwan: Taiwan) -> None:
    order = taiwan.order()
    due = taiwan.shop.payment(order).next_check_at
    taiwan.hint(order, SimulatePaid="1")
    assert taiwan.shop.payment(order).next_check_at == due


def test_until_the_browser_has_posted_the_form_queries_find_nothing_and_change_nothing(taiwan: Taiwan) -> None:
    order = taiwan.order()
    for _ in range(5):
        taiwan.turn(minutes=5)
    assert taiwan.shop.payment(order).state == PaymentState.OPEN
    assert taiwan.shop.order_status(order).key == "waiting"
    taiwan.browse(order)
    taiwan.act(order, "approve")
    taiwan.turn(minutes=1)
    assert taiwan.shop.state(order) == "PAID"


def test_an_order_that_was_never_paid_expires_and_its_number_is_used_up(taiwan: Taiwan) -> None:
    order = taiwan.order()
    action = initiate.next_action(taiwan.shop.payment(order))
    taiwan.turn(minutes=30, seconds=1)
    for _ in range(4):
        taiwan.turn(seconds=5)
    assert taiwan.shop.state(order) == "EXPIRED"
    assert taiwan.acquirer.payment(taiwan.shop.payment(order).id)["state"] == "voided"
    assert action and "RtnCode" in httpx.post(action.url, data=dict(action.fields), trust_env=False).text


def test_a_cancelled_order_takes_no_money_in_a_tab_that_was_left_open(taiwan: Taiwan) -> None:
    """Case 31, before the browser posted the form."""
    order = taiwan.order()
    action = initiate.next_action(taiwan.shop.payment(order))
    taiwan.shop.cancel(order)
    assert taiwan.shop.state(order) == "WAITING_PAYMENT", "not sure before their answers have caught up"
    for _ in range(3):
        taiwan.turn(seconds=5)
    assert taiwan.shop.state(order) == "CANCELLED"
    late = httpx.post(action.url, data=dict(action.fields), trust_env=False) if action else None
    assert late is not None and late.status_code == 200 and "RtnCode" in late.text


def test_the_same_button_again_gives_the_same_form(taiwan: Taiwan) -> None:
    """Case 3."""
    order = taiwan.order()
    first = initiate.next_action(taiwan.shop.payment(order))
    again = initiate.next_action(taiwan.shop.pay_again(order, "tpay"))
    assert first == again
    assert taiwan.browse(order).headers["Location"] == taiwan.browse(order).headers["Location"]


def test_after_a_cancellation_at_the_acquirer_another_payment_can_be_initiated(taiwan: Taiwan) -> None:
    order = taiwan.order()
    taiwan.browse(order)
    taiwan.act(order, "cancel")
    taiwan.turn(seconds=40)
    assert taiwan.shop.order_status(order).key == "cancelled_there"
    taiwan.shop.pay_again(order, "tpay")
    taiwan.browse(order)
    taiwan.act(order, "approve")
    taiwan.turn(seconds=40)
    assert taiwan.shop.state(order) == "PAID"


@pytest.mark.parametrize(
    "fault",
    [
        {"do": "timeout_before_commit"},
        {"do": "timeout_after_commit"},
        {"do": "500"},
        {"do": "429", "retry_after": 2},
        {"do": "stale_query", "shows": "nothing"},
        {"do": "stale_query", "shows": "created"},
    ],
)
def test_a_failed_query_is_repeated(taiwan: Taiwan, fault: dict[str, Any]) -> None:
    order = taiwan.order()
    taiwan.browse(order)
    taiwan.act(order, "approve")
    taiwan.acquirer.faults(api=[{"op": "query", "times": 1} | fault])
    for _ in range(9):
        taiwan.turn(seconds=10)
    assert (taiwan.shop.state(order), taiwan.shop.captures(order)) == ("PAID", ["pays_order"])


@pytest.mark.parametrize("do", ["timeout_before_commit", "timeout_after_commit", "500", "429"])
def test_a_failed_close_is_tried_again(taiwan: Taiwan, do: str) -> None:
    order = taiwan.order()
    taiwan.browse(order)
    taiwan.acquirer.faults(api=[{"op": "cancel", "times": 1, "do": do}])
    taiwan.shop.cancel(order)
    for _ in range(6):
        taiwan.turn(seconds=6)
    assert taiwan.shop.state(order) == "CANCELLED"
    assert taiwan.acquirer.payment(taiwan.shop.payment(order).id)["state"] == "voided"


def test_the_second_of_two_charges_is_refunded_automatically_and_the_first_is_kept(taiwan: Taiwan) -> None:
    order = taiwan.order()
    taiwan.browse(order)
    taiwan.acquirer.faults(pay={"double": True})
    taiwan.act(order, "approve")
    taiwan.turn(seconds=40)
    assert taiwan.shop.captures(order) == ["pays_order", "duplicate"]
    for _ in range(12):
        taiwan.turn(hours=3)
    refund = db.session.scalars(db.select(Refund).where(Refund.order_id == order.id)).one()
    assert (refund.kind, refund.state) == ("duplicate", "DONE")
    there = taiwan.acquirer.payment(taiwan.shop.payment(order).id)
    assert [(one["reference"], one["state"]) for one in there["refunds"]] == [(refund.id, "succeeded")]


@pytest.mark.whole_sweep
def test_an_automatic_refund_that_cannot_be_sent_exactly_is_left_to_staff_with_an_alert(taiwan: Taiwan) -> None:
    """Half a dollar was refunded in the dashboard first; Tpay refunds whole dollars."""
    order = taiwan.code_shown()
    taiwan.acquirer.faults(pay={"late_after_expiry": "PT10M"})
    taiwan.act(order, "pay_at_counter")
    taiwan.turn(days=3)
    for _ in range(4):
        taiwan.turn(seconds=6)
    assert taiwan.shop.state(order) == "EXPIRED"
    taiwan.acquirer.advance("PT1H")
    taiwan.act(order, "refund", amount=50)
    taiwan.turn(seconds=6)
    for _ in range(6):
        taiwan.turn(hours=1)
    assert taiwan.shop.captures(order) == ["late"]
    sent = [(one.kind, one.amount, one.state, one.rejected_code) for one in taiwan.shop.refunds(order)]
    assert [one for one in sent if one[0] == "late"][-1] == ("late", 119950, "REJECTED", "amount"), sent
    assert taiwan.shop.order_status(order).key == "review"
    rules = db.session.scalars(db.select(Alert.rule)).all()
    assert rules.count("OPS_REFUND_REJECTED") == 1, rules
    taiwan.turn(days=1)
    assert len(taiwan.shop.refunds(order)) == len(sent), "it is not asked for again and again"


@pytest.mark.parametrize("plan", [{"amount_delta": 100}, {"amount_delta": 50}, {"wrong_currency": "USD"}])
def test_another_amount_than_requested_pays_nothing(taiwan: Taiwan, plan: dict[str, Any]) -> None:
    order = taiwan.order()
    taiwan.browse(order)
    taiwan.acquirer.faults(pay=plan)
    taiwan.act(order, "approve")
    taiwan.turn(seconds=40)
    assert (taiwan.shop.order_status(order).key, taiwan.shop.captures(order)) == ("review", ["mismatch"])
