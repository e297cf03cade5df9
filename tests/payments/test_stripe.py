"""Stripe's adapter through Stripe's library: outcomes of responses, and verification of webhooks."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st

from shop.core.money import Money
from shop.payments.providers.interface import (
    BadSignature,
    Decline,
    Done,
    Found,
    Malformed,
    NotFound,
    PaymentRequest,
    Pending,
    RefundFact,
    RefundRequest,
    Rejected,
    Started,
    Unavailable,
    Unknown,
)
from shop.payments.providers.stripe import Stripe
from tests.payments.answers import NO_START, Answer, fails, reply_with

P1, R1 = "P000000000000000PAY1", "R000000000000000REF1"
SECRET, OLD_SECRET = "whsec_of_these_tests", "whsec_of_yesterday"
SETTINGS = {
    "STRIPE_API_KEY": "sk_test_tests",
    "STRIPE_WEBHOOK_SECRET": SECRET,
    "STRIPE_API_BASE": "http://stripe.example/stripe",
    "ACQUIRER_URL": "http://acquirer.example",
    "ACQUIRER_PUBLIC_URL": "http://stripe.example",
}
CREATED = datetime(2029, 12, 31, 23, 30, tzinfo=UTC)
PAY_BY = CREATED + timedelta(minutes=30)
REQUEST = PaymentRequest(P1, Money(120000, "TWD"), "Settled order 1", "zh_Hant_TW", PAY_BY, {}, CREATED)
KNOWN = PaymentRequest(P1, Money(120000, "TWD"), "", "en", PAY_BY, {"id": "cs_1"}, CREATED)
STAMP = int(CREATED.timestamp())


def a_session(**changed: Any) -> dict[str, Any]:
    """A Checkout Session in Stripe's format."""
    written = {
        "id": "cs_1",
        "object": "checkout.session",
        "client_reference_id": P1,
        "expires_at": STAMP + 2400,
        "payment_intent": None,
        "payment_status": "unpaid",
        "status": "open",
        "url": "http://stripe.example/pay/cs_1",
    }
    return written | changed


def an_intent(**changed: Any) -> dict[str, Any]:
    written = {
        "id": "pi_1",
        "object": "payment_intent",
        "cancellation_reason": None,
        "last_payment_error": None,
        "latest_charge": None,
        "metadata": {"settled_payment": P1},
        "status": "requires_payment_method",
    }
    return written | changed


def a_charge(**changed: Any) -> dict[str, Any]:
    written = {
        "id": "ch_1",
        "object": "charge",
        "amount": 120000,
        "amount_captured": 120000,
        "captured": True,
        "created": STAMP + 60,
        "currency": "twd",
        "metadata": {"settled_payment": P1},
        "payment_intent": "pi_1",
        "payment_method_details": {"type": "card", "card": {"brand": "visa", "last4": "4242"}},
        "status": "succeeded",
    }
    return written | changed


def an_error(kind: str = "invalid_request_error", **more: Any) -> dict[str, Any]:
    return {"error": {"type": kind, "message": "…", **more}}


def listed(*found: dict[str, Any], more: bool = False) -> dict[str, Any]:
    return {"object": "list", "data": list(found), "has_more": more, "url": "/v1/…"}


def an_event(kind: str = "charge.succeeded", about: Any = None, event: str = "evt_1", **changed: Any) -> bytes:
    body = {"id": event, "object": "event", "type": kind, "created": STAMP, "data": {"object": about or a_charge()}}
    return json.dumps(body | changed).encode()


def signed(body: bytes, secret: str = SECRET, at: float | None = None) -> dict[str, str]:
    stamp = str(int(time.time() if at is None else at))
    mac = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"stripe-signature": f"t={stamp},v1={mac}"}


def stripe_pay(answer: Answer | None = None, **changed: str) -> Stripe:
    """The adapter with an acquirer that always gives this response."""
    transport = httpx.MockTransport(answer or (lambda _: httpx.Response(500)))
    return Stripe(SETTINGS | changed, lambda: httpx.Client(transport=transport))


def shows(session: dict[str, Any], *charges: dict[str, Any]) -> Answer:
    """A session, and the charges of its PaymentIntent."""
    return lambda request: httpx.Response(
        200, json=listed(*charges) if request.url.path.endswith("/charges") else session
    )


def facts_of(answer: Answer) -> Any:
    found = stripe_pay(answer).query(KNOWN)
    assert isinstance(found, Found), found
    return found.facts


