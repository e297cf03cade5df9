"""Tpay test helpers: signed forms, trades, webhooks, an API with fixed responses, and a shop with the real dialect."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx

from shop import settings
from shop.core.money import Money
from shop.orders.models import Order
from shop.payments.initiation import initiate
from shop.payments.polling import poll
from shop.payments.providers import registry
from shop.payments.providers.interface import (
    PaymentRequest,
    RefundRequest,
)
from shop.payments.providers.tpay import Tpay, check_mac
from shop.payments.webhooks import inbox
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
