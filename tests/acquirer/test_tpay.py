"""tpay's wire format: forms with CheckMacValue, a cashier page, errors with HTTP 200, webhooks."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from mock_acquirer.dialects import _tpay_wire as wire
from tests.acquirer.conftest import GOOD_CARD, RETURN, Receiver, World

KEY, IV, SECRET = "pwFHCqoQZGmho4w6", "EkRm7iFT261dpevs", "tpay_demo_secret"
Trade = dict[str, str]


class Merchant:
    """A merchant with tpay. `run` is appended to the MerchantID."""

    def __init__(self, world: World, run: str = "") -> None:
        self.world, self.run = world, run
        self.id = "3002607" + (f".{run}" if run else "")
        self.numbers = iter(range(1, 1000))

    def trade(self, **changes: str) -> Trade:
        """Fields of a checkout form; None leaves one out."""
        fields: dict[str, Any] = {
            "MerchantID": self.id,
            "MerchantTradeNo": f"P{next(self.numbers)}",
            "MerchantTradeDate": "2026/01/31 12:00:00",
            "PaymentType": "aio",
            "TotalAmount": "1200",
            "TradeDesc": "Blue Kettle",
            "ReturnURL": self.world.app.config["ACQUIRER_TPAY_WEBHOOK_URL"],
            "ClientBackURL": RETURN,
            "ChoosePayment": "ALL",
            "EncryptType": "1",
        }
        return {name: value for name, value in (fields | changes).items() if value is not None}

    def post(self, fields: Trade, **mac: str) -> TestResponse:
        """Post the form as the customer's browser does."""
        sealed = fields | {"CheckMacValue": wire.check_mac(fields, KEY, IV)} | mac
        return self.world.browser.post("/tpay/cashier/checkout", data=sealed)

    def open(self, **changes: str) -> dict[str, str]:
        """Open a trade at the cashier, with the acquirer's `id`."""
        fields = self.trade(**changes)
        answer = self.post(fields)
        assert answer.status_code == 303, answer.text
        return fields | {"id": answer.headers["Location"].rpartition("/")[2]}

    def call(self, op: str, status: int = 200, **fields: Any) -> Trade:
        """Make a server-to-server call. Every response is signed, except to an unauthenticated caller."""
        sent = {"MerchantID": self.id, "TimeStamp": str(int(time.time()))} | fields
        sent = {name: value for name, value in sent.items() if value is not None}
        sent = {"CheckMacValue": wire.check_mac(sent, KEY, IV)} | sent
        answer = self.world.app.test_client().post(f"/tpay/{op}", data=sent)
        assert answer.status_code == status, answer.text
        fields = dict(parse_qsl(answer.text, keep_blank_values=True))
        if fields["RtnCode"] == "10200001":
            assert "CheckMacValue" not in fields
        else:
            assert fields["CheckMacValue"] == wire.check_mac(fields, KEY, IV)
            assert fields.get("MerchantTradeNo") in (None, sent.get("MerchantTradeNo"))
        return fields

    def query(self, trade: Trade, **more: Any) -> Trade:
        return self.call("query", MerchantTradeNo=trade["MerchantTradeNo"], **more)

    def later(self, trade: Trade) -> Trade:
        """Query after the lag."""
        self.world.advance("PT6S", run=self.run)
        return self.query(trade)


@pytest.fixture
def world(make_world: Callable[..., World], receiver: Receiver) -> World:
    receiver.answer = (200, {}, b"1|OK")
    return make_world(ACQUIRER_TPAY_WEBHOOK_URL=receiver.url)


@pytest.fixture
def tpay(world: World) -> Merchant:
    return Merchant(world)


# --- the signature ---


