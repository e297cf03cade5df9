"""A slow, unreachable, premature or inconsistent acquirer: pages stay fast, and the order reaches the right state."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from flask import Flask

from shop.core import clock, http_client
from shop.core.db import db
from shop.payments.calls import circuit_breaker
from shop.payments.providers import registry
from shop.payments.providers.interface import PaymentRequest
from shop.payments.providers.kpay import KPay
from shop.payments.providers.types import PaymentState
from shop.payments.records.models import Capture, ProviderHealth
from shop.payments.refunds import requests
from shop.payments.webhooks import inbox
from tests.fakes import FakePay
from tests.payments.kpay_helpers import SETTINGS, a_payment, an_event, kpay, signed
from tests.shop_fixtures import PEN, Shop

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


# --- premature webhooks ---


class Hasty(FakePay):
    """The customer has paid and the webhook has arrived before the response to the call that opened the payment."""

    def start(self, payment: PaymentRequest, return_url: str, webhook_url: str) -> Any:
        answer = super().start(payment, return_url, webhook_url)
        self.acquirer.capture(payment.id)
        self.response = inbox.receive(self, *self.acquirer.webhook(payment.id, "evt-hasty"))
        return answer


def test_a_webhook_before_the_response_to_the_initiation_finds_its_payment_by_our_reference(shop: Shop) -> None:
    """Fault 14."""
    hasty = registry.all_providers()["fakepay"] = Hasty(shop.acquirer)
    order = shop.order()
    assert hasty.response == (200, "applied")
    assert (shop.state(order), shop.captures(order)) == ("PAID", ["pays_order"])
    assert shop.payment(order).state == PaymentState.CAPTURED, "the answer that came afterwards lowers nothing"
    assert shop.moves(order) == ["PENDING", "PAID"]


# --- slow ---


@pytest.fixture
def silent_acquirer() -> Iterator[str]:
    """Accepts every connection and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_an_acquirer_that_never_answers_costs_a_customer_one_timeout_and_the_page_shows_confirming(
    shop: Shop, silent_acquirer: str
) -> None:
    """Fault 18."""
    shop.app.config.update(SETTINGS, READ_TIMEOUT=0.2, KPAY_URL=silent_acquirer)
    registry.all_providers()["kpay"] = KPay(shop.app.config, http_client.client)
    began = time.monotonic()
    order = shop.order((PEN, 1), provider="kpay")
    assert time.monotonic() - began < 4, "the default would be five seconds"
    assert shop.payment(order).state == PaymentState.UNKNOWN
    assert shop.order_status(order).key == "confirming"
    assert not shop.order_status(order).can, "nobody is asked to pay while nobody knows"


def test_after_five_failures_pages_stop_waiting_for_an_acquirer_until_it_has_had_its_pause(
    shop: Shop, silent_acquirer: str
) -> None:
    """Fault 18."""
    shop.app.config.update(SETTINGS, READ_TIMEOUT=0.05, KPAY_URL=silent_acquirer)
    provider = registry.all_providers()["kpay"] = KPay(shop.app.config, http_client.client)
    order = shop.order((PEN, 1), provider="kpay")
    made: list[int] = []
    while not circuit_breaker.paused():
        circuit_breaker.call(provider, "query", lambda: provider.query(_request(shop, order)))
        made.append(1)
        assert len(made) < circuit_breaker.TRIP_AFTER, "it is left alone after five failures, the opening included"
    refused = circuit_breaker.call(provider, "query", lambda: pytest.fail("it was called all the same"))
    assert refused.retry_after == circuit_breaker.PAUSE
    shop.wait(seconds=circuit_breaker.PAUSE + 1)
    assert not circuit_breaker.paused()


def _request(shop: Shop, order: Any) -> PaymentRequest:
    payment = shop.payment(order)
    return PaymentRequest(payment.id, payment.money, "", "en", order.pay_by)


def test_a_call_waits_one_second_to_connect_and_five_to_be_answered(app: Flask) -> None:
    """Fault 18: the defaults, as the client has them."""
    with app.app_context():
        timeout = http_client.client().timeout
    assert (timeout.connect, timeout.read) == (1, 5)


# --- unreachable ---


def test_an_acquirer_unavailable_for_ten_minutes_loses_no_order_and_no_money(shop: Shop) -> None:
    """Fault 19."""
    paid, unpaid = shop.order((PEN, 1)), shop.order((PEN, 1))
    shop.acquirer.capture(shop.payment(paid).id)
    shop.acquirer.away = True
    new = shop.order((PEN, 1))
    assert shop.order_status(new).key == "unavailable", "the checkout says so, and the order is kept"
    for _ in range(10):
        shop.turn(minutes=1)
    assert {shop.state(order) for order in (paid, unpaid)} == {"WAITING_PAYMENT"}
    shop.acquirer.away = False
    back_at = clock.now()
    while shop.state(paid) != "PAID":
        shop.turn(seconds=5)
        assert (clock.now() - back_at).total_seconds() <= 90
    payment = shop.pay_again(new)
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    assert [shop.state(order) for order in (paid, unpaid, new)] == ["PAID", "WAITING_PAYMENT", "PAID"]
    db.session.rollback()
    assert db.session.scalars(db.select(ProviderHealth.unavailable_since)).all() in ([], [None])


