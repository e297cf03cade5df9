"""Webhooks of tpay: signed forms without an id or a time."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta
from urllib.parse import parse_qsl

import pytest

from mock_acquirer.dialects import _tpay_wire as wire
from tests.acquirer.conftest import Receiver, World
from tests.acquirer.tpay.client import IV, KEY, SECRET, Merchant


def test_success_is_sent_as_a_signed_form_without_an_id_or_a_time(tpay: Merchant, receiver: Receiver) -> None:
    trade = tpay.open()
    tpay.world.approve(trade)
    tpay.world.settle()
    assert len(receiver.hooks) == 1
    hook = receiver.hooks[0]
    assert hook.headers["content-type"] == "application/x-www-form-urlencoded"
    assert hook.headers["x-signature"] == hmac.new(SECRET.encode(), hook.body, hashlib.sha256).hexdigest()
    fields = dict(parse_qsl(hook.body.decode(), keep_blank_values=True))
    assert fields["CheckMacValue"] == wire.check_mac(fields, KEY, IV)
    assert (fields["MerchantTradeNo"], fields["RtnCode"], fields["TradeAmt"]) == (trade["MerchantTradeNo"], "1", "1200")
    assert fields["SimulatePaid"] == "0" and not {"webhook-id", "webhook-timestamp"} & set(hook.headers)


@pytest.mark.parametrize("act", ["cancel", "fail", "decline"])
def test_only_success_is_sent(tpay: Merchant, receiver: Receiver, act: str) -> None:
    trade = tpay.open()
    tpay.world.sim("POST", f"/payments/{trade['id']}/{act}")
    tpay.world.settle()
    assert receiver.hooks == []


def test_only_the_body_1_ok_is_an_acknowledgement(tpay: Merchant, receiver: Receiver) -> None:
    receiver.answer = (200, {}, b"OK")
    trade = tpay.open()
    tpay.world.approve(trade)
    tpay.world.settle()
    receiver.answer = (200, {}, b"1|OK")
    tpay.world.advance("PT16M")
    states = [attempt["outcome"] for attempt in tpay.world.record(trade)["deliveries"][0]["attempts"]]
    assert states == ["refused", "delivered"]


def test_it_is_sent_five_times_in_all_every_5_to_15_minutes_and_the_message_changes(
    tpay: Merchant, receiver: Receiver
) -> None:
    receiver.answer = (500, {}, b"")
    trade = tpay.open()
    tpay.world.approve(trade)
    tpay.world.advance("PT2H")
    attempts = tpay.world.record(trade)["deliveries"][0]["attempts"]
    times = [datetime.fromisoformat(attempt["at"]) for attempt in attempts]
    assert len(attempts) == len({hook.body for hook in receiver.hooks}) == 5
    assert all(
        timedelta(minutes=4.9) <= b - a <= timedelta(minutes=15.1) for a, b in zip(times, times[1:], strict=False)
    )
    for hook in receiver.hooks:
        fields = dict(parse_qsl(hook.body.decode(), keep_blank_values=True))
        assert fields["CheckMacValue"] == wire.check_mac(fields, KEY, IV)
        assert hook.headers["x-signature"] == hmac.new(SECRET.encode(), hook.body, hashlib.sha256).hexdigest()


def test_a_simulated_payment_says_simulate_paid_and_captures_nothing(tpay: Merchant, receiver: Receiver) -> None:
    trade = tpay.open()
    assert tpay.world.submit(trade, "rehearse").status_code == 303
    tpay.world.sim("POST", f"/payments/{trade['id']}/simulate_paid")
    tpay.world.settle()
    fields = [dict(parse_qsl(hook.body.decode(), keep_blank_values=True)) for hook in receiver.hooks]
    assert [(one["SimulatePaid"], one["RtnCode"]) for one in fields] == [("1", "1")] * 2
    assert tpay.later(trade)["TradeStatus"] == "0"


def test_kpay_has_no_simulated_payments(acquirer: World) -> None:
    payment = acquirer.open()
    acquirer.sim("POST", f"/payments/{payment['id']}/simulate_paid", status=409)


@pytest.mark.parametrize("bend", ["missing", "wrong_key", "old_key", "malformed", "tampered"])
def test_the_signature_fault_sends_a_bad_signature(tpay: Merchant, receiver: Receiver, bend: str) -> None:
    tpay.world.faults(hook=[{"sign": bend}])
    tpay.world.approve(tpay.open())
    tpay.world.settle()
    hook = receiver.hooks[0]
    assert hook.headers.get("x-signature") != hmac.new(SECRET.encode(), hook.body, hashlib.sha256).hexdigest()


def test_during_the_overlap_both_secrets_sign(tpay: Merchant, receiver: Receiver) -> None:
    fresh = tpay.world.sim("POST", "/keys/rotate", {"dialect": "tpay", "merchant": "demo"})["secret"]
    tpay.world.approve(tpay.open())
    tpay.world.settle()
    hook = receiver.hooks[0]
    macs = [hmac.new(key.encode(), hook.body, hashlib.sha256).hexdigest() for key in (fresh, SECRET)]
    assert hook.headers["x-signature"].split(",") == macs