def test_the_check_mac_value_of_ecpays_public_example_comes_out() -> None:
    fields = {
        "TradeDesc": "促銷方案",
        "PaymentType": "aio",
        "MerchantTradeDate": "2023/03/12 15:30:23",
        "MerchantTradeNo": "ecpay20230312153023",
        "MerchantID": "3002607",
        "ReturnURL": "https://www.ecpay.com.tw/receive.php",
        "ItemName": "Apple iphone 15",
        "TotalAmount": "30000",
        "ChoosePayment": "ALL",
        "EncryptType": "1",
    }
    assert wire.check_mac(fields, KEY, IV) == "6C51C9E6888DE861FD62FB1DD17029FC742634498FD813DC43D4243B5685B840"


def test_the_check_mac_value_by_hand() -> None:
    """The rule, step by step: sort case-insensitively, wrap, encode, lower case, hash, capitals."""
    encoded = "hashkey%3dk%26a%3d1%262%26b%3dx+y%28z%29%26hashiv%3di".replace("%28", "(").replace("%29", ")")
    right = hashlib.sha256(encoded.encode()).hexdigest().upper()
    assert wire.check_mac({"b": "x y(z)", "A": "1&2", "CheckMacValue": "itself"}, "k", "i") == right


def test_a_tilde_is_encoded_in_the_check_mac_value_as_dot_net_does() -> None:
    """SHA-256 of `hashkey%3dk%26a%3d1%7e2%26b%3dx+y(z)%26hashiv%3di`, computed outside of this code."""
    right = "F9247A5BD85438B08E168E45F85C56B6768FEB9E5E9738AEBD3143EB74DF88D9"
    assert wire.check_mac({"b": "x y(z)", "A": "1~2"}, "k", "i") == right


@pytest.mark.parametrize("field", ["TotalAmount", "ExpireDate", "ReturnURL", "MerchantTradeNo"])
def test_a_field_that_was_changed_on_the_way_is_noticed(tpay: Merchant, field: str) -> None:
    fields = tpay.trade(ExpireDate="2099/01/01 00:00:00")
    mac = wire.check_mac(fields, KEY, IV)
    answer = tpay.post(fields | {field: fields[field][:-1] + "7"}, CheckMacValue=mac)
    assert (answer.status_code, "10200073" in answer.text) == (200, True)
    assert tpay.query(fields)["RtnCode"] == "10200047"


def test_calls_that_are_not_ours_are_refused_with_http_200(tpay: Merchant) -> None:
    trade = tpay.open()["MerchantTradeNo"]
    assert tpay.call("query", MerchantTradeNo=trade, MerchantID="3002608")["RtnCode"] == "10200001"
    assert tpay.call("query", MerchantTradeNo=trade, CheckMacValue="0" * 64)["RtnCode"] == "10200073"
    assert tpay.call("query", MerchantTradeNo=trade, TimeStamp=None)["RtnCode"] == "10200052"
    old = str(int(time.time()) - 200)
    assert tpay.call("query", MerchantTradeNo=trade, TimeStamp=old)["RtnCode"] == "10200060"
    assert tpay.call("query", MerchantTradeNo="x-y")["RtnCode"] == "10200052"
    assert tpay.call("nothing", 404)["RtnCode"] == "10200052"


@given(raw=st.binary(max_size=200))
def test_any_bytes_make_a_form_or_a_refusal(raw: bytes) -> None:
    try:
        assert all(isinstance(part, str) for pair in wire.read_form(raw).items() for part in pair)
    except wire.Refused as refused:
        assert refused.code == "10200052"


# --- the cashier ---


def test_the_browser_brings_the_trade_and_paying_leads_back_to_the_shop(tpay: Merchant, receiver: Receiver) -> None:
    trade = tpay.open()
    page = tpay.world.browser.get(f"/pay/{trade['id']}").text
    assert "NT$1,200" in page and "Card number" in page and "convenience store" in page
    answer = tpay.world.submit(trade, "card", **GOOD_CARD)
    assert (answer.status_code, answer.headers["Location"]) == (303, RETURN)
    fields = tpay.later(trade)
    assert (fields["TradeStatus"], fields["ChargeCount"], fields["ChargeAmt1"]) == ("1", "1", "1200")
    assert (fields["CardBrand"], fields["Card4No"], fields["PaymentType"]) == ("visa", "4242", "Credit_CreditCard")


