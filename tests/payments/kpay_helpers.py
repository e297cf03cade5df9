"""KPay test helpers: payments, events, signatures, and an acquirer with a fixed response."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
from standardwebhooks import Webhook

from shop.core.money import Money
from shop.payments.providers.interface import PaymentRequest
from shop.payments.providers.kpay import KPay

SECRET = "whsec_" + base64.b64encode(b"the secret of these tests").decode()
OLD_SECRET = "whsec_" + base64.b64encode(b"the secret of yesterday..").decode()
SETTINGS = {
    "KPAY_API_KEY": "kp_test_tests",
    "KPAY_WEBHOOK_SECRET": SECRET,
    "KPAY_MERCHANT": "demo",
    "KPAY_URL": "http://kpay.example/kpay",
    "ACQUIRER_PUBLIC_URL": "http://kpay.example",
}
P1 = "P000000000000000PAY1"
REQUEST = PaymentRequest(P1, Money(120000, "TWD"), "Settled order 1", "en", datetime(2030, 1, 1, tzinfo=UTC))
KNOWN = PaymentRequest(REQUEST.id, REQUEST.money, "", "en", REQUEST.pay_by, {"id": "pay_1"})


def a_payment(**changed: Any) -> dict[str, Any]:
    """A payment object in KPay's format."""
    written = {
        "id": "pay_1",
        "object": "payment",
        "reference": P1,
        "merchant": "demo",
        "status": "requires_payment",
        "amount": 120000,
        "currency": "TWD",
        "checkout_url": "http://kpay.example/pay/pay_1",
        "expires_at": "2030-01-01T00:00:00Z",
        "captures": [],
        "refunds": [],
        "payment_method": None,
        "last_decline": None,
        "ended_by": None,
    }
    return written | changed


def a_capture(**changed: Any) -> dict[str, Any]:
    return {"id": "cap_1", "amount": 120000, "currency": "TWD", "captured_at": "2029-12-31T23:59:00Z"} | changed


def an_event(kind: str = "payment.captured", event: str = "evt_1", **changed: Any) -> bytes:
    payment = a_payment(**({"status": "captured", "captures": [a_capture()]} | changed))
    body = {"id": event, "type": kind, "created_at": "2029-12-31T23:59:01Z", "merchant": payment["merchant"]}
    return json.dumps(body | {"data": {"payment": payment}}).encode()


def signed(body: bytes, event: str = "evt_1", secret: str = SECRET, at: datetime | None = None) -> dict[str, str]:
    """Standard Webhooks' headers over `body`."""
    at = at or datetime.now(UTC)
    signature = Webhook(secret).sign(event, at, body.decode("utf-8", "surrogateescape"))
    return {"webhook-id": event, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}


def kpay(answer: Callable[[httpx.Request], httpx.Response] | None = None, **changed: str) -> KPay:
    """The adapter with an acquirer that always gives this response."""
    transport = httpx.MockTransport(answer or (lambda _: httpx.Response(500)))
    return KPay(SETTINGS | changed, lambda: httpx.Client(transport=transport))