# --- inconsistent ---


@pytest.fixture
def kpay_opens(shop: Shop) -> None:
    """KPay opens every payment under an id of its own."""
    shop.app.config.update(SETTINGS)

    def there(request: httpx.Request) -> httpx.Response:
        reference = json.loads(request.content)["reference"]
        opened = a_payment(reference=reference, id=f"pay_{reference}", checkout_url="http://kpay.example/pay")
        return httpx.Response(201, json=opened)

    registry.all_providers()["kpay"] = kpay(there)


@pytest.mark.usefixtures("kpay_opens")
def test_money_of_one_payment_reported_under_another_orders_reference_never_pays_that_order(shop: Shop) -> None:
    """Fault 12: our reference and the acquirer's id belong to two different payments."""
    one, other = shop.order((PEN, 1), provider="kpay"), shop.order((PEN, 1), provider="kpay")
    confused = an_event(
        reference=shop.payment(other).id,
        id=shop.payment(one).provider_data["id"],
        captures=[{"id": "cap_1", "amount": 9000, "currency": "TWD", "captured_at": clock.wall().isoformat()}],
    )
    assert shop.receive(signed(confused), confused, "kpay") == (200, "foreign")
    assert [shop.state(order) for order in (one, other)] == ["WAITING_PAYMENT", "WAITING_PAYMENT"]
    assert shop.count(Capture) == 0


@pytest.mark.usefixtures("kpay_opens")
def test_another_merchants_payment_under_our_reference_books_nothing(shop: Shop) -> None:
    """Fault 12."""
    order = shop.order((PEN, 1), provider="kpay")
    payment = shop.payment(order)
    foreign = an_event(reference=payment.id, id=payment.provider_data["id"], merchant="somebody-else")
    assert shop.receive(signed(foreign), foreign, "kpay") == (200, "foreign")
    assert (shop.state(order), shop.count(Capture)) == ("WAITING_PAYMENT", 0)


@pytest.mark.usefixtures("kpay_opens")
def test_a_refund_of_one_acquirer_reported_by_another_one_is_ignored(shop: Shop) -> None:
    """Fault 12."""
    order = shop.order((PEN, 1))
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    db.session.rollback()
    refund = requests.request(db.session.scalars(db.select(Capture.id)).one(), order.total, reason="", by=shop.sam)
    response = {"id": "evt_9", "type": "refund.succeeded", "merchant": "demo"}
    theirs = {"id": "re_9", "reference": refund.id, "capture": "cap_9", "amount": refund.amount, "currency": "TWD"}
    theirs["payment_reference"] = shop.payment(order).id
    response |= {"data": {"refund": {**theirs, "status": "succeeded", "created_at": "2026-01-01T00:00:00Z"}}}
    body = json.dumps(response).encode()
    assert shop.receive(signed(body, "evt_9"), body, "kpay") == (200, "orphan")
    assert shop.state(order) == "PAID"
    shop.sweep()
    assert shop.state(order) == "REFUNDED"
    assert list(shop.acquirer.refunds) == [refund.id], "it was sent all the same"


# --- failing rows ---


def test_a_refund_whose_sending_raises_delays_no_other_and_is_retried(shop: Shop) -> None:
    """Fault 43."""
    orders = []
    for _ in range(3):
        order = shop.order((PEN, 1))
        shop.wait(minutes=31)
        shop.sweep()
        shop.acquirer.capture(shop.payment(order).id)
        orders.append(order)
    shop.acquirer.misbehave("refund", "crash")
    for order in orders:
        shop.deliver_webhook(shop.payment(order))
    shop.sweep()
    assert len(shop.acquirer.refunds) == 2
    shop.turn(seconds=31)
    assert len(shop.acquirer.refunds) == 3
    assert {theirs for theirs, _, _ in shop.acquirer.refunds.values()} == {
        f"cap-{shop.payment(order).id}-1" for order in orders
    }


def test_eight_threads_share_one_client_and_none_waits_for_another(app: Flask, silent_acquirer: str) -> None:
    """Fault 18: a slow acquirer delays only its own callers."""
    app.config.update(READ_TIMEOUT=1.0)

    def send() -> None:
        with app.app_context(), pytest.raises(httpx.TimeoutException):
            http_client.client().get(silent_acquirer)

    began = time.monotonic()
    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert time.monotonic() - began < 5, "one after the other would be eight seconds"