def test_the_same_form_again_shows_the_same_cashier_while_nothing_is_paid(tpay: Merchant) -> None:
    fields = tpay.trade()
    first, again = tpay.post(fields), tpay.post(fields)
    assert first.headers["Location"] == again.headers["Location"]
    other = tpay.post(fields | {"TotalAmount": "1201"})
    assert other.status_code == 200 and "10200050" in other.text and RETURN in other.text
    tpay.world.approve({"id": fields["MerchantTradeNo"]})
    finished = tpay.post(fields)
    assert finished.status_code == 200 and "10200051" in finished.text


def test_eight_browsers_at_once_open_one_trade(tpay: Merchant) -> None:
    fields = tpay.trade()
    sealed = fields | {"CheckMacValue": wire.check_mac(fields, KEY, IV)}
    answers = tpay.world.at_once(8, lambda _: tpay.world.app.test_client().post("/tpay/cashier/checkout", data=sealed))
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["Location"] for answer in answers}) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"TotalAmount": "0"},
        {"TotalAmount": "12.5"},
        {"TotalAmount": "-1"},
        {"TotalAmount": "9" * 12},
        {"TotalAmount": "１２"},
        {"MerchantTradeNo": "A" * 21},
        {"MerchantTradeNo": "a_b"},
        {"MerchantTradeDate": "2026-01-31 12:00:00"},
        {"MerchantTradeDate": "2026/02/31 12:00:00"},
        {"ExpireDate": "2026/13/01 00:00:00"},
        {"ExpireDate": "2199/01/01 00:00:00"},
        {"TradeDesc": ""},
        {"TradeDesc": "a\nb"},
        {"ChoosePayment": "Gold"},
        {"PaymentType": "other"},
        {"ClientBackURL": "javascript:alert(1)"},
        {"ReturnURL": "http://evil.test/hooks"},
    ],
)
def test_a_form_that_cannot_be_so_is_refused_in_a_sentence(tpay: Merchant, changes: Trade) -> None:
    fields = tpay.trade(**changes)
    answer = tpay.post(fields)
    assert answer.status_code == 200 and "10200052" in answer.text and "javascript:" not in answer.text
    assert "pay_" not in tpay.world.browser.get("/payments").text


def test_a_form_after_its_expire_date_is_refused(tpay: Merchant) -> None:
    assert "10200053" in tpay.post(tpay.trade(ExpireDate="2020/01/01 00:00:00")).text


def test_the_session_ends_with_the_expire_date(tpay: Merchant) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=10)
    trade = tpay.open(ExpireDate=wire.taipei(soon))
    assert tpay.later(trade)["ExpireDate"] == wire.taipei(soon)
    tpay.world.advance("PT11M")
    assert tpay.query(trade)["TradeStatus"] == "10200141"


def test_only_card_or_only_store_when_the_merchant_says_so(tpay: Merchant) -> None:
    card, store = tpay.open(ChoosePayment="Credit"), tpay.open(ChoosePayment="CVS")
    browser = tpay.world.browser
    assert "convenience store" not in browser.get(f"/pay/{card['id']}").text
    assert tpay.world.submit(card, "store").status_code == 404
    assert "Card number" not in browser.get(f"/pay/{store['id']}").text
    assert tpay.world.submit(store, "card", **GOOD_CARD).status_code == 404
    tpay.world.sim("POST", f"/payments/{card['id']}/choose_store", status=409)


# --- queries and cancelling ---


def test_a_query_lags_five_seconds(tpay: Merchant) -> None:
    trade = tpay.open()
    assert tpay.query(trade)["RtnCode"] == "10200047"
    assert tpay.later(trade)["TradeStatus"] == "0"
    tpay.world.approve(trade)
    assert tpay.query(trade)["TradeStatus"] == "0"
    assert tpay.later(trade)["TradeStatus"] == "1"


