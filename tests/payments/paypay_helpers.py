"""PayPay test helpers: payments, webhooks, an API with fixed responses, and a shop with the real dialect."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from shop import settings
from shop.core.money import Money
from shop.orders.models import Order
from shop.payments.providers import registry
from shop.payments.providers.interface import (
    Facts,
    Found,
    PaymentRequest,
    Rejected,
    Started,
    Unavailable,
    Unknown,
)
from shop.payments.providers.paypay import PayPay
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


def a_webhook(**changed: Any) -> bytes:
    reported = {
        "notification_type": "Transaction",
        "merchant_id": "demo",
        "order_id": "77",
        "merchant_order_id": P1,
    }
    return json.dumps(reported | {"state": "COMPLETED", "order_amount": "5600"} | changed).encode()


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
