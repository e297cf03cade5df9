"""Stripe's adapter through Stripe's library: initiation, cancellation and refunds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from shop.core.money import Money
from shop.payments.providers import _stripe_words
from shop.payments.providers.interface import (
    Done,
    NotFound,
    PaymentRequest,
    Pending,
    RefundRequest,
    Rejected,
    Started,
    Unavailable,
    Unknown,
)
from tests.payments.answers import NO_START, Answer, fails, reply_with
from tests.payments.stripe_helpers import (
    CREATED,
    KNOWN,
    P1,
    R1,
    REQUEST,
    STAMP,
    a_charge,
    a_refund,
    a_session,
    an_error,
    an_intent,
    facts_of,
    listed,
    shows,
    stripe_pay,
)

STARTS: list[tuple[Answer, type, str]] = [
    (reply_with(200, a_session()), Started, ""),
    (reply_with(200, {"id": "cs_1"}), Unknown, "cannot be read"),
    (reply_with(200, b"<html>"), Unknown, "cannot be read"),
    (reply_with(400, an_error(code="amount_too_small")), Rejected, "amount_too_small"),
    (reply_with(400, an_error("idempotency_error")), Unknown, "HTTP 400"),
    (reply_with(401, an_error()), Rejected, "http_401"),
    (reply_with(402, an_error("card_error", code="card_declined")), Rejected, "card_declined"),
    (reply_with(409, an_error("idempotency_error")), Unknown, "HTTP 409"),
    (reply_with(429, an_error(code="rate_limit"), **{"retry-after": "7"}), Unavailable, "HTTP 429"),
    (reply_with(500, an_error("api_error")), Unknown, "HTTP 500"),
    (reply_with(504, b""), Unknown, "HTTP 504"),
    *NO_START,
]


@pytest.mark.parametrize(("answer", "kind", "why"), STARTS)
def test_the_response_to_an_initiation_is_translated(answer: Answer, kind: type, why: str) -> None:
    found = stripe_pay(answer).start(REQUEST, "http://shop/return", "http://shop/webhooks/stripe")
    assert isinstance(found, kind), found
    assert why in (getattr(found, "code", "") + getattr(found, "reason", ""))


def test_an_initiation_carries_our_reference_everywhere_and_is_repeated_identically() -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json=a_session())

    adapter = stripe_pay(answer)
    for _ in range(2):
        started = adapter.start(REQUEST, "http://shop/return", "http://shop/webhooks/stripe")
    assert isinstance(started, Started)
    assert started.provider_data == {"id": "cs_1"} and started.action.url == "http://stripe.example/pay/cs_1"
    assert started.expires_at == CREATED + timedelta(minutes=40)
    first, again = sent
    assert str(first.url) == "http://stripe.example/stripe/v1/checkout/sessions" and first.content == again.content
    assert first.headers["idempotency-key"] == again.headers["idempotency-key"] == P1
    assert first.headers["authorization"] == "Bearer sk_test_tests"
    assert dict(parse_qsl(first.content.decode())) == {
        "mode": "payment",
        "client_reference_id": P1,
        "line_items[0][quantity]": "1",
        "line_items[0][price_data][currency]": "twd",
        "line_items[0][price_data][unit_amount]": "120000",
        "line_items[0][price_data][product_data][name]": "Settled order 1",
        "success_url": "http://shop/return",
        "cancel_url": "http://shop/return",
        "locale": "zh-TW",
        "metadata[settled_payment]": P1,
        "payment_intent_data[description]": "Settled order 1",
        "payment_intent_data[metadata][settled_payment]": P1,
        "expires_at": str(STAMP + 2400),
    }


@pytest.mark.parametrize(
    ("of_order", "of_page"), [("zh_Hant", "zh-TW"), ("zh_Hans", "zh"), ("ja", "ja"), ("en", "en"), ("tlh", "auto")]
)
def test_the_payment_page_has_the_language_of_the_order(of_order: str, of_page: str) -> None:
    assert _stripe_words.locale(of_order) == of_page


@pytest.mark.parametrize(
    ("pay_by", "minutes"),
    [(timedelta(minutes=5), 40), (timedelta(minutes=90), 90), (timedelta(days=3), 23 * 60)],
)
def test_a_session_ends_with_the_time_to_pay_where_stripe_lets_it(pay_by: timedelta, minutes: int) -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json=a_session())

    request = PaymentRequest(P1, Money(1, "JPY"), "x", "en", CREATED + pay_by, {}, CREATED)
    stripe_pay(answer).start(request, "http://shop/return", "")
    form = dict(parse_qsl(sent[0].content.decode()))
    assert int(form["expires_at"]) == STAMP + minutes * 60
    assert form["line_items[0][price_data][unit_amount]"] == "1"


def test_without_a_url_setting_it_calls_the_mock_acquirer_and_allows_no_other_page() -> None:
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(str(request.url))
        return httpx.Response(200, json=a_session())

    adapter = stripe_pay(answer, STRIPE_API_BASE="")
    adapter.start(REQUEST, "http://shop/return", "")
    assert sent == ["http://acquirer.example/stripe/v1/checkout/sessions"] and adapter.page_origins() == ()
    assert stripe_pay(STRIPE_API_BASE="https://api.stripe.com").page_origins() == ("https://checkout.stripe.com",)


# --- closing ---


def refuses_then_shows(status: str) -> Answer:
    return lambda request: (
        httpx.Response(400, json=an_error(param="session"))
        if request.method == "POST"
        else httpx.Response(200, json=a_session(status=status))
    )


CANCELS: list[tuple[Answer, Any]] = [
    (reply_with(200, a_session(status="expired")), Done()),
    (refuses_then_shows("expired"), Done()),
    (refuses_then_shows("complete"), Rejected("session_complete")),
    (reply_with(404, an_error(code="resource_missing")), Rejected("resource_missing")),
    (reply_with(409, an_error("idempotency_error")), Unknown("HTTP 409")),
    (reply_with(500, an_error("api_error")), Unknown("HTTP 500")),
    (fails(httpx.ReadTimeout), Unknown("ReadTimeout")),
]


@pytest.mark.parametrize(("answer", "meaning"), CANCELS)
def test_the_response_to_a_close_is_translated(answer: Answer, meaning: Any) -> None:
    assert stripe_pay(answer).cancel(KNOWN) == meaning


def test_a_session_that_never_arrived_there_is_closed() -> None:
    assert stripe_pay(reply_with(200, listed())).cancel(REQUEST) == Done()
    assert stripe_pay(reply_with(500, an_error("api_error"))).cancel(REQUEST) == Unknown("HTTP 500")


# --- refunds ---

REFUND_REQUEST = RefundRequest(R1, Money(20000, "TWD"), "ch_1", "changed their mind")
REFUNDS: list[tuple[Answer, Any]] = [
    (reply_with(200, a_refund()), Done()),
    (reply_with(200, a_refund(status="pending")), Pending()),
    (reply_with(200, a_refund(status="failed")), Rejected("refund_failed")),
    (reply_with(200, a_refund(status="brand_new")), Unknown("an answer that cannot be read: KeyError")),
    (reply_with(400, an_error(code="charge_already_refunded")), Rejected("charge_already_refunded")),
    (reply_with(409, an_error("idempotency_error")), Unknown("HTTP 409")),
    (reply_with(429, an_error(code="rate_limit")), Unavailable("HTTP 429")),
    (reply_with(500, an_error("api_error")), Unknown("HTTP 500")),
    (fails(httpx.ConnectError), Unavailable("ConnectError")),
    (fails(httpx.ReadTimeout), Unknown("ReadTimeout")),
]


@pytest.mark.parametrize(("answer", "meaning"), REFUNDS)
def test_the_response_to_a_refund_is_translated(answer: Answer, meaning: Any) -> None:
    assert stripe_pay(answer).refund(KNOWN, REFUND_REQUEST) == meaning


def test_a_refund_names_its_charge_and_carries_our_ids() -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json=a_refund())

    stripe_pay(answer).refund(KNOWN, REFUND_REQUEST)
    assert sent[0].headers["idempotency-key"] == R1
    assert dict(parse_qsl(sent[0].content.decode())) == {
        "charge": "ch_1",
        "amount": "20000",
        "metadata[settled_refund]": R1,
        "metadata[settled_payment]": P1,
    }


@pytest.mark.parametrize(
    "bad", [{"id": ""}, {"id": None}, {"status": "new"}, {"amount": 0}, {"metadata": {"settled_refund": 1}}]
)
def test_a_refund_that_cannot_be_read_hides_neither_the_charges_nor_the_other_refunds(bad: dict[str, Any]) -> None:
    intent = an_intent(status="succeeded", latest_charge="ch_1")
    session = a_session(status="complete", url=None, payment_intent=intent)
    made = listed(a_refund(metadata={}) | bad, a_refund(metadata={}))

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/refunds"):
            return httpx.Response(200, json=made)
        return shows(session, a_charge(amount_refunded=40000))(request)

    facts = facts_of(answer)
    assert ([one.id for one in facts.captures], [one.id for one in facts.refunds]) == (["ch_1"], ["re_1"])


def test_a_refund_is_queried_among_those_of_its_charge() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if "starting_after" in request.url.params:
            return httpx.Response(200, json=listed(a_refund(status="pending")))
        return httpx.Response(200, json=listed(a_refund(id="re_0", metadata={}), more=True))

    assert stripe_pay(answer).query_refund(KNOWN, REFUND_REQUEST) == Pending()
    assert stripe_pay(reply_with(200, listed())).query_refund(KNOWN, REFUND_REQUEST) == NotFound()
    assert stripe_pay(reply_with(500, an_error("api_error"))).query_refund(KNOWN, REFUND_REQUEST) == Unavailable(
        "HTTP 500"
    )


@pytest.mark.parametrize(
    ("key", "base", "page"),
    [
        ("sk_live_1", "https://api.stripe.com", "https://dashboard.stripe.com/disputes/du_1"),
        ("sk_test_1", "https://api.stripe.com", "https://dashboard.stripe.com/test/disputes/du_1"),
        ("sk_live_1", "", ""),
    ],
)
def test_a_dispute_has_a_page_in_the_dashboard_of_the_account(key: str, base: str, page: str) -> None:
    assert stripe_pay(STRIPE_API_KEY=key, STRIPE_API_BASE=base).dispute_page("du_1") == page


def test_the_id_of_a_dispute_stays_one_part_of_the_address_of_its_page() -> None:
    page = stripe_pay(STRIPE_API_KEY="sk_live_1").dispute_page("../x?y=1#z")
    assert page == "https://dashboard.stripe.com/disputes/..%2Fx%3Fy%3D1%23z"