def test_a_trade_that_was_never_posted_is_not_known(tpay: Merchant) -> None:
    assert tpay.call("query", MerchantTradeNo="Nobody")["RtnCode"] == "10200047"


@pytest.mark.parametrize(
    ("act", "status"), [("cancel", "10100251"), ("fail", "10100058"), ("decline", "0"), ("approve", "1")]
)
def test_the_state_of_a_trade_is_translated(tpay: Merchant, act: str, status: str) -> None:
    trade = tpay.open()
    tpay.world.sim("POST", f"/payments/{trade['id']}/{act}")
    fields = tpay.later(trade)
    assert fields["TradeStatus"] == status
    assert fields.get("DeclineCode", "") == ("generic_decline" if act in ("fail", "decline") else "")


def test_cancelling_ends_an_open_trade_and_repeating_it_is_fine(tpay: Merchant) -> None:
    trade = tpay.open()
    for _ in range(2):
        assert tpay.call("cancel", MerchantTradeNo=trade["MerchantTradeNo"])["RtnCode"] == "1"
    assert tpay.later(trade)["TradeStatus"] == "10100252"
    assert "Payment cancelled" in tpay.world.browser.get(f"/pay/{trade['id']}", follow_redirects=True).text


def test_a_number_that_was_cancelled_unseen_is_burnt(tpay: Merchant) -> None:
    fields = tpay.trade()
    assert tpay.call("cancel", MerchantTradeNo=fields["MerchantTradeNo"])["RtnCode"] == "1"
    answer = tpay.post(fields)
    assert answer.status_code == 200 and "10200050" in answer.text
    fields = tpay.later(fields)
    assert (fields["TradeStatus"], fields["ChargeCount"]) == ("10100252", "0")


def test_a_number_is_burnt_or_opened_but_never_both(tpay: Merchant) -> None:
    fields = tpay.trade()
    sealed = fields | {"CheckMacValue": wire.check_mac(fields, KEY, IV)}

    def do(number: int) -> str:
        if number % 2:
            return tpay.call("cancel", MerchantTradeNo=fields["MerchantTradeNo"])["RtnCode"]
        tpay.world.app.test_client().post("/tpay/cashier/checkout", data=sealed)
        return ""

    tpay.world.at_once(8, do)
    assert tpay.call("cancel", MerchantTradeNo=fields["MerchantTradeNo"])["RtnCode"] == "1"
    assert tpay.later(fields)["TradeStatus"] == "10100252"


def test_what_is_paid_or_over_is_not_cancelled(tpay: Merchant) -> None:
    paid, over = tpay.open(), tpay.open()
    tpay.world.approve(paid)
    tpay.world.sim("POST", f"/payments/{over['id']}/fail")
    assert tpay.call("cancel", MerchantTradeNo=paid["MerchantTradeNo"])["RtnCode"] == "10200080"
    assert tpay.call("cancel", MerchantTradeNo=over["MerchantTradeNo"])["RtnCode"] == "10200081"


def test_runs_do_not_see_each_other(world: World) -> None:
    here, there = Merchant(world), Merchant(world, "run42")
    mine = here.open()
    assert there.later(mine)["RtnCode"] == "10200047"
    theirs = there.open(MerchantTradeNo=mine["MerchantTradeNo"])
    assert theirs["id"] != mine["id"] and there.later(theirs)["MerchantID"] == "3002607.run42"


# --- webhooks ---


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


# --- faults ---


