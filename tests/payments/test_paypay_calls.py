"""PayPay's adapter: signatures, codes, and outcomes of responses."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

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
    Started,
    Unavailable,
    Unknown,
)
from shop.payments.providers.paypay import sign
from shop.payments.providers.types import PaymentState
from tests.payments.paypay_helpers import CODE, KNOWN, P1, R1, REQUEST, Reply, Wire, a_payment, no, ok


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
