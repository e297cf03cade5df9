"""Forms for tpay's cashier: CheckMacValue, trades, and forms that are refused."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_acquirer.dialects import _tpay_wire as wire
from tests.acquirer.conftest import GOOD_CARD, RETURN, Receiver
from tests.acquirer.tpay.client import IV, KEY, Merchant, Trade


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
