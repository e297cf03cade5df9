"""Tpay's adapter: the form for the browser, and outcomes of responses."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from shop.core.money import Money
from shop.payments.providers.interface import (
    Done,
    Found,
    NotFound,
    PaymentRequest,
    Pending,
    RefundRequest,
    Rejected,
    Show,
    Started,
    Unavailable,
    Unknown,
)
from shop.payments.providers.tpay import check_mac
from shop.payments.providers.types import PaymentState
from tests.payments.tpay_helpers import BACK, IV, KEY, P1, PAID, PAY_BY, R1, REQUEST, Reply, Wire, a_trade, reply_with


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
    assert check_mac(fields, KEY, IV) == "6C51C9E6888DE861FD62FB1DD17029FC742634498FD813DC43D4243B5685B840"


def test_a_tilde_is_encoded_in_the_check_mac_value_as_dot_net_does() -> None:
    """SHA-256 of `hashkey%3dk%26a%3d1%7e2%26b%3dx+y(z)%26hashiv%3di`, computed outside of this code."""
    right = "F9247A5BD85438B08E168E45F85C56B6768FEB9E5E9738AEBD3143EB74DF88D9"
    assert check_mac({"b": "x y(z)", "A": "1~2"}, "k", "i") == right


def test_an_initiation_makes_no_call_and_returns_a_signed_form() -> None:
    wire = Wire()
    opened = wire.provider.start(REQUEST, "https://shop.example/return", "https://shop.example/webhooks/tpay")
    assert isinstance(opened, Started) and wire.calls == []
    assert (opened.action.kind, opened.action.url) == ("form_post", "https://pay.example/tpay/cashier/checkout")
    fields = dict(opened.action.fields)
    assert fields["CheckMacValue"] == check_mac(fields, KEY, IV)
    assert (fields["MerchantTradeNo"], fields["TotalAmount"]) == (P1, "1200")
    assert (fields["MerchantTradeDate"], fields["ExpireDate"]) == ("2030/01/01 11:30:00", "2030/01/01 12:00:00")
    assert fields["ReturnURL"].endswith("/webhooks/tpay") and fields["ClientBackURL"].endswith("/return")
    assert opened == wire.provider.start(REQUEST, "https://shop.example/return", "https://shop.example/webhooks/tpay")


def test_forms_may_lead_to_the_cashier() -> None:
    assert Wire().provider.page_origins() == ("https://pay.example",)
    elsewhere = Wire(TPAY_CASHIER_URL="https://cashier.example:8443/v1/").provider
    assert elsewhere.page_origins() == ("https://cashier.example:8443",)
    opened = elsewhere.start(REQUEST, "https://s/r", "https://s/w")
    assert isinstance(opened, Started) and opened.action.url == "https://cashier.example:8443/v1/cashier/checkout"


@pytest.mark.parametrize(
    ("payment_id", "money", "why"),
    [
        (P1, Money(120050, "TWD"), "amount"),
        (P1, Money(99, "TWD"), "amount"),
        (P1, Money(0, "TWD"), "amount"),
        (P1, Money(1200, "JPY"), "currency"),
        ("P" * 21, Money(120000, "TWD"), "reference"),
        ("P-1", Money(120000, "TWD"), "reference"),
    ],
)
def test_what_does_not_convert_exactly_is_refused_and_never_rounded(payment_id: str, money: Money, why: str) -> None:
    request = PaymentRequest(payment_id, money, "", "en", PAY_BY)
    assert Wire().provider.start(request, "http://s/r", "http://s/w") == Rejected(why)


# --- queries ----------------------------------------------------------------------------------------------------------


def test_a_query_is_signed_and_has_its_time() -> None:
    wire = Wire(reply_with(**a_trade()))
    wire.provider.query(REQUEST)
    assert str(wire.calls[0].url) == "http://acquirer.example/tpay/query"
    assert wire.sent["CheckMacValue"] == check_mac(wire.sent, KEY, IV)
    assert wire.sent["MerchantTradeNo"] == P1 and abs(int(wire.sent["TimeStamp"]) - time.time()) < 10


@pytest.mark.parametrize(
    ("changed", "state", "reason"),
    [
        ({}, PaymentState.OPEN, None),
        (PAID, PaymentState.CAPTURED, None),
        ({"TradeStatus": "10100058"}, PaymentState.FAILED, "declines"),
        ({"TradeStatus": "10100251"}, PaymentState.CANCELLED, "customer"),
        ({"TradeStatus": "10100252"}, PaymentState.CANCELLED, "merchant"),
        ({"TradeStatus": "10200141"}, PaymentState.EXPIRED, "time"),
        ({"TradeStatus": "77"}, None, None),
    ],
)
def test_the_state_of_a_trade_is_translated(changed: dict[str, str], state: str | None, reason: str | None) -> None:
    found = Wire(reply_with(**a_trade(**changed))).provider.query(REQUEST)
    assert isinstance(found, Found)
    assert (found.facts.state, found.facts.end_reason, found.facts.expires_at) == (state, reason, PAY_BY)


def test_captures_have_their_own_id_with_minor_units_and_utc() -> None:
    shown = a_trade(**PAID, Card4No="4242", CardBrand="visa")
    second = {"ChargeNo2": "C2", "ChargeAmt2": "12.50", "ChargeCurrency2": "USD", "ChargeDate2": "2030/01/01 12:00:00"}
    found = Wire(reply_with(**shown | second | {"ChargeCount": "2"})).provider.query(REQUEST)
    assert isinstance(found, Found)
    taken = [(one.id, one.money, one.at) for one in found.facts.captures]
    assert taken == [
        ("C1", Money(120000, "TWD"), PAY_BY - timedelta(seconds=30)),
        ("C2", Money(1250, "USD"), PAY_BY),
    ]
    assert found.facts.instrument == {"method": "card", "brand": "visa", "last4": "4242"}


def test_a_store_code_is_shown_with_its_barcode_and_its_deadline() -> None:
    shown = a_trade(PaymentType="CVS_CVS", PaymentNo="12345678901234", Barcode1="12345678901234")
    found = Wire(reply_with(**shown)).provider.query(REQUEST)
    assert isinstance(found, Found)
    assert found.facts.show == Show("store_code", "12345678901234", "12345678901234", PAY_BY)


@pytest.mark.parametrize(
    ("reply", "means"),
    [
        (reply_with(RtnCode="10200047"), NotFound()),
        (reply_with(RtnCode="10200099"), Unavailable("RtnCode 10200099")),
        (httpx.Response(500, text="RtnCode=10200099"), Unavailable("HTTP 500")),
        (httpx.Response(429, text="", headers={"Retry-After": "7"}), Unavailable("HTTP 429", 7.0)),
        (httpx.ConnectError("away"), Unavailable("ConnectError")),
        (httpx.ReadTimeout("slow"), Unavailable("ReadTimeout")),
        (httpx.Response(200, text="<html>"), Unavailable("DecodingError")),
        (httpx.Response(200, text=urlencode({"RtnCode": "1"} | a_trade())), Unavailable("DecodingError")),
    ],
)
def test_an_answer_without_information(reply: Reply, means: Any) -> None:
    assert Wire(reply).provider.query(REQUEST) == means


@pytest.mark.parametrize(
    "changed",
    [
        {"MerchantTradeNo": "P2"},
        {"ExpireDate": "soon"},
        {"ChargeCount": "x"},
        PAID | {"ChargeAmt1": "12.345"},
        PAID | {"ChargeAmt1": "NaN"},
        PAID | {"ChargeAmt1": "1e400"},
        PAID | {"ChargeAmt1": "9" * 30},
        PAID | {"ChargeCurrency1": "XXX"},
        PAID | {"ChargeDate1": "0000/00/00 00:00:00"},
        {"ChargeCount": "2"},
    ],
)
def test_an_answer_that_cannot_be_is_no_answer(changed: dict[str, str]) -> None:
    assert isinstance(Wire(reply_with(**a_trade(**changed))).provider.query(REQUEST), Unavailable)


@pytest.mark.parametrize(
    ("reply", "means"),
    [
        (reply_with(), Done()),
        (reply_with(RtnCode="10200081"), Done()),
        (reply_with(RtnCode="10200080"), Rejected("already_paid")),
        (reply_with(RtnCode="10200099"), Unknown("10200099")),
        (httpx.Response(504), Unknown("HTTPStatusError")),
        (httpx.ReadTimeout("slow"), Unknown("ReadTimeout")),
    ],
)
def test_closing_needs_our_number_alone(reply: Reply, means: Any) -> None:
    wire = Wire(reply)
    assert wire.provider.cancel(REQUEST) == means
    assert (wire.calls[0].url.path, wire.sent["MerchantTradeNo"]) == ("/tpay/cancel", P1)


@pytest.mark.parametrize(
    ("reply", "means"),
    [
        (reply_with(RefundStatus="Done"), Pending()),
        (reply_with(RtnCode="10200090"), Rejected("10200090")),
        (reply_with(RtnCode="10200099"), Unknown("10200099")),
        (httpx.Response(429, headers={"Retry-After": "2"}), Unavailable("429", 2.0)),
        (httpx.Response(500), Unknown("HTTPStatusError")),
        (httpx.ConnectError("away"), Unavailable("ConnectError")),
        (httpx.ReadTimeout("slow"), Unknown("ReadTimeout")),
    ],
)
def test_an_accepted_refund_gets_its_result_from_the_query(reply: Reply, means: Any) -> None:
    wire = Wire(reply)
    assert wire.provider.refund(REQUEST, BACK) == means
    assert (wire.sent["RefundNo"], wire.sent["RefundAmount"], wire.sent["ChargeNo"]) == (
        R1,
        "500",
        "C1",
    )


@pytest.mark.parametrize(
    ("status", "means"), [("Accepted", Pending()), ("Done", Done()), ("Failed", Rejected("refund_failed"))]
)
def test_the_state_of_a_refund_is_translated(status: str, means: Any) -> None:
    listed = {
        "RefundCount": "2",
        "RefundNo1": "R0",
        "RefundStatus1": "Done",
        "RefundNo2": R1,
        "RefundStatus2": status,
    }
    assert Wire(reply_with(**a_trade(**PAID) | listed)).provider.query_refund(REQUEST, BACK) == means
    assert Wire(reply_with(**a_trade(**PAID))).provider.query_refund(REQUEST, BACK) == NotFound()
    assert isinstance(Wire(httpx.Response(500)).provider.query_refund(REQUEST, BACK), Unavailable)


@pytest.mark.parametrize("bad", [{"RefundNo1": ""}, {"RefundNo1": "X" * 600}, {"RefundAmount1": "much"}, {}])
def test_a_refund_that_cannot_be_named_hides_neither_the_captures_nor_the_other_refunds(bad: dict[str, str]) -> None:
    first = {"RefundNo1": "S1", "RefundStatus1": "Done", "RefundAmount1": "100"} | bad if bad else {}
    second = {"RefundNo2": R1, "RefundStatus2": "Done", "RefundAmount2": "500"}
    shown = reply_with(**a_trade(**PAID) | {"RefundCount": "2"} | first | second)
    found = Wire(shown).provider.query(REQUEST)
    assert isinstance(found, Found), found
    assert [one.id for one in found.facts.captures] == ["C1"]
    assert [one.reference for one in found.facts.refunds] == [R1]
    assert Wire(shown).provider.query_refund(REQUEST, BACK) == Done()


def test_a_refund_of_a_part_of_a_dollar_is_refused() -> None:
    part = RefundRequest(R1, Money(50, "TWD"), "C1")
    assert Wire().provider.refund(REQUEST, part) == Rejected("amount")