# --- opening ---

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


# --- queries ---

QUERIES: list[tuple[Answer, type]] = [
    (reply_with(200, a_session()), Found),
    (reply_with(404, an_error(code="resource_missing")), NotFound),
    (reply_with(200, b"garbage"), Unavailable),
    (reply_with(200, {"id": "cs_1"}), Unavailable),
    (reply_with(200, []), Unavailable),
    (reply_with(200, a_session(client_reference_id="P000000000000000PAY2")), Unavailable),
    (reply_with(401, an_error()), Unavailable),
    (reply_with(500, an_error("api_error")), Unavailable),
    (fails(httpx.ReadTimeout), Unavailable),
]


@pytest.mark.parametrize(("answer", "kind"), QUERIES)
def test_the_response_to_a_query_is_translated(answer: Answer, kind: type) -> None:
    assert isinstance(stripe_pay(answer).query(KNOWN), kind)


def test_retry_after_of_stripe_is_kept() -> None:
    answer = reply_with(429, an_error(code="rate_limit"), **{"retry-after": "7"})
    assert stripe_pay(answer).query(KNOWN) == Unavailable("HTTP 429", 7.0)


STATES: list[tuple[dict[str, Any], str, str | None]] = [
    (a_session(), "OPEN", None),
    (a_session(payment_intent=an_intent()), "OPEN", None),
    (a_session(payment_intent=an_intent(status="requires_action")), "OPEN", None),
    (a_session(status="complete", payment_intent=an_intent(status="requires_capture")), "AUTHORIZED", None),
    (a_session(status="complete", payment_intent=an_intent(status="processing")), "AUTHORIZED", None),
    (a_session(status="complete", payment_intent=an_intent()), "FAILED", "declines"),
    (a_session(status="expired", url=None), "CANCELLED", "merchant"),
    (a_session(status="expired", url=None, expires_at=1), "EXPIRED", "time"),
]
REASONS = {
    "requested_by_customer": ("CANCELLED", "customer"),
    "abandoned": ("CANCELLED", "merchant"),
    "automatic": ("FAILED", "declines"),
    "expired": ("EXPIRED", "time"),
    "something_new": ("CANCELLED", "merchant"),
}


@pytest.mark.parametrize(("session", "state", "reason"), STATES)
def test_the_acquirers_states_are_translated(session: dict[str, Any], state: str, reason: str | None) -> None:
    facts = facts_of(shows(session))
    assert (facts.state, facts.end_reason, facts.captures) == (state, reason, ())


@pytest.mark.parametrize("reason", REASONS)
def test_the_query_and_the_webhook_give_the_same_reason_for_an_end(reason: str) -> None:
    intent = an_intent(status="canceled", cancellation_reason=reason)
    sent_request = facts_of(shows(a_session(status="expired", url=None, payment_intent=intent)))
    body = an_event("payment_intent.canceled", intent)
    (notice,) = stripe_pay().read_webhook(signed(body), body)
    assert (
        (sent_request.state, sent_request.end_reason)
        == (notice.facts.state, notice.facts.end_reason)
        == REASONS[reason]
    )


def test_captures_are_the_charges_that_succeeded_the_oldest_first() -> None:
    intent = an_intent(status="succeeded", latest_charge="ch_3")
    charges = [
        a_charge(id="ch_3", created=STAMP + 70, amount_captured=120100, currency="usd"),
        a_charge(id="ch_2", status="failed", captured=False),
        a_charge(id="ch_1"),
    ]
    facts = facts_of(shows(a_session(status="complete", url=None, payment_intent=intent), *charges))
    assert [(c.id, c.money) for c in facts.captures] == [("ch_1", Money(120000, "TWD")), ("ch_3", Money(120100, "USD"))]
    assert facts.captures[0].at == CREATED + timedelta(minutes=1)
    assert (facts.state, facts.provider_data) == ("CAPTURED", {"id": "cs_1", "intent": "pi_1"})
    assert facts.instrument == {"method": "card", "brand": "visa", "last4": "4242"}


def test_a_paid_session_counts_only_with_its_charges() -> None:
    """The second call of the query fails: the state is unknown."""
    paid = a_session(status="complete", payment_intent=an_intent(status="succeeded", latest_charge="ch_1"))

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/charges"):
            return httpx.Response(404, json=an_error(code="resource_missing"))
        return httpx.Response(200, json=paid)

    assert isinstance(stripe_pay(answer).query(KNOWN), Unavailable)


