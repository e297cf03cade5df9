"""PayPay's adapter: outcomes of its responses, unsigned hints, and codes that no customer saw."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from shop import settings
from shop.core.db import db
from shop.core.money import Money
from shop.orders.models import Order
from shop.payments.providers import registry
from shop.payments.providers.interface import (
    Done,
    Facts,
    Found,
    Malformed,
    NotFound,
    PaymentRequest,
    Pending,
    RefundRequest,
    Rejected,
    Started,
    Unavailable,
    Unknown,
    WebhookEvent,
)
from shop.payments.providers.paypay import PayPay, sign
from shop.payments.providers.types import PaymentState
from shop.payments.records.models import WebhookEventRow
from shop.payments.webhooks import inbox
from tests.real_acquirer_fixtures import RealAcquirer
from tests.shop_fixtures import KETTLE, Shop

P1, R1 = "P0000000000000000001", "R0000000000000000001"
REQUEST = PaymentRequest(P1, Money(5600, "JPY"), "Settled order 1", "en", datetime(2030, 1, 1, tzinfo=UTC))
KNOWN = PaymentRequest(P1, REQUEST.money, "", "en", REQUEST.pay_by, {"code_id": "04-1"})
CODE = {"codeId": "04-1", "url": "https://pay.example/1", "deeplink": "paypay://1", "expiryDate": 1893455700}
Reply = httpx.Response | Exception


def ok(data: Any, status: int = 200, code: str = "SUCCESS") -> httpx.Response:
    info = {"code": code, "message": "Success", "codeId": "08100001"}
    return httpx.Response(status, json={"resultInfo": info, "data": data})


def no(status: int, code: str) -> httpx.Response:
    return ok(None, status, code)


def a_payment(**changed: Any) -> dict[str, Any]:
    """A payment in the format of the query."""
    money = {"amount": 5600, "currency": "JPY"}
    shown = {
        "status": "COMPLETED",
        "merchantPaymentId": P1,
        "paymentId": "77",
        "amount": money,
        "acceptedAt": 1893455000,
    }
    return shown | changed


class Wire:
    """PayPay's API in a test: responses from a list, recorded calls."""

    def __init__(self, *replies: Reply) -> None:
        self.replies, self.calls = list(replies), list[httpx.Request]()
        client = httpx.Client(transport=httpx.MockTransport(self.answer))
        where = {"ACQUIRER_URL": "http://acquirer.example/", "ACQUIRER_PUBLIC_URL": "https://pay.example"}
        config = settings.read(PayPay.SETTINGS, {"SETTLED_ENV": "development"}) | where
        self.provider = PayPay(config, lambda: client)

    def answer(self, call: httpx.Request) -> httpx.Response:
        self.calls.append(call)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def start(self, request: PaymentRequest = REQUEST) -> Started | Rejected | Unknown | Unavailable:
        return self.provider.start(request, "http://shop.example/return", "http://shop.example/webhooks/paypay")

    def facts(self, request: PaymentRequest = KNOWN) -> Facts:
        found = self.provider.query(request)
        assert isinstance(found, Found), found
        return found.facts


# --- calls -----------------------------------------------------------------------------------------------------------


def test_paypays_public_example_is_signed_as_paypay_signs_it() -> None:
    body = b'{"sampleRequestBodyKey1":"sampleRequestBodyValue1","sampleRequestBodyKey2":"sampleRequestBodyValue2"}'
    kind = "application/json;charset=UTF-8;"
    header = sign("KEY", "APIKeySecretGenerated", "POST", "/v2/codes", body, "acd028", 1579843452, kind)
    mac, digest = "NW1jKIMnzR7tEhMWtcJcaef+nFVBt7jjAGcVuxHhchc=", "1j0FnY4flNp5CtIKa7x9MQ=="
    assert header == f"hmac OPA-Auth:KEY:{mac}:acd028:1579843452:{digest}"


