"""A Python client that openapi-python-client generates from the document buys, pays, refunds and gets webhooks."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import httpx
import pytest
from standardwebhooks import Webhook

from e2e.control import Control
from e2e.demo import Demo
from tests.outgoing_webhooks.conftest import Receiver, receiver
from tests.parts.waiting import until

__all__ = ["receiver"]
NAME = "settled_client"


@pytest.fixture(scope="module")
def client(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The generated package."""
    folder = tmp_path_factory.mktemp("client")
    document, settings = folder / "openapi.json", folder / "settings.yml"
    document.write_text(httpx.get(f"{demo.shop}/api/v1/openapi.json", trust_env=False).text)
    settings.write_text("post_hooks: []\n")  # no formatting
    command = [Path(sys.executable).parent / "openapi-python-client", "generate", "--path", document, "--meta", "none"]
    command += ["--output-path", folder / NAME, "--config", settings, "--fail-on-warning"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    yield importlib.import_module(NAME)
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
        del sys.modules[name]


class Program:
    """A program that knows the shop by its generated client alone."""

    def __init__(self, client: ModuleType, address: str, token: str = "") -> None:
        self._address = address
        more = {"base_url": address, "httpx_args": {"trust_env": False}}
        self._client = client.AuthenticatedClient(token=token, **more) if token else client.Client(**more)
        self._made = importlib.import_module(f"{NAME}.models")

    def model(self, name: str, **values: Any) -> Any:
        return getattr(self._made, name).from_dict(values)

    def call(self, module: str, *path: Any, **more: Any) -> Any:
        """Call an operation; returns the parsed answer."""
        operation = importlib.import_module(f"{NAME}.api.{module}")
        answer = operation.sync_detailed(*path, client=self._client, **more)
        assert answer.status_code < 300, answer.content
        return answer.parsed


def test_a_generated_client_buys_pays_refunds_and_gets_signed_webhooks(
    demo: Demo, acquirer: Control, client: ModuleType, receiver: Receiver
) -> None:
    guest = Program(client, demo.shop)

    def signed_in(name: str) -> Program:
        credentials = guest.model("Login", email=f"{name}@settled.example", password="settled-demo")
        return Program(client, demo.shop, guest.call("sign_in.post_auth_login", body=credentials).access_token)

    wanted = guest.model("NewEndpoint", url=receiver.url, event_types=["order.paid", "refund.succeeded"])
    endpoint = signed_in("admin").call("webhook_endpoints.post_webhook_endpoints", body=wanted)
    [product] = guest.call("products.get_products", limit=1).items
    address = {"name": "Ada", "line1": "1 Main St", "city": "Taipei", "country": "TW"}
    body = {"items": [{"sku": product.sku, "quantity": 1}], "currency": "TWD", "email": "ada@example.com"}
    new_order = guest.model("NewOrder", **body, address=address)
    order = guest.call("orders.post_orders", body=new_order, idempotency_key=str(uuid4()))
    holder = Program(client, demo.shop, order.token)
    new_payment = holder.model("NewPayment", order_id=order.id, provider="kpay")
    payment = holder.call("payments.post_payments", body=new_payment, idempotency_key=str(uuid4()))
    acquirer.approve(payment.id)
    until(lambda: holder.call("orders.get_orders_order_id", order.id).state == "PAID", within=30)
    assert holder.call("payments.get_payments_payment_id", payment.id).state == "CAPTURED"
    support = signed_in("support")
    refunds = support.call("refunds_of_payments.get_payments_payment_id_refunds", payment.id)
    new_refund = support.model("NewRefund", amount=5000, reason="x", expected_refundable=refunds.refundable.amount)
    module = "refunds_of_payments.post_payments_payment_id_refunds"
    refund = support.call(module, payment.id, body=new_refund, idempotency_key=str(uuid4()))
    until(lambda: support.call("refunds.get_refunds_refund_id", refund.id).state == "DONE", within=30)
    until(lambda: len(set(receiver.ids)) == 2, within=60, what="both webhooks to arrive")
    for hook in receiver.hooks:
        event = Webhook(endpoint.secret).verify(hook.body, hook.headers)
        assert event["data"]["order"]["number"] == order.number
    assert set(receiver.types) == {"order.paid", "refund.succeeded"}
    assert json.loads(receiver.hooks[-1].body)["data"]["refund"]["amount"] == {"amount": 5000, "currency": "TWD"}
    signed_in("admin").call("webhook_endpoints.delete_webhook_endpoints_endpoint_id", endpoint.id)
