"""Tpay's adapter: the form for the browser, outcomes of responses, hints, and store codes."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from shop import settings
from shop.alerts.models import Alert
from shop.core import clock
from shop.core.db import db
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.orders import events
from shop.orders.models import Order
from shop.payments.initiation import initiate
from shop.payments.polling import poll
from shop.payments.providers import registry
from shop.payments.providers.interface import (
    BadSignature,
    Done,
    Facts,
    Found,
    Malformed,
    NotFound,
    PaymentRequest,
    Pending,
    RefundRequest,
    Rejected,
    Show,
    Started,
    Unavailable,
    Unknown,
    WebhookEvent,
)
from shop.payments.providers.tpay import Tpay, check_mac
from shop.payments.providers.types import PaymentState
from shop.payments.records.models import Refund, WebhookEventRow
from shop.payments.webhooks import inbox
from tests.parts.processes import NOWHERE
from tests.real_acquirer_fixtures import RealAcquirer
from tests.shop_fixtures import KETTLE, Shop

KEY, IV, SECRET = "pwFHCqoQZGmho4w6", "EkRm7iFT261dpevs", "tpay_demo_secret"
PAY_BY = datetime(2030, 1, 1, 4, tzinfo=UTC)
P1, R1 = "P0000000000000000001", "R0000000000000000001"
REQUEST = PaymentRequest(P1, Money(120000, "TWD"), "Settled order 1", "en", PAY_BY, {}, PAY_BY - timedelta(minutes=30))
BACK = RefundRequest(R1, Money(50000, "TWD"), "C1")
Reply = httpx.Response | Exception


def sealed(**fields: str) -> dict[str, str]:
    return fields | {"CheckMacValue": check_mac(fields, KEY, IV)}


def reply_with(status: int = 200, **fields: str) -> httpx.Response:
    """A signed response of tpay."""
    return httpx.Response(status, text=urlencode(sealed(**({"RtnCode": "1", "RtnMsg": "Succeeded"} | fields))))


def a_trade(**changed: str) -> dict[str, str]:
    """A trade in the format of the query, unpaid."""
    shown = {
        "MerchantID": "3002607",
        "MerchantTradeNo": P1,
        "TradeNo": "T1",
        "TradeAmt": "1200",
        "TradeStatus": "0",
    }
    more = {"ExpireDate": "2030/01/01 12:00:00", "PaymentType": "Credit_CreditCard", "ChargeCount": "0"}
    return shown | more | changed


PAID = {
    "TradeStatus": "1",
    "ChargeCount": "1",
    "ChargeNo1": "C1",
    "ChargeAmt1": "1200",
    "ChargeCurrency1": "TWD",
    "ChargeDate1": "2030/01/01 11:59:30",
}


class Wire:
    """Tpay's API in a test: responses from a list, recorded calls."""

    def __init__(self, *replies: Reply, **config: str) -> None:
        self.replies, self.calls = list(replies), list[httpx.Request]()
        client = httpx.Client(transport=httpx.MockTransport(self.answer))
        where = {"ACQUIRER_URL": "http://acquirer.example/", "ACQUIRER_PUBLIC_URL": "https://pay.example"}
        self.provider = Tpay(
            settings.read(Tpay.SETTINGS, {"SETTLED_ENV": "development"} | config) | where, lambda: client
        )

    def answer(self, call: httpx.Request) -> httpx.Response:
        self.calls.append(call)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    @property
    def sent(self) -> dict[str, str]:
        """The fields of the last call."""
        return dict(parse_qsl(self.calls[-1].content.decode(), keep_blank_values=True))


# --- the form --------------------------------------------------------------------------------------------------------


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


# --- webhooks --------------------------------------------------------------------------------------------------------