def test_opening_sends_whole_yen_and_remembers_the_code() -> None:
    wire = Wire(ok(CODE, 201))
    started = wire.start()
    assert isinstance(started, Started)
    assert (started.action.kind, started.action.url) == ("qr", "https://pay.example/1")
    assert started.provider_data == {"code_id": "04-1"}
    assert started.expires_at == datetime(2029, 12, 31, 23, 55, tzinfo=UTC)
    (call,) = wire.calls
    sent = json.loads(call.content)
    assert (str(call.url), sent["merchantPaymentId"]) == (
        "http://acquirer.example/paypay/v2/codes",
        P1,
    )
    assert sent["amount"] == {"amount": 5600, "currency": "JPY"}


@pytest.mark.parametrize(
    ("reply", "means"),
    [
        (httpx.ConnectError("no"), Unavailable),
        (httpx.ConnectTimeout("no"), Unavailable),
        (httpx.ReadTimeout("slow"), Unknown),
        (httpx.RemoteProtocolError("cut"), Unknown),
        (httpx.Response(504), Unknown),
        (no(500, "INTERNAL_SERVER_ERROR"), Unknown),
        (no(400, "DUPLICATE_DYNAMIC_QR_REQUEST"), Unknown),
        (no(429, "RATE_LIMIT"), Unavailable),
        (no(400, "INVALID_REQUEST_PARAMS"), Rejected),
        (no(401, "UNAUTHORIZED"), Rejected),
        (httpx.Response(201, content=b"<html>"), Unknown),
        (ok(None, 201), Unknown),
        (ok({**CODE, "url": "javascript:alert(1)"}, 201), Unknown),
        (ok({**CODE, "expiryDate": "soon"}, 201), Unknown),
    ],
)
def test_the_response_to_an_initiation_is_translated(reply: Reply, means: type) -> None:
    assert isinstance(Wire(reply).start(), means)


def test_another_currency_is_refused_without_a_call() -> None:
    dollars = PaymentRequest(P1, Money(5600, "USD"), "", "en", REQUEST.pay_by)
    wire = Wire()
    assert wire.start(dollars) == Rejected("currency") and wire.calls == []


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("CREATED", PaymentState.OPEN),
        ("AUTHORIZED", PaymentState.AUTHORIZED),
        ("COMPLETED", PaymentState.CAPTURED),
        ("REFUNDED", PaymentState.CAPTURED),
        ("CANCELED", PaymentState.CANCELLED),
        ("EXPIRED", PaymentState.EXPIRED),
        ("FAILED", PaymentState.FAILED),
        ("SOMETHING_NEW", None),
    ],
)
def test_each_status_is_translated(status: str, state: str | None) -> None:
    paid = {} if state == PaymentState.CAPTURED else {"acceptedAt": None}
    facts = Wire(ok(a_payment(status=status, **paid))).facts()
    assert facts.state == state
    assert bool(facts.captures) == (state == PaymentState.CAPTURED), "only what is completed has taken money"


def test_the_payment_is_its_own_capture() -> None:
    (capture,) = Wire(ok(a_payment())).facts().captures
    assert (capture.id, capture.money, capture.at.timestamp()) == ("77", Money(5600, "JPY"), 1893455000)


def test_several_captures_are_several_and_only_completed_ones() -> None:
    one = {"amount": {"amount": 5600, "currency": "JPY"}, "acceptedAt": 1893455000, "status": "COMPLETED"}
    listed = [{**one, "merchantCaptureId": "77"}, {**one, "merchantCaptureId": "77-2"}]
    shown = a_payment(captures={"data": [*listed, {**one, "merchantCaptureId": "78", "status": "FAILED"}]})
    assert [capture.id for capture in Wire(ok(shown)).facts().captures] == ["77", "77-2"]


@pytest.mark.parametrize(
    "bad", [{"merchantRefundId": ""}, {"merchantRefundId": None}, {"status": "NEW"}, {"amount": 1}]
)
def test_a_refund_that_cannot_be_read_hides_neither_the_captures_nor_the_other_refunds(bad: dict[str, Any]) -> None:
    one = {"merchantRefundId": "S1", "status": "REFUNDED", "amount": {"amount": 100, "currency": "JPY"}}
    facts = Wire(ok(a_payment(refunds={"data": [one | bad, one]}))).facts()
    assert ([one.id for one in facts.captures], [one.id for one in facts.refunds]) == (["77"], ["S1"])


