"""Limits and faults of PayPay's dialect, and its missing, repeated and delayed webhooks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from tests.acquirer.conftest import Receiver, World
from tests.acquirer.paypay.client import Merchant, result


def test_a_run_that_asks_too_often_is_told_to_wait(make_world: Callable[..., World]) -> None:
    acquirer = make_world(ACQUIRER_PAYPAY_QUERIES_PER_SECOND="1")
    merchant, other = Merchant(acquirer), Merchant(acquirer, "run42")
    nobody = {"merchantPaymentId": "P0"}
    answers = [merchant.ask(nobody) for _ in range(3)]
    assert (429, "RATE_LIMIT", "08100998") in [result(answer) for answer in answers]
    assert answers[-1].headers["Retry-After"] == "1" if answers[-1].status_code == 429 else True
    assert result(other.ask(nobody))[1] == "DYNAMIC_QR_PAYMENT_NOT_FOUND"


def test_a_refused_webhook_is_tried_three_times_more_and_never_again(
    acquirer: World, merchant: Merchant, receiver: Receiver
) -> None:
    receiver.answer = (204, {}, b"")  # only 200 is an acknowledgement
    code = merchant.paid()
    acquirer.advance("PT1M")
    (delivery,) = acquirer.record(code)["deliveries"]
    assert (delivery["state"], len(delivery["attempts"])) == ("given_up", 4)
    acquirer.advance("P3D")
    assert len(receiver.hooks) == 4
    assert len({hook.body for hook in receiver.hooks}) == 1


def test_a_slow_acknowledgement_is_none(
    acquirer: World, merchant: Merchant, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answer = (200, {}, b"")
    known = acquirer.app.extensions["acquirer.dialects"]
    assert known["paypay"].ack_within == 2
    monkeypatch.setitem(known, "paypay", dataclasses.replace(known["paypay"], ack_within=0))
    code = merchant.paid()
    acquirer.settle()
    assert acquirer.record(code)["deliveries"][0]["attempts"][0]["outcome"] == "refused"


# --- faults ----------------------------------------------------------------------------------------------------------


def test_a_code_whose_answer_was_lost_exists_and_is_never_shown_again(acquirer: World, merchant: Merchant) -> None:
    acquirer.faults(api=[{"op": "start", "do": "timeout_after_commit", "times": 1}])
    wish = merchant.wish()
    assert merchant.call("POST", "/v2/codes", wish).status_code == 504
    assert result(merchant.call("POST", "/v2/codes", wish))[1] == "DUPLICATE_DYNAMIC_QR_REQUEST"
    assert set(merchant.shown(wish)) & {"url", "deeplink", "codeId"} == set()
    assert result(merchant.cancel(wish))[0] == 202


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"do": "500"}, (500, "INTERNAL_SERVER_ERROR", "08101000")),
        ({"do": "500", "when": "after_commit"}, (500, "INTERNAL_SERVER_ERROR", "08101000")),
        ({"do": "429"}, (429, "RATE_LIMIT", "08100998")),
    ],
)
@pytest.mark.parametrize("op", ["start", "query", "cancel", "refund", "query_refund"])
def test_faults_of_the_api_speak_paypays_language(
    acquirer: World, merchant: Merchant, op: str, rule: dict[str, Any], said: tuple[int, str, str]
) -> None:
    code = merchant.paid()
    calls = {
        "start": lambda: merchant.call("POST", "/v2/codes", merchant.wish()),
        "query": lambda: merchant.ask(code),
        "cancel": lambda: merchant.cancel(code),
        "refund": lambda: merchant.refund(code, 1, "R1"),
        "query_refund": lambda: merchant.call("GET", "/v2/refunds/R0"),
    }
    acquirer.faults(api=[{"op": op, **rule}])
    changes_nothing = op.startswith("query") and rule.get("when") == "after_commit"
    assert changes_nothing or result(calls[op]()) == said


def test_a_stale_query_shows_the_past_or_nothing(acquirer: World, merchant: Merchant) -> None:
    code = merchant.paid()
    acquirer.faults(api=[{"op": "query", "do": "stale_query"}])
    assert merchant.shown(code)["status"] == "CREATED" and "paymentId" not in merchant.shown(code)
    acquirer.faults(api=[{"op": "query", "do": "stale_query", "shows": "nothing"}])
    assert result(merchant.ask(code))[1] == "DYNAMIC_QR_PAYMENT_NOT_FOUND"


def test_two_captures_are_listed_as_two(acquirer: World, merchant: Merchant) -> None:
    acquirer.faults(pay={"double": True})
    shown = merchant.shown(merchant.paid())
    names = [one["merchantCaptureId"] for one in shown["captures"]["data"]]
    assert names == [shown["paymentId"], shown["paymentId"] + "-2"]


@pytest.mark.parametrize(
    ("fault", "money"),
    [
        ({"amount_delta": 100}, {"amount": 1300, "currency": "JPY"}),
        ({"wrong_currency": "USD"}, {"amount": 1200, "currency": "USD"}),
    ],
)
def test_wrong_money_is_shown_as_it_was_taken(
    acquirer: World, merchant: Merchant, receiver: Receiver, fault: dict[str, Any], money: dict[str, Any]
) -> None:
    acquirer.faults(pay=fault)
    code = merchant.paid()
    assert merchant.shown(code)["amount"] == money
    acquirer.settle()
    assert receiver.hooks[0].event["order_amount"] == str(money["amount"])


def test_a_wallet_that_refuses_three_times_fails(acquirer: World, merchant: Merchant, receiver: Receiver) -> None:
    acquirer.faults(pay={"decline": "insufficient_funds"})
    code = merchant.code()
    for _ in range(3):
        assert merchant.shown(code)["status"] == "CREATED"
        merchant.pay(code)
    assert merchant.shown(code)["status"] == "FAILED"
    acquirer.settle()
    assert receiver.hooks == [], "PayPay tells of neither"


@pytest.mark.parametrize(
    "bend", ["missing", "wrong_key", "old_key", "malformed", "stale_time", "future_time", "tampered"]
)
def test_the_signature_fault_has_no_effect_on_unsigned_webhooks(
    acquirer: World, merchant: Merchant, receiver: Receiver, bend: str
) -> None:
    acquirer.faults(hook={"sign": bend})
    merchant.paid()
    acquirer.settle()
    assert receiver.hooks and receiver.hooks[0].event["state"] == "COMPLETED"


def test_webhooks_are_dropped_doubled_and_delayed(acquirer: World, merchant: Merchant, receiver: Receiver) -> None:
    receiver.answer = (200, {}, b"")
    acquirer.faults(hook={"duplicate": 3, "delay": "PT30S", "drop": 1})
    code = merchant.paid()
    acquirer.settle()
    assert receiver.hooks == []
    acquirer.advance("PT1M")
    data = acquirer.record(code)["deliveries"]
    outcomes = [attempt["outcome"] for delivery in data for attempt in delivery["attempts"]]
    assert (len(data), outcomes.count("dropped")) == (3, 1)
    assert len(receiver.hooks) == len(outcomes) - 1, (
        "a receiver that takes two seconds to answer gets the webhook again"
    )