DECLINES = {
    ("card_declined", "insufficient_funds"): Decline("insufficient_funds", "other_method"),
    ("card_declined", "stolen_card"): Decline("stolen_card", "never_retry"),
    ("expired_card", "expired_card"): Decline("expired_card", "fix_input"),
    ("processing_error", None): Decline("processing_error", "retry_later"),
    ("payment_intent_authentication_failure", None): Decline("authentication_failed", "authenticate"),
    ("card_declined", "brand_new_reason"): Decline("brand_new_reason", "other_method"),
}


@pytest.mark.parametrize(("code", "decline_code"), DECLINES)
def test_the_declines_of_a_bank_are_translated(code: str, decline_code: str | None) -> None:
    error = {"type": "card_error", "code": code} | ({"decline_code": decline_code} if decline_code else {})
    intent = an_intent(last_payment_error=error)
    assert facts_of(shows(a_session(payment_intent=intent))).decline == DECLINES[code, decline_code]
    body = an_event("payment_intent.payment_failed", intent)
    (notice,) = stripe_pay().read_webhook(signed(body), body)
    assert (notice.facts.decline, notice.facts.state) == (DECLINES[code, decline_code], None)


def test_a_session_without_a_known_id_is_searched_since_the_payments_creation_page_by_page() -> None:
    sent_request: list[dict[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent_request.append(dict(request.url.params))
        others = [a_session(id=f"cs_{len(sent_request)}{n}", client_reference_id=None) for n in range(2)]
        last = len(sent_request) == 3
        return httpx.Response(200, json=listed(*others, *([a_session()] if last else []), more=not last))

    found = stripe_pay(answer).query(REQUEST)
    assert isinstance(found, Found) and found.facts.provider_data == {"id": "cs_1"}
    assert [page.get("starting_after") for page in sent_request] == [None, "cs_11", "cs_21"]
    assert sent_request[0]["created[gte]"] == str(STAMP - 300)
    assert isinstance(stripe_pay(reply_with(200, listed())).query(REQUEST), NotFound)


def test_more_sessions_than_can_be_looked_through_is_no_answer() -> None:
    endless = reply_with(200, listed(a_session(client_reference_id="P000000000000000PAY2"), more=True))
    assert isinstance(stripe_pay(endless).query(REQUEST), Unavailable)


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


def a_refund(**changed: Any) -> dict[str, Any]:
    written = {"id": "re_1", "object": "refund", "status": "succeeded", "metadata": {"settled_refund": R1}}
    return written | {"amount": 20000, "currency": "twd", "charge": "ch_1"} | changed


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


@pytest.mark.parametrize(("status", "state"), [("succeeded", "DONE"), ("pending", "PENDING"), ("failed", "REJECTED")])
def test_a_webhook_reports_the_result_of_a_refund_ours_or_not(status: str, state: str) -> None:
    body = an_event("refund.updated", a_refund(status=status))
    (notice,) = stripe_pay().read_webhook(signed(body), body)
    money = Money(20000, "TWD")
    assert (notice.kind, notice.trust) == ("refund", "signed")
    assert notice.refund == RefundFact(R1, state, "re_1", money, "ch_1")
    body = an_event("refund.updated", a_refund(metadata={}, status=status))
    (notice,) = stripe_pay().read_webhook(signed(body), body)
    assert notice.refund == RefundFact("", state, "re_1", money, "ch_1"), "without our id it was not made by us"


def test_objects_with_our_former_metadata_keys_are_still_ours() -> None:
    body = an_event("refund.updated", a_refund(metadata={"refund": R1, "reference": P1}))
    (notice,) = stripe_pay().read_webhook(signed(body), body)
    assert notice.refund and (notice.refund.reference, notice.refund.payment) == (R1, P1)
    body = an_event("refund.updated", a_refund(metadata={"refund": "another system's", "reference": "4711"}))
    (notice,) = stripe_pay().read_webhook(signed(body), body)
    assert notice.refund and (notice.refund.reference, notice.refund.payment) == ("", "4711")


# --- webhooks: verification ---

BODY = an_event()


def test_stripes_vector_verifies() -> None:
    mac = "98a6304ac7cd966786ee1b93ad76319d9cd63829827fa0f93cb3e367cf67086d"
    adapter, headers = stripe_pay(STRIPE_WEBHOOK_SECRET="whsec_test"), {"stripe-signature": f"t=1614265330,v1={mac}"}
    with time_machine.travel(1614265330, tick=False):
        adapter.verify(headers, b'{"test": 2432232314}')
        with pytest.raises(BadSignature):
            adapter.verify(headers, b'{"test": 2432232315}')


def header(change: Callable[[str], str]) -> tuple[dict[str, str], bytes]:
    return {"stripe-signature": change(signed(BODY)["stripe-signature"])}, BODY


FORGERIES: dict[str, Callable[[], tuple[dict[str, str], bytes]]] = {
    "no header": lambda: ({}, BODY),
    "empty": lambda: header(lambda _: ""),
    "another key": lambda: (signed(BODY, OLD_SECRET), BODY),
    "no time": lambda: header(lambda value: value.partition(",")[2]),
    "two times": lambda: header(lambda value: f"t={int(time.time())},{value}"),
    "another time": lambda: header(lambda value: value.replace("t=", "t=1", 1)),
    "a time that is none": lambda: header(lambda value: "t=now," + value.partition(",")[2]),
    "an endless time": lambda: header(lambda value: "t=" + "9" * 5000 + "," + value.partition(",")[2]),
    "no signature": lambda: header(lambda value: value.partition(",")[0]),
    "an old scheme": lambda: header(lambda value: value.replace("v1=", "v0=")),
    "301 s old": lambda: (signed(BODY, at=time.time() - 302), BODY),
    "302 s ahead": lambda: (signed(BODY, at=time.time() + 302), BODY),
    "one more space": lambda: (signed(BODY), BODY + b" "),
    "truncated": lambda: (signed(BODY), BODY[:-1]),
    "not UTF-8": lambda: (signed(b"\xff" + BODY), b"\xff" + BODY),
    "nothing": lambda: (signed(BODY), b""),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_webhook_that_does_not_prove_where_it_comes_from_is_refused(forgery: str) -> None:
    headers, body = FORGERIES[forgery]()
    with pytest.raises(BadSignature):
        stripe_pay().read_webhook(headers, body)


@pytest.mark.parametrize("seconds", [-298, 0, 298])
def test_a_webhook_within_five_minutes_is_taken(seconds: int) -> None:
    assert stripe_pay().read_webhook(signed(BODY, at=time.time() + seconds), BODY)


def test_while_a_secret_is_rotated_both_are_valid_and_afterwards_only_the_new_one() -> None:
    both = stripe_pay(STRIPE_WEBHOOK_SECRET=f"{SECRET}, {OLD_SECRET}")
    for secret in (SECRET, OLD_SECRET):
        assert both.read_webhook(signed(BODY, secret), BODY)
    old = signed(BODY, OLD_SECRET)["stripe-signature"].partition(",")[2]
    assert stripe_pay().read_webhook({"stripe-signature": signed(BODY)["stripe-signature"] + "," + old}, BODY)
    with pytest.raises(BadSignature):
        stripe_pay().read_webhook(signed(BODY, OLD_SECRET), BODY)


def test_no_byte_of_time_body_or_signature_can_be_changed() -> None:
    adapter, written = stripe_pay(), signed(BODY)["stripe-signature"]
    for position in range(len(BODY)):
        changed = BODY[:position] + bytes([BODY[position] ^ 1]) + BODY[position + 1 :]
        with pytest.raises(BadSignature):
            adapter.read_webhook({"stripe-signature": written}, changed)
    for position in range(len(written)):
        value = written[:position] + chr(ord(written[position]) ^ 1) + written[position + 1 :]
        with pytest.raises(BadSignature):
            adapter.read_webhook({"stripe-signature": value}, BODY)


# --- webhooks: content ---


def test_a_charge_is_applied_from_its_own_content() -> None:
    (notice,) = stripe_pay().read_webhook(signed(BODY), BODY)
    assert (notice.kind, notice.dedupe_key, notice.reference, notice.trust) == (
        "payment",
        "evt_1",
        P1,
        "signed",
    )
    (capture,) = notice.facts.captures
    assert (capture.id, capture.money, capture.at) == ("ch_1", Money(120000, "TWD"), CREATED + timedelta(minutes=1))
    assert notice.facts.state == "CAPTURED" and notice.facts.provider_data == {"intent": "pi_1"}


def test_an_authorised_charge_is_not_captured() -> None:
    body = an_event(about=a_charge(captured=False, amount_captured=0))
    (notice,) = stripe_pay().read_webhook(signed(body), body)
    assert (notice.facts.state, notice.facts.captures) == ("AUTHORIZED", ())


@pytest.mark.parametrize("kind", ["completed", "async_payment_succeeded", "async_payment_failed", "expired"])
def test_an_event_of_a_session_only_leads_to_a_poll(kind: str) -> None:
    about = a_session(status="complete", payment_status="paid", payment_intent="pi_1")
    body = an_event(f"checkout.session.{kind}", about)
    (notice,) = stripe_pay().read_webhook(signed(body), body)
    assert (notice.kind, notice.reference, notice.trust) == ("payment", P1, "hint")
    assert (notice.facts.state, notice.facts.captures) == (None, ())


def test_an_event_that_is_not_about_a_payment_of_ours_has_no_effect() -> None:
    for kind, about in (
        ("charge.succeeded", a_charge(metadata={})),
        ("checkout.session.completed", a_session(client_reference_id=None)),
        ("balance.available", {"object": "balance"}),
        ("charge.dispute.created", {"object": "dispute", "metadata": {}}),
    ):
        body = an_event(kind, about)
        (notice,) = stripe_pay().read_webhook(signed(body), body)
        assert (notice.kind, notice.reference, notice.facts.captures, notice.trust) == ("other", "", (), "hint")


MALFORMED: dict[str, bytes] = {
    "not JSON": b"{",
    "a list": b"[]",
    "nothing in it": b"{}",
    "too deep": b'{"id":' + b"[" * 20_000,
    "no event": an_event(object="charge"),
    "an id that is a list": an_event(id=["evt_1"]),
    "an id that no index takes": an_event(id="e" * 9000),
    "nobody it is about": an_event(data={}),
    "about a word": an_event(data={"object": "ch_1"}),
    "about nothing with a name": an_event(about={"id": "ch_1"}),
    "a fraction of a minor unit": an_event(about=a_charge(amount_captured=0.5)),
    "an amount in words": an_event(about=a_charge(amount_captured="120000")),
    "an amount that is true": an_event(about=a_charge(amount_captured=True)),
    "an amount beyond every database": an_event(about=a_charge(amount_captured=2**70)),
    "no amount": an_event(about=a_charge(amount_captured=0)),
    "a currency that is none": an_event(about=a_charge(currency="dollars")),
    "a charge without an id": an_event(about=a_charge(id=None)),
    "a charge without a time": an_event(about=a_charge(created=None)),
    "a time in words": an_event(about=a_charge(created="now")),
    "a time after all time": an_event(about=a_charge(created=10**18)),
    "a reference that is a list": an_event(about=a_charge(metadata={"reference": [P1]})),
    "metadata that is none": an_event(about=a_charge(metadata=5)),
    "a negative amount": an_event(about=a_charge(amount_captured=-1)),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_webhook_that_is_signed_and_cannot_be_read_is_malformed(kind: str) -> None:
    body = MALFORMED[kind]
    with pytest.raises(Malformed):
        stripe_pay().read_webhook(signed(body), body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
KINDS = ["charge.succeeded", "payment_intent.canceled", "payment_intent.payment_failed", "checkout.session.expired"]


@settings(max_examples=200, deadline=None)
@given(raw=st.binary(max_size=200), value=st.text(max_size=80) | st.just("t=1,v1=0"))
def test_no_bytes_and_no_header_raise_anything_else(raw: bytes, value: str) -> None:
    for headers in ({"stripe-signature": value}, signed(raw)):
        try:
            stripe_pay().read_webhook(headers, raw)
        except (BadSignature, Malformed):
            continue


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    about=st.sampled_from([a_charge, an_intent, a_session]),
    field=st.sampled_from(sorted({**a_charge(), **an_intent(), **a_session()})),
    value=json_values,
)
def test_a_webhook_with_any_field_value_is_read_or_malformed(
    kind: str, about: Callable[..., dict[str, Any]], field: str, value: Any
) -> None:
    body = an_event(kind, about(**{field: value}))
    try:
        (notice,) = stripe_pay().read_webhook(signed(body), body)
    except Malformed:
        return
    assert notice.reference in ("", P1) or field in ("client_reference_id", "metadata")
    assert all(0 < capture.money.amount < 2**63 for capture in notice.facts.captures)


def test_what_stripe_reads_as_an_answer() -> None:
    statuses = {"applied": 200, "duplicate": 200, "hint": 200, "orphan": 200}
    statuses |= {"bad_signature": 401, "malformed": 400, "key_reused": 409, "unavailable": 503}
    assert {outcome: stripe_pay().ack(outcome)[0] for outcome in statuses} == statuses