@pytest.mark.parametrize("status", ["CANCELED", "EXPIRED"])
def test_a_code_that_was_never_seen_never_arrived(status: str) -> None:
    facts = Wire(ok(a_payment(status=status, acceptedAt=None))).facts(REQUEST)
    assert (facts.state, facts.end_reason) == (PaymentState.FAILED, "never_arrived")


def test_a_payment_cancelled_after_it_was_paid_has_a_capture_and_a_refund() -> None:
    facts = Wire(ok(a_payment(status="CANCELED"))).facts()
    assert facts.state == PaymentState.CAPTURED and len(facts.captures) == 1
    assert [refund.money for refund in facts.refunds] == [Money(5600, "JPY")]


@pytest.mark.parametrize(
    "reply",
    [
        httpx.ReadTimeout("slow"),
        httpx.Response(504),
        no(429, "RATE_LIMIT"),
        no(400, "DYNAMIC_QR_BAD_REQUEST"),
        no(404, "OPA_CLIENT_NOT_FOUND"),
        httpx.Response(200, content=b"{"),
        ok(None),
        ok([]),
        ok(a_payment(merchantPaymentId="P2")),
        ok(a_payment(amount={"amount": "5600", "currency": "JPY"})),
        ok(a_payment(amount={"amount": 56.5, "currency": "JPY"})),
        ok(a_payment(amount={"amount": True, "currency": "JPY"})),
        ok(a_payment(acceptedAt="yesterday")),
        ok(a_payment(acceptedAt=10**30)),
        ok(a_payment(captures={"data": [{}]})),
        ok(a_payment(captures=[])),
    ],
)
def test_a_response_without_information_is_unavailable(reply: Reply) -> None:
    message = Wire(reply).provider.query(KNOWN)
    empty_list = isinstance(reply, httpx.Response) and b'"captures":[]' in reply.content
    assert isinstance(message, Found if empty_list else Unavailable)


def test_a_forgotten_code_is_not_found() -> None:
    assert Wire(no(400, "DYNAMIC_QR_PAYMENT_NOT_FOUND")).provider.query(KNOWN) == NotFound()


@pytest.mark.parametrize(
    ("reply", "means"),
    [
        (ok({}), Done()),
        (no(404, "DYNAMIC_QR_NOT_FOUND"), Done()),
        (no(400, "DYNAMIC_QR_ALREADY_PAID"), Rejected("DYNAMIC_QR_ALREADY_PAID")),
        (no(500, "INTERNAL_SERVER_ERROR"), Unknown("INTERNAL_SERVER_ERROR")),
        (httpx.ReadTimeout("slow"), Unknown("ReadTimeout")),
    ],
)
def test_a_code_that_we_know_is_deleted(reply: Reply, means: Any) -> None:
    wire = Wire(reply)
    assert wire.provider.cancel(KNOWN) == means
    assert (wire.calls[0].method, wire.calls[0].url.path, wire.calls[0].content) == (
        "DELETE",
        "/paypay/v2/codes/04-1",
        b"{}",
    )


@pytest.mark.parametrize(
    ("replies", "means"),
    [
        ([ok(a_payment(status="CREATED")), no(202, "REQUEST_ACCEPTED")], Pending()),
        ([ok(a_payment(status="CREATED")), no(400, "ORDER_NOT_REVERSIBLE")], Rejected("ORDER_NOT_REVERSIBLE")),
        ([ok(a_payment(status="CREATED")), no(404, "RESOURCE_NOT_FOUND")], Done()),
        ([ok(a_payment(status="CREATED")), httpx.Response(504)], Unknown("http_504")),
        ([ok(a_payment())], Rejected("already_paid")),
        ([no(400, "DYNAMIC_QR_PAYMENT_NOT_FOUND")], Done()),
        ([httpx.Response(504)], Unknown("http_504")),
    ],
)
def test_a_code_without_a_known_id_is_cancelled_by_our_id_unless_paid(replies: list[Reply], means: Any) -> None:
    wire = Wire(*replies)
    assert wire.provider.cancel(REQUEST) == means
    assert wire.replies == []
    if len(wire.calls) == 2:
        assert (wire.calls[1].method, wire.calls[1].url.path) == ("DELETE", f"/paypay/v2/payments/{P1}")