def test_faults_of_the_api_act_on_tpay(tpay: Merchant) -> None:
    trade = tpay.open()
    tpay.later(trade)
    for plan, status in (({"do": "500"}, 500), ({"do": "timeout_before_commit"}, 504)):
        tpay.world.faults(api=[{"op": "query", "times": 1} | plan])
        number = trade["MerchantTradeNo"]
        answer = tpay.world.app.test_client().post("/tpay/query", data=_signed(tpay, MerchantTradeNo=number))
        assert answer.status_code == status
    tpay.world.faults(api=[{"op": "query", "do": "429", "times": 1, "retry_after": 3}])
    assert tpay.call("query", 429, MerchantTradeNo=trade["MerchantTradeNo"])["RtnCode"] == "10200099"
    tpay.world.faults(api=[{"op": "query", "do": "stale_query", "shows": "nothing", "times": 1}])
    assert tpay.query(trade)["RtnCode"] == "10200047"
    tpay.world.faults(api=[{"op": "start", "do": "500", "times": 1}])
    fields = tpay.trade()
    assert tpay.post(fields).status_code == 500 and tpay.post(fields).status_code == 303


def _signed(tpay: Merchant, **fields: str) -> Trade:
    sent = {"MerchantID": tpay.id, "TimeStamp": str(int(time.time()))} | fields
    return sent | {"CheckMacValue": wire.check_mac(sent, KEY, IV)}


def test_two_charges_of_one_trade_have_numbers_of_their_own(tpay: Merchant, receiver: Receiver) -> None:
    tpay.world.faults(pay={"double": True})
    trade = tpay.open()
    tpay.world.approve(trade)
    fields = tpay.later(trade)
    assert fields["ChargeCount"] == "2" and fields["ChargeNo1"] != fields["ChargeNo2"]
    tpay.world.settle()
    assert len({dict(parse_qsl(hook.body.decode()))["ChargeNo"] for hook in receiver.hooks}) == 2


def test_a_wrong_amount_or_currency_is_sent_as_captured(tpay: Merchant) -> None:
    tpay.world.faults(pay={"amount_delta": 150, "wrong_currency": "USD"})
    trade = tpay.open()
    tpay.world.approve(trade)
    fields = tpay.later(trade)
    assert (fields["ChargeAmt1"], fields["ChargeCurrency1"], fields["TradeAmt"]) == ("1201.50", "USD", "1200")


# --- store codes ---


def test_a_code_is_shown_and_paid_at_the_counter_two_days_later(tpay: Merchant, receiver: Receiver) -> None:
    trade = tpay.open()
    shown = tpay.world.submit(trade, "store")
    assert shown.headers["Location"].endswith(f"/pay/{trade['id']}/store")
    page = tpay.world.browser.get(f"/pay/{trade['id']}", follow_redirects=True).text
    fields = tpay.later(trade)
    code = fields["PaymentNo"]
    assert re.fullmatch(r"\d{14}", code) and fields["Barcode1"] == code and code in page and "<svg" in page
    assert (fields["TradeStatus"], fields["PaymentType"]) == ("0", "CVS_CVS")
    tpay.world.advance("PT48H")
    assert tpay.world.submit(trade, "pay_at_counter").status_code == 303
    assert "You paid at the counter" in tpay.world.browser.get(f"/pay/{trade['id']}", follow_redirects=True).text
    assert tpay.later(trade)["TradeStatus"] == "1"
    tpay.world.settle()
    assert dict(parse_qsl(receiver.hooks[0].body.decode()))["PaymentType"] == "CVS_CVS"


def test_after_its_deadline_a_code_takes_no_money(tpay: Merchant) -> None:
    trade = tpay.open()
    tpay.world.sim("POST", f"/payments/{trade['id']}/choose_store")
    tpay.world.advance("PT73H")
    tpay.world.sim("POST", f"/payments/{trade['id']}/pay_at_counter", status=409)
    assert tpay.query(trade)["TradeStatus"] == "10200141"


def test_a_code_can_be_cancelled_by_either_side(tpay: Merchant) -> None:
    by_customer, by_merchant = tpay.open(), tpay.open()
    for trade in (by_customer, by_merchant):
        tpay.world.sim("POST", f"/payments/{trade['id']}/choose_store")
    assert tpay.world.submit(by_customer, "cancel").headers["Location"] == RETURN
    assert tpay.call("cancel", MerchantTradeNo=by_merchant["MerchantTradeNo"])["RtnCode"] == "1"
    tpay.world.sim("POST", f"/payments/{by_merchant['id']}/pay_at_counter", status=409)


