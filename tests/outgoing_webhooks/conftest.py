"""Real receivers of webhooks on this machine, and a shop with endpoints there."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy import select

from shop.accounts.permissions import Role
from shop.core import outbox
from shop.core.db import db
from shop.jobs import effects
from shop.outgoing_webhooks import endpoints, lanes
from shop.outgoing_webhooks.kinds import EventType
from shop.outgoing_webhooks.models import DeliveryAttempt, WebhookDelivery, WebhookEndpoint
from tests.shop_fixtures import Shop

ALL = list(EventType)
PAID = [EventType.ORDER_PAID]


@dataclass
class Hook:
    """A webhook as it was received."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Answer:
    """An answer to a webhook; status 0 closes the connection without one. `wait` is called before it."""

    status: int = 204
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    wait: Callable[[], Any] = lambda: None


class Receiver:
    """A server that records webhooks. `answers` are used once each, in order; then `usual` is the answer."""

    def __init__(self) -> None:
        self.hooks: list[Hook] = []
        self.answers: list[Answer] = []
        self.usual = Answer()
        self.connections = 0
        receiver = self

        class Endpoint(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                receiver.connections += 1

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.hooks.append(Hook(self.path, headers, body))
                receiver._answer(self)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hooks"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        answer = self.answers.pop(0) if self.answers else self.usual
        answer.wait()
        if not answer.status:
            handler.close_connection = True
            return
        handler.send_response(answer.status)
        for name, value in {"content-length": str(len(answer.body)), **answer.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(answer.body)

    @property
    def types(self) -> list[str]:
        return [hook.json["type"] for hook in self.hooks]

    @property
    def ids(self) -> list[str]:
        return [hook.id for hook in self.hooks]

    def stop(self) -> None:
        """End the server: connections are refused."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.stop()


@pytest.fixture
def other() -> Iterator[Receiver]:
    """A second receiver."""
    found = Receiver()
    yield found
    found.stop()


class Hooking:
    """A shop, its admin, and actions on endpoints."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.admin = shop, shop.colleague("ada", Role.ADMIN)
        self.secrets: dict[str, str] = {}

    def endpoint(self, receiver: Receiver, types: list[EventType] | None = None) -> str:
        """A new endpoint at a receiver, by default for all events."""
        endpoint_id, secret = endpoints.create(receiver.url, "Test", types or ALL, by=self.admin)
        self.secrets[endpoint_id] = secret
        return endpoint_id

    def publish(self) -> None:
        """Publish events and queue their deliveries, without delivering."""
        outbox.relay(effects.follow, effects.follow_alone)

    def sweep(self) -> None:
        """Publish events and deliver all that is due."""
        self.shop.sweep()
        lanes.of_process().wait(30)

    def turn(self, **by: float) -> None:
        """Advance the clock and deliver all that is due."""
        self.shop.wait(**by)
        self.sweep()

    def deliveries(self) -> list[tuple[str, int]]:
        """State and number of attempts of all deliveries, oldest first."""
        db.session.rollback()
        rows = db.session.execute(select(WebhookDelivery.state, WebhookDelivery.tries).order_by(WebhookDelivery.id))
        return [(row.state, row.tries) for row in rows]

    def delivery(self) -> WebhookDelivery:
        """The newest delivery."""
        db.session.rollback()
        newest = select(WebhookDelivery).order_by(WebhookDelivery.id.desc()).limit(1)
        return db.session.scalars(newest.execution_options(populate_existing=True)).one()

    def attempts(self) -> list[DeliveryAttempt]:
        db.session.rollback()
        return list(db.session.scalars(select(DeliveryAttempt).order_by(DeliveryAttempt.id)))

    def stored(self, endpoint_id: str) -> WebhookEndpoint:
        db.session.rollback()
        return db.session.get_one(WebhookEndpoint, endpoint_id, populate_existing=True)


@pytest.fixture
def hooking(shop: Shop) -> Iterator[Hooking]:
    yield Hooking(shop)
    lanes.of_process().wait(30)