PAID = replace(KNOWN, provider_data={"code_id": "04-1", "payment_id": "77"})
REFUND = RefundRequest(R1, Money(500, "JPY"), "77-2", "returned")


@pytest.mark.parametrize(
    ("reply", "sent", "sent_request"),
    [
        (ok({"status": "CREATED"}), Pending(), Pending()),
        (ok({"status": "REFUNDED"}), Done(), Done()),
        (ok({"status": "FAILED"}), Rejected("refund_failed"), Rejected("refund_failed")),
        (ok({"status": "NEW"}), Unknown("SUCCESS"), Unavailable("SUCCESS")),
        (ok(None), Unknown("SUCCESS"), Unavailable("SUCCESS")),
        (no(400, "UNACCEPTABLE_OP"), Rejected("UNACCEPTABLE_OP"), Unavailable("UNACCEPTABLE_OP")),
        (no(404, "NO_SUCH_REFUND_ORDER"), Rejected("NO_SUCH_REFUND_ORDER"), NotFound()),
        (no(401, "UNAUTHORIZED"), Unknown("UNAUTHORIZED"), Unavailable("UNAUTHORIZED")),
        (no(500, "TRANSACTION_FAILED"), Unknown("TRANSACTION_FAILED"), Unavailable("TRANSACTION_FAILED")),
        (httpx.ConnectError("no"), Unavailable("ConnectError"), Unavailable("ConnectError")),
        (httpx.ReadTimeout("slow"), Unknown("ReadTimeout"), Unavailable("ReadTimeout")),
    ],
)
def test_the_result_of_a_refund_is_translated(reply: Reply, sent: Any, sent_request: Any) -> None:
    sending, asking = Wire(reply), Wire(reply)
    assert (sending.provider.refund(PAID, REFUND), asking.provider.query_refund(PAID, REFUND)) == (sent, sent_request)
    fields = json.loads(sending.calls[0].content)
    assert (fields["merchantRefundId"], fields["paymentId"], fields["amount"]["amount"]) == (
        R1,
        "77",
        500,
    )


def test_a_capture_known_only_from_a_settlement_file_is_refunded_by_the_files_id() -> None:
    wire = Wire(ok({"status": "REFUNDED"}))
    assert wire.provider.refund(replace(PAID, provider_data={}), replace(REFUND, capture_id="77")) == Done()
    assert json.loads(wire.calls[0].content)["paymentId"] == "77"


# --- webhooks --------------------------------------------------------------------------------------------------------


def a_webhook(**changed: Any) -> bytes:
    reported = {
        "notification_type": "Transaction",
        "merchant_id": "demo",
        "order_id": "77",
        "merchant_order_id": P1,
    }
    return json.dumps(reported | {"state": "COMPLETED", "order_amount": "5600"} | changed).encode()


def test_a_webhook_is_a_hint_without_facts() -> None:
    (notice,) = Wire().provider.read_webhook({}, a_webhook())
    assert (notice.kind, notice.reference, notice.merchant, notice.trust) == (
        "payment",
        P1,
        "demo",
        "unsigned",
    )
    assert notice.facts == Facts()


def test_the_same_bytes_have_the_same_event_id_and_others_another() -> None:
    names = [Wire().provider.read_webhook({}, raw)[0].dedupe_key for raw in (a_webhook(), a_webhook(), a_webhook(x=1))]
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b"[" * 100_000,
        a_webhook(merchant_order_id=None),
        a_webhook(merchant_order_id=7),
        a_webhook(merchant_id=["demo"]),
        a_webhook(merchant_id="\0"),
        a_webhook(merchant_id="x" * 10_000),
    ],
)
def test_what_names_no_payment_of_ours_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        Wire().provider.read_webhook({}, raw)


_JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner))
_FIELDS = st.sampled_from(
    ["notification_type", "merchant_id", "order_id", "merchant_order_id", "state", "order_amount"]
)


@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary() | st.dictionaries(_FIELDS, _JSON).map(lambda reported: a_webhook(**reported)))
def test_any_bytes_are_a_webhook_event_or_malformed(raw: bytes) -> None:
    try:
        notices = Wire().provider.read_webhook({"content-type": "application/json"}, raw)
    except Malformed:
        return
    assert [notice.facts for notice in notices] == [Facts()] and all(isinstance(one, WebhookEvent) for one in notices)