def test_without_a_code_there_is_no_payment_at_the_counter(tpay: Merchant) -> None:
    trade = tpay.open()
    tpay.world.sim("POST", f"/payments/{trade['id']}/pay_at_counter", status=409)
    assert tpay.world.submit(trade, "pay_at_counter").headers["Location"].endswith(f"/pay/{trade['id']}")


# --- refunds ---


def _paid_at(tpay: Merchant, hour: int) -> Trade:
    """A trade that was paid at this hour of Taipei."""
    now = datetime.now(UTC).astimezone(wire.TAIPEI)
    then = (now + timedelta(days=1)).replace(hour=hour, minute=0, second=0, microsecond=0)
    tpay.world.sim("POST", "/clock/advance", {"to": then.isoformat()})
    trade = tpay.open()
    tpay.world.approve(trade)
    tpay.later(trade)
    return trade


def _back(tpay: Merchant, trade: Trade, number: str, amount: str, **more: str) -> Trade:
    return tpay.call("refund", MerchantTradeNo=trade["MerchantTradeNo"], RefundNo=number, RefundAmount=amount, **more)


def test_until_eight_in_the_evening_a_whole_reversal_is_a_void(tpay: Merchant) -> None:
    trade = _paid_at(tpay, 12)
    fields = _back(tpay, trade, "R1", "1200")
    assert (fields["RtnCode"], fields["RefundType"]) == ("1", "Void")
    fields = tpay.later(trade)
    assert (fields["RefundStatus1"], fields["RefundAmount1"], fields["RefundType1"]) == ("Done", "1200", "Void")


def test_a_partial_refund_waits_for_eight_in_the_evening(tpay: Merchant) -> None:
    trade = _paid_at(tpay, 12)
    fields = _back(tpay, trade, "R1", "500")
    assert (fields["RefundType"], fields["RefundStatus"]) == ("Refund", "Accepted")
    tpay.world.advance("PT7H")
    assert tpay.query(trade)["RefundStatus1"] == "Accepted"
    tpay.world.advance("PT1H10M")
    assert tpay.query(trade)["RefundStatus1"] == "Done"


def test_after_eight_it_is_a_refund_that_takes_a_while(tpay: Merchant) -> None:
    trade = _paid_at(tpay, 12)
    tpay.world.advance("PT9H")
    assert _back(tpay, trade, "R1", "1200")["RefundType"] == "Refund"
    assert tpay.later(trade)["RefundStatus1"] == "Accepted"
    tpay.world.advance("PT2M")
    assert tpay.query(trade)["RefundStatus1"] == "Done"


def test_the_same_refund_number_gives_the_same_refund_and_never_more_is_refunded_than_captured(tpay: Merchant) -> None:
    trade = _paid_at(tpay, 21)
    first, again = _back(tpay, trade, "R1", "700"), _back(tpay, trade, "R1", "700")
    assert first == again
    assert _back(tpay, trade, "R1", "600")["RtnCode"] == "10200092"
    assert _back(tpay, trade, "R2", "600")["RtnCode"] == "10200090"
    assert _back(tpay, tpay.open(), "R3", "1")["RtnCode"] == "10200091"
    assert tpay.call("refund", MerchantTradeNo="Nobody", RefundNo="R4", RefundAmount="1")["RtnCode"] == "10200047"


def test_the_form_of_a_call_has_any_order_and_names_each_field_once(tpay: Merchant) -> None:
    fields = _signed(tpay, MerchantTradeNo=tpay.open()["MerchantTradeNo"])
    client = tpay.world.app.test_client()
    form = {"content_type": "application/x-www-form-urlencoded"}
    body = urlencode(dict(reversed(fields.items())))
    assert "RtnCode=10200047" in client.post("/tpay/query", data=body, **form).text
    assert "RtnCode=10200052" in client.post("/tpay/query", data=body + "&MerchantTradeNo=P1", **form).text
