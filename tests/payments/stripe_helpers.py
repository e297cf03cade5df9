"""Stripe test helpers: objects and events in Stripe's format, signatures, and an adapter with fixed responses."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from shop.core.money import Money
from shop.payments.providers.interface import (
    Found,
    PaymentRequest,
)
from shop.payments.providers.stripe import Stripe
from tests.payments.answers import Answer

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


def a_refund(**changed: Any) -> dict[str, Any]:
    written = {"id": "re_1", "object": "refund", "status": "succeeded", "metadata": {"settled_refund": R1}}
    return written | {"amount": 20000, "currency": "twd", "charge": "ch_1"} | changed