# --- in the shop -----------------------------------------------------------------------------------------------------


class Japan:
    """The shop with the real PayPay dialect behind it."""

    def __init__(self, shop: Shop, acquirer: RealAcquirer) -> None:
        self.shop, self.acquirer = shop, acquirer
        where = {"ACQUIRER_URL": acquirer.url, "ACQUIRER_PUBLIC_URL": acquirer.url}
        config = settings.read(PayPay.SETTINGS, {"SETTLED_ENV": "development"}) | where
        self.paypay = registry.all_providers()["paypay"] = PayPay(config, lambda: acquirer.shop_client)

    def order(self) -> Order:
        return self.shop.order((KETTLE, 1), currency="JPY", provider="paypay")

    def pay(self, order: Order) -> None:
        """Scan the code of the order's payment and pay."""
        self.acquirer.sim("POST", f"/payments/{self.shop.payment(order).id}/approve")

    def hint(self, order: Order, **changed: Any) -> tuple[int, str]:
        """Post a forged or real-looking webhook about the order's payment."""
        return inbox.receive(self.paypay, {}, a_webhook(merchant_order_id=self.shop.payment(order).id, **changed))

    def both_turn(self, **by: float) -> None:
        self.acquirer.advance(f"PT{timedelta(**by).total_seconds():.0f}S")
        self.shop.turn(**by)


@pytest.fixture
def japan(shop: Shop, make_acquirer: Callable[..., RealAcquirer]) -> Japan:
    return Japan(shop, make_acquirer(ACQUIRER_PAYPAY_WEBHOOK_URL="", ACQUIRER_PAYPAY_QUERIES_PER_SECOND="0"))


def test_a_scanned_code_pays_the_order_with_the_next_poll(japan: Japan) -> None:
    order = japan.order()
    assert japan.shop.order_status(order).key == "waiting"
    japan.pay(order)
    japan.shop.turn(seconds=11)
    assert (japan.shop.state(order), japan.shop.captures(order)) == ("PAID", ["pays_order"])


def test_a_hint_only_leads_to_a_poll(japan: Japan) -> None:
    order = japan.order()
    assert japan.hint(order)[0] == 200
    japan.shop.sweep()
    assert japan.shop.state(order) == "WAITING_PAYMENT", "whatever it says, nothing was paid there"
    japan.pay(order)
    japan.shop.wait(seconds=3)
    assert japan.hint(order, x=1) == (200, "hint")
    japan.shop.sweep()
    assert japan.shop.state(order) == "PAID"


def test_a_hint_about_another_merchant_is_foreign(japan: Japan) -> None:
    order = japan.order()
    sent_request = japan.shop.payment(order).next_check_at
    assert japan.hint(order, merchant_id="another") == (200, "foreign")
    assert japan.shop.payment(order).next_check_at == sent_request


def test_a_flood_of_forged_hints_leads_to_a_poll_every_two_seconds_at_most(japan: Japan) -> None:
    order = japan.order()
    for number in range(20):
        japan.hint(order, x=number)
        japan.shop.sweep()
    assert japan.shop.payment(order).checks <= 2
    assert {row.outcome for row in db.session.scalars(db.select(WebhookEventRow))} == {"hint"}


def test_a_code_ends_before_the_order_and_a_new_one_is_offered(japan: Japan) -> None:
    order = japan.order()
    first = japan.shop.payment(order)
    assert first.expires_at and first.expires_at < order.pay_by
    japan.both_turn(minutes=5, seconds=40)
    assert japan.shop.state(order) == "FAILED"
    assert japan.shop.order_status(order).key == "session_ended" and "pay" in japan.shop.order_status(order).can
    japan.shop.pay_again(order, "paypay")
    second = japan.shop.payment(order)
    assert second.id != first.id and second.state == PaymentState.OPEN
    japan.pay(order)
    japan.shop.turn(seconds=11)
    assert japan.shop.state(order) == "PAID"