def a_webhook(secret: str = SECRET, **changed: str) -> tuple[dict[str, str], bytes]:
    reported = {
        "MerchantID": "3002607",
        "MerchantTradeNo": P1,
        "RtnCode": "1",
        "TradeAmt": "1200",
        "SimulatePaid": "0",
    }
    body = urlencode(sealed(**(reported | changed))).encode()
    return {"x-signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}, body


def test_a_webhook_is_a_replayable_hint() -> None:
    (notice,) = Wire().provider.read_webhook(*a_webhook())
    assert (notice.kind, notice.reference, notice.merchant, notice.trust) == (
        "payment",
        P1,
        "3002607",
        "replayable",
    )
    assert notice.facts == Facts()


def test_simulate_paid_is_not_a_capture() -> None:
    (notice,) = Wire().provider.read_webhook(*a_webhook(SimulatePaid="1"))
    assert (notice.kind, notice.facts) == ("other", Facts())


def test_each_body_has_a_deduplication_key_of_its_own() -> None:
    hooks = (a_webhook(RtnMsg="Succeeded"), a_webhook(RtnMsg="Succeeded"), a_webhook(RtnMsg="Succeeded (notice 2)"))
    names = [Wire().provider.read_webhook(*hook)[0].dedupe_key for hook in hooks]
    assert names[0] == names[1] != names[2]


def test_any_of_our_secrets_and_any_of_theirs_will_do_while_one_replaces_another() -> None:
    _, body = a_webhook()
    macs = [hmac.new(key.encode(), body, hashlib.sha256).hexdigest() for key in ("fresh", "old")]
    for ours in ("fresh", "old", "other, old"):
        wire = Wire(TPAY_WEBHOOK_SECRET=ours)
        assert wire.provider.read_webhook({"x-signature": ",".join(macs)}, body)
    with pytest.raises(BadSignature):
        Wire(TPAY_WEBHOOK_SECRET="gone").provider.read_webhook({"x-signature": ",".join(macs)}, body)


def test_a_byte_that_was_changed_breaks_the_signature() -> None:
    headers, body = a_webhook()
    for at in range(len(body)):
        bent = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        with pytest.raises(BadSignature):
            Wire().provider.read_webhook(headers, bent)


@pytest.mark.parametrize("code", ["10200047", "10200080", "10200081", "10200091"])
def test_a_refusal_without_a_signature_or_about_another_trade_ends_nothing(code: str) -> None:
    """A man in the middle could otherwise report that a trade has ended, or that nothing was captured."""
    refund = RefundRequest("R" + P1[1:], Money(120000, "TWD"), "C1")
    bare = httpx.Response(200, text=urlencode({"RtnCode": code, "RtnMsg": "x"}))
    for answer in (bare, reply_with(RtnCode=code, MerchantTradeNo="P" + "9" * 19)):
        wire = Wire(answer, answer, answer)
        assert isinstance(wire.provider.query(REQUEST), Unavailable)
        assert isinstance(wire.provider.cancel(REQUEST), Unknown)
        assert isinstance(wire.provider.refund(REQUEST, refund), Unknown)


def test_both_signatures_are_needed() -> None:
    body = urlencode({"MerchantID": "3002607", "MerchantTradeNo": P1, "RtnCode": "1", "CheckMacValue": "0" * 64})
    mac = hmac.new(SECRET.encode(), body.encode(), hashlib.sha256).hexdigest()
    for headers, raw in (({"x-signature": mac}, body.encode()), ({}, a_webhook()[1]), ({"x-signature": "é"}, b"")):
        with pytest.raises(BadSignature):
            Wire().provider.read_webhook(headers, raw)


_FIELDS = st.sampled_from(["MerchantID", "MerchantTradeNo", "RtnCode", "SimulatePaid", "TradeAmt", "x"])
_WORDS = st.text(st.characters(codec="utf-8"))


@given(st.binary() | st.dictionaries(_FIELDS, _WORDS).map(lambda reported: urlencode(sealed(**reported)).encode()))
def test_any_bytes_under_a_valid_signature_are_a_webhook_event_or_malformed(raw: bytes) -> None:
    mac = hmac.new(SECRET.encode(), raw, hashlib.sha256).hexdigest()
    try:
        notices = Wire().provider.read_webhook({"x-signature": mac}, raw)
    except (BadSignature, Malformed):
        return
    assert [notice.facts for notice in notices] == [Facts()] and all(isinstance(one, WebhookEvent) for one in notices)


@given(st.dictionaries(st.sampled_from(["x-signature", "content-type"]), st.text()), st.binary())
def test_any_request_at_all_is_refused_and_nothing_else_is_raised(headers: dict[str, str], raw: bytes) -> None:
    with pytest.raises((BadSignature, Malformed)):
        Wire().provider.read_webhook(headers, raw)


@pytest.mark.parametrize("outcome", ["applied", "duplicate", "hint", "orphan", "foreign", "stale"])
def test_the_acknowledgement_is_exactly_1_ok(outcome: str) -> None:
    assert Wire().provider.ack(outcome) == (200, "1|OK")


@pytest.mark.parametrize(("outcome", "status"), [("bad_signature", 401), ("malformed", 400), ("unavailable", 503)])
def test_a_rejected_webhook_is_never_answered_with_1_ok(outcome: str, status: int) -> None:
    assert Wire().provider.ack(outcome) == (status, f"0|{outcome}")


def test_over_http_the_acknowledgement_has_nothing_around_it(shop: Shop, app: Flask) -> None:
    client: FlaskClient = app.test_client()
    headers, body = a_webhook()
    answer = client.post("/webhooks/tpay", data=body, headers=headers)
    assert (answer.status_code, answer.data) == (200, b"1|OK")
    assert client.post("/webhooks/tpay", data=body, headers={"x-signature": "0"}).status_code == 401


# --- in the shop -----------------------------------------------------------------------------------------------------


class Taiwan:
    """The shop with the real tpay dialect behind it."""

    def __init__(self, shop: Shop, acquirer: RealAcquirer) -> None:
        self.shop, self.acquirer = shop, acquirer
        where = {"ACQUIRER_URL": acquirer.url, "ACQUIRER_PUBLIC_URL": acquirer.url}
        self.tpay = registry.all_providers()["tpay"] = Tpay(
            settings.read(Tpay.SETTINGS, {"SETTLED_ENV": "development"}) | where, lambda: acquirer.shop_client
        )

    def order(self) -> Order:
        return self.shop.order((KETTLE, 1), provider="tpay")

    def browse(self, order: Order) -> httpx.Response:
        """Post the form as the customer's browser does."""
        action = initiate.next_action(self.shop.payment(order))
        assert action and action.kind == "form_post"
        return httpx.post(action.url, data=dict(action.fields), trust_env=False)

    def act(self, order: Order, act: str, **body: Any) -> None:
        """Perform a customer action there: approve, cancel, choose_store, pay_at_counter."""
        self.acquirer.act(self.shop.payment(order).id, act, **body)

    def hint(self, order: Order, **changed: str) -> tuple[int, str]:
        headers, body = a_webhook(MerchantTradeNo=self.shop.payment(order).id, **changed)
        return inbox.receive(self.tpay, headers, body)

    def turn(self, **by: float) -> None:
        """Advance the clocks of acquirer and shop, in this order."""
        self.acquirer.advance(f"PT{timedelta(**by).total_seconds():.0f}S")
        self.shop.turn(**by)

    def code_shown(self) -> Order:
        """An order whose customer has a store code, and has left."""
        order = self.order()
        self.browse(order)
        self.act(order, "choose_store")
        poll.make_due(order.id, "return")
        self.turn(seconds=6)
        assert self.shop.order_status(order).key == "store_code"
        return order


@pytest.fixture
def taiwan(shop: Shop, make_acquirer: Callable[..., RealAcquirer]) -> Taiwan:
    return Taiwan(shop, make_acquirer(ACQUIRER_TPAY_WEBHOOK_URL="", ACQUIRER_WEBHOOK_TARGETS=NOWHERE))


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


# --- failures there


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


# --- store codes


def test_the_first_code_moves_the_time_to_pay_to_its_deadline_once(taiwan: Taiwan) -> None:
    order = taiwan.code_shown()
    payment, again = taiwan.shop.payment(order), db.session.get_one(Order, order.id, populate_existing=True)
    assert payment.expires_at == again.pay_by
    assert timedelta(days=2, hours=23) < again.pay_by - clock.now() <= timedelta(days=3)
    assert [e.kind for e in events.since(order.id, 0)].count("payment.code_shown") == 1
    taiwan.act(order, "cancel")
    taiwan.turn(minutes=6)
    taiwan.shop.pay_again(order, "tpay")
    taiwan.browse(order)
    taiwan.act(order, "choose_store")
    taiwan.turn(minutes=6)
    assert taiwan.shop.order_status(order).key == "store_code"
    assert db.session.get_one(Order, order.id, populate_existing=True).pay_by == again.pay_by


def test_an_order_never_waits_longer_for_a_code_than_the_shop_wants(taiwan: Taiwan) -> None:
    taiwan.shop.app.config["PAY_WITHIN_STORE"] = 7200
    order = taiwan.code_shown()
    taiwan.turn(hours=2, minutes=1)
    for _ in range(4):
        taiwan.turn(seconds=6)
    assert taiwan.shop.state(order) == "EXPIRED"
    assert taiwan.acquirer.payment(taiwan.shop.payment(order).id)["state"] == "voided"


def test_a_waiting_code_is_polled_every_five_minutes(taiwan: Taiwan) -> None:
    order = taiwan.code_shown()
    gaps = [round(taiwan.shop.next_wait(order).total_seconds()) for _ in range(3)]
    assert gaps == [300, 300, 300] or gaps[1:] == [300, 300]


def test_a_customer_leaves_with_a_store_code_and_pays_it_two_days_later(taiwan: Taiwan) -> None:
    """Case 30."""
    order = taiwan.code_shown()
    taiwan.turn(days=2)
    assert taiwan.shop.order_status(order).key == "store_code"
    taiwan.act(order, "pay_at_counter")
    taiwan.turn(minutes=5, seconds=10)
    assert (taiwan.shop.state(order), taiwan.shop.captures(order)) == ("PAID", ["pays_order"])
    instrument = taiwan.shop.payment(order).instrument
    assert instrument and instrument["method"] == "convenience store"


def test_a_capture_of_a_code_after_its_deadline_is_late_and_refunded_automatically(taiwan: Taiwan) -> None:
    """Case 30, the other half."""
    order = taiwan.code_shown()
    taiwan.acquirer.faults(pay={"late_after_expiry": "PT10M"})
    taiwan.act(order, "pay_at_counter")
    taiwan.turn(days=3)
    for _ in range(4):
        taiwan.turn(seconds=6)
    assert taiwan.shop.state(order) == "EXPIRED"
    taiwan.turn(hours=1)
    taiwan.turn(seconds=6)
    assert taiwan.shop.captures(order) == ["late"]
    for _ in range(12):
        taiwan.turn(hours=3)
    refund = db.session.scalars(db.select(Refund).where(Refund.order_id == order.id)).one()
    assert (refund.kind, refund.state) == ("late", "DONE")
    (back,) = taiwan.acquirer.payment(taiwan.shop.payment(order).id)["refunds"]
    assert (back["reference"], back["state"]) == (refund.id, "succeeded")


def test_a_cancelled_order_ends_its_code(taiwan: Taiwan) -> None:
    order = taiwan.code_shown()
    taiwan.shop.cancel(order)
    for _ in range(3):
        taiwan.turn(seconds=6)
    assert taiwan.shop.state(order) == "CANCELLED"
    assert taiwan.acquirer.payment(taiwan.shop.payment(order).id)["state"] == "voided"


def test_a_card_is_used_instead_of_a_code_after_the_code_was_closed(taiwan: Taiwan) -> None:
    order = taiwan.code_shown()
    code = taiwan.shop.payment(order).id
    with pytest.raises(Refusal) as refused:
        initiate.open_payment(order.id, "tpay", instead_of=code)
    assert refused.value.code == "confirming", "Tpay's query shows the code as it was five seconds ago"
    taiwan.turn(seconds=6)
    assert taiwan.acquirer.payment(code)["state"] == "voided"
    assert taiwan.shop.order_status(order).key == "cancelled_there"
    card = initiate.open_payment(order.id, "tpay", instead_of=code)
    assert card.id != code and card.expires_at and card.expires_at <= clock.now() + timedelta(minutes=30)
    taiwan.browse(order)
    taiwan.act(order, "approve")
    for _ in range(3):
        taiwan.turn(seconds=20)
    assert (taiwan.shop.state(order), taiwan.shop.captures(order)) == ("PAID", ["pays_order"])


def test_a_code_that_was_paid_when_another_method_was_chosen_pays_the_order(taiwan: Taiwan) -> None:
    order = taiwan.code_shown()
    taiwan.act(order, "pay_at_counter")
    with pytest.raises(Refusal):
        initiate.open_payment(order.id, "tpay", instead_of=taiwan.shop.payment(order).id)
    for _ in range(3):
        taiwan.turn(seconds=20)
    assert (taiwan.shop.state(order), taiwan.shop.captures(order)) == ("PAID", ["pays_order"])
    assert len(taiwan.shop.payments(order)) == 1


def test_the_page_shows_the_code_its_barcode_and_its_deadline(taiwan: Taiwan, app: Flask) -> None:
    order = taiwan.code_shown()
    page = app.test_client().get(f"/orders/{order.token}").text
    code = (taiwan.shop.payment(order).action or {})["fields"]["code"]
    assert f'<p class="code">{code}</p>' in page and '<svg class="barcode"' in page
    assert f'name="instead_of" value="{taiwan.shop.payment(order).id}"' in page and "Use another method" in page
    assert "Pay NT$1,200 at the counter by" in page
    assert "pay-form" not in page[page.index('id="order-status"') : page.index('id="other-ways"')]
