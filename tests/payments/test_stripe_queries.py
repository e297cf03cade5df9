"""Stripe's adapter: outcomes of queries, of sessions, charges and declines."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from shop.core.money import Money
from shop.payments.providers.interface import (
    Decline,
    Found,
    NotFound,
    Unavailable,
)
from tests.payments.answers import Answer, fails, reply_with
from tests.payments.stripe_helpers import (
    CREATED,
    KNOWN,
    REQUEST,
    STAMP,
    a_charge,
    a_session,
    an_error,
    an_event,
    an_intent,
    facts_of,
    listed,
    shows,
    signed,
    stripe_pay,
)

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