def test_a_code_whose_answer_was_lost_is_closed_and_a_new_one_pays(japan: Japan) -> None:
    japan.acquirer.faults(api=[{"op": "start", "do": "timeout_after_commit", "times": 1}])
    order = japan.order()
    lost = japan.shop.payment(order)
    assert lost.state == PaymentState.UNKNOWN
    japan.both_turn(seconds=4)
    japan.both_turn(seconds=4)
    assert japan.acquirer.payment(lost.id)["state"] == "voided"
    japan.both_turn(seconds=4)
    assert (japan.shop.payment(order).state, japan.shop.payment(order).end_reason) == (
        PaymentState.FAILED,
        "never_arrived",
    )
    assert "pay" in japan.shop.order_status(order).can
    japan.shop.pay_again(order, "paypay")
    japan.pay(order)
    japan.shop.turn(seconds=11)
    assert (japan.shop.state(order), len(japan.shop.payments(order))) == ("PAID", 2)


def test_a_call_that_never_arrived_is_given_up_soon(japan: Japan) -> None:
    japan.acquirer.faults(api=[{"op": "start", "do": "timeout_before_commit", "times": 1}])
    order = japan.order()
    japan.both_turn(seconds=12)
    assert (japan.shop.payment(order).state, japan.shop.payment(order).end_reason) == (
        PaymentState.FAILED,
        "never_arrived",
    )


def test_a_cancelled_order_closes_its_code(japan: Japan) -> None:
    order = japan.order()
    japan.shop.cancel(order)
    japan.shop.sweep()
    assert japan.acquirer.payment(japan.shop.payment(order).id)["state"] == "voided"
    assert japan.shop.state(order) == "CANCELLED"


def test_a_capture_after_the_codes_end_pays_while_the_order_waits(japan: Japan) -> None:
    japan.acquirer.faults(pay={"late_after_expiry": "PT1M"})
    order = japan.order()
    japan.pay(order)
    japan.both_turn(minutes=5, seconds=40)
    assert japan.shop.state(order) == "FAILED"
    japan.both_turn(minutes=2)
    assert japan.shop.state(order) == "PAID"


@pytest.mark.parametrize(
    ("fault", "allocation"), [({"double": True}, ["pays_order", "duplicate"]), ({"amount_delta": 100}, ["mismatch"])]
)
def test_duplicates_and_mismatches_get_their_allocation(
    japan: Japan, fault: dict[str, Any], allocation: list[str]
) -> None:
    japan.acquirer.faults(pay=fault)
    order = japan.order()
    japan.pay(order)
    japan.shop.turn(seconds=11)
    assert japan.shop.captures(order) == allocation


def test_a_duplicate_capture_is_refunded_once(japan: Japan) -> None:
    japan.acquirer.faults(pay={"double": True})
    order = japan.order()
    japan.pay(order)
    japan.shop.turn(seconds=11)
    japan.both_turn(seconds=5)
    japan.both_turn(seconds=40)
    japan.both_turn(minutes=2)
    refunds = japan.acquirer.payment(japan.shop.payment(order).id)["refunds"]
    assert [(one["amount"], one["state"]) for one in refunds] == [(5600, "succeeded")]
    assert japan.shop.state(order) == "PAID"


# --- on the order page -----------------------------------------------------------------------------------------------


def test_the_order_page_shows_the_code_while_it_can_be_scanned(japan: Japan, app: Flask) -> None:
    order = japan.order()
    browser: FlaskClient = app.test_client()
    page = browser.get(f"/orders/{order.token}").text
    assert f'src="/orders/{order.token}/qr.svg?payment=' in page and "Open PayPay" in page
    assert "Pay in this tab" not in page
    picture = browser.get(f"/orders/{order.token}/qr.svg")
    assert (picture.status_code, picture.mimetype) == (200, "image/svg+xml")
    assert picture.headers["Cache-Control"] == "no-store"
    japan.pay(order)
    japan.shop.turn(seconds=11)
    assert browser.get(f"/orders/{order.token}/qr.svg").status_code == 404
    assert "qr.svg" not in browser.get(f"/orders/{order.token}").text


def test_the_code_is_shown_only_with_the_order_token(app: Flask) -> None:
    assert app.test_client().get("/orders/none/qr.svg").status_code == 404
