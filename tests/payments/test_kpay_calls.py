"""Outcomes of KPay's responses."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from shop.payments.providers.interface import Done, Found, NotFound, Rejected, Show, Started, Unavailable, Unknown
from tests.payments.answers import NO_START, fails, reply_with
from tests.payments.kpay_helpers import (
    KNOWN,
    P1,
    REQUEST,
    a_capture,
    a_payment,
    kpay,
)

REFUSED = {"error": {"type": "invalid_request", "code": "amount_too_small", "message": "…"}}
STARTS: list[tuple[Any, type, str]] = [
    (reply_with(201, a_payment()), Started, ""),
    (reply_with(200, a_payment()), Started, ""),
    (reply_with(201, {"id": "pay_1"}), Unknown, "cannot be read"),
    (reply_with(201, b"<html>"), Unknown, "cannot be read"),
    (reply_with(201, []), Unknown, "cannot be read"),
    (reply_with(400, REFUSED), Rejected, "amount_too_small"),
    (reply_with(401, b"no"), Rejected, "http_401"),
    (reply_with(422, REFUSED), Rejected, "amount_too_small"),
    (reply_with(409, {"error": {"code": "idempotency_in_flight"}}), Unknown, "409"),
    (reply_with(429, None, **{"retry-after": "7"}), Unavailable, "429"),
    (reply_with(500), Unknown, "500"),
    (reply_with(503), Unknown, "503"),
    *NO_START,
]


@pytest.mark.parametrize(("answer", "kind", "why"), STARTS)
def test_the_response_to_an_initiation_is_translated(answer: Any, kind: type, why: str) -> None:
    found = kpay(answer).start(REQUEST, "http://shop/return", "http://shop/webhooks/kpay")
    assert isinstance(found, kind)
    assert why in (getattr(found, "code", "") + getattr(found, "reason", ""))


def test_opening_carries_our_reference_as_the_idempotency_key_and_everything_else() -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(201, json=a_payment())

    started = kpay(answer).start(REQUEST, "http://shop/return", "http://shop/webhooks/kpay")
    assert isinstance(started, Started)
    assert started.provider_data == {"id": "pay_1"}
    assert (started.action.kind, started.action.url) == ("redirect", "http://kpay.example/pay/pay_1")
    request = sent[0]
    assert (request.method, str(request.url)) == ("POST", "http://kpay.example/kpay/v1/payments")
    assert request.headers["idempotency-key"] == P1
    assert request.headers["authorization"] == "Bearer kp_test_tests"
    body = json.loads(request.content)
    assert (body["reference"], body["amount"], body["currency"]) == (P1, 120000, "TWD")
    assert body["expires_at"] == "2030-01-01T00:00:00Z"


def test_retry_after_of_the_acquirer_is_kept() -> None:
    found = kpay(reply_with(429, None, **{"retry-after": "7"})).query(KNOWN)
    assert found == Unavailable("HTTP 429", 7.0)
    assert kpay(reply_with(503, None, **{"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"})).query(KNOWN) == Unavailable(
        "HTTP 503"
    )


QUERIES: list[tuple[Any, type]] = [
    (reply_with(200, a_payment()), Found),
    (reply_with(404, {"error": {"code": "not_found"}}), NotFound),
    (reply_with(200, b"garbage"), Unavailable),
    (reply_with(200, {"id": "pay_1"}), Unavailable),
    (reply_with(200, a_payment(reference="P000000000000000PAY2")), Unavailable),
    (reply_with(401), Unavailable),
    (reply_with(500), Unavailable),
    (fails(httpx.ReadTimeout), Unavailable),
]


@pytest.mark.parametrize(("answer", "kind"), QUERIES)
def test_the_response_to_a_query_is_translated(answer: Any, kind: type) -> None:
    assert isinstance(kpay(answer).query(KNOWN), kind)


def test_a_payment_without_an_acquirer_id_is_queried_by_our_reference() -> None:
    sent_request: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent_request.append(str(request.url))
        return httpx.Response(200, json={"data": [a_payment()]})

    found = kpay(answer).query(REQUEST)
    assert isinstance(found, Found)
    assert found.facts.provider_data == {"id": "pay_1"}
    assert sent_request == ["http://kpay.example/kpay/v1/payments?reference=P000000000000000PAY1"]
    assert isinstance(kpay(reply_with(200, {"data": []})).query(REQUEST), NotFound)


def test_a_store_code_is_shown_while_it_waits_and_named_when_it_is_paid() -> None:
    store = {"type": "store", "code": "00071234567890", "expires_at": "2030-01-03T00:00:00Z"}
    waiting = kpay(reply_with(200, a_payment(status="requires_action", payment_method=store))).query(KNOWN)
    assert isinstance(waiting, Found)
    deadline = datetime(2030, 1, 3, tzinfo=UTC)
    assert waiting.facts.show == Show("store_code", "00071234567890", "00071234567890", deadline)
    paid = kpay(reply_with(200, a_payment(status="captured", captures=[a_capture()], payment_method=store))).query(
        KNOWN
    )
    assert isinstance(paid, Found)
    assert paid.facts.show is None and paid.facts.instrument
    assert paid.facts.instrument["method"] == "convenience store"


def test_times_that_the_acquirer_states_in_another_zone_are_kept_in_utc() -> None:
    here = "2030-01-03T08:00:00+08:00"
    store = {"type": "store", "code": "00071234567890", "expires_at": here}
    answer = a_payment(status="requires_action", payment_method=store, expires_at=here)
    found = kpay(reply_with(200, answer)).query(KNOWN)
    captured = kpay(reply_with(200, a_payment(status="captured", captures=[a_capture(captured_at=here)]))).query(KNOWN)
    assert isinstance(found, Found) and isinstance(captured, Found) and found.facts.show and found.facts.expires_at
    for at in (found.facts.show.deadline, found.facts.expires_at, captured.facts.captures[0].at):
        assert at.isoformat() == "2030-01-03T00:00:00+00:00"


@pytest.mark.parametrize("bad", [{"id": ""}, {"id": "\0"}, {"status": "new"}, {"amount": 0}, {"currency": None}])
def test_a_refund_that_cannot_be_read_hides_neither_the_captures_nor_the_other_refunds(bad: dict[str, Any]) -> None:
    one = {"id": "re_1", "reference": "", "status": "succeeded", "amount": 100, "currency": "TWD", "capture": "cap_1"}
    shown = a_payment(status="captured", captures=[a_capture()], refunds=[one | bad, one])
    found = kpay(reply_with(200, shown)).query(KNOWN)
    assert isinstance(found, Found), found
    assert [one.id for one in found.facts.captures] == ["cap_1"]
    assert [one.id for one in found.facts.refunds] == ["re_1"]


CANCELS: list[tuple[Any, Any]] = [
    (reply_with(200, a_payment(status="voided")), Done()),
    (reply_with(409, {"error": {"code": "already_captured"}}), Rejected("already_captured")),
    (reply_with(500), Unknown("HTTP 500")),
    (fails(httpx.ReadTimeout), Unknown("ReadTimeout")),
]


@pytest.mark.parametrize(("answer", "meaning"), CANCELS)
def test_the_response_to_a_close_is_translated(answer: Any, meaning: Any) -> None:
    assert kpay(answer).cancel(KNOWN) == meaning


def test_a_payment_that_never_arrived_there_is_closed() -> None:
    assert kpay(reply_with(200, {"data": []})).cancel(REQUEST) == Done()
    assert kpay(reply_with(500)).cancel(REQUEST) == Unknown("HTTP 500")


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("requires_payment", "OPEN"),
        ("requires_action", "OPEN"),
        ("authorized", "AUTHORIZED"),
        ("captured", "CAPTURED"),
        ("voided", "CANCELLED"),
        ("failed", "FAILED"),
        ("expired", "EXPIRED"),
        ("something_new", None),
    ],
)
def test_the_acquirers_states_are_translated(status: str, state: str | None) -> None:
    found = kpay(reply_with(200, a_payment(status=status))).query(KNOWN)
    assert isinstance(found, Found)
    assert found.facts.state == state
