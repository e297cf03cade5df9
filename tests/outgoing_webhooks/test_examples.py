"""The receivers of the documentation get real deliveries: verified, stored once, processed after the answer."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook

from docs.examples import receive_webhooks
from shop.outgoing_webhooks import endpoints, resend
from shop.outgoing_webhooks.kinds import DeliveryState, EventType
from tests.outgoing_webhooks.conftest import Hooking
from tests.parts.processes import end_with_parent, free_port
from tests.shop_fixtures import PEN
from tools.docs.code import ROOT


class Example:
    """The Python example, whose handler records the types of events."""

    def __init__(self, file: Path, port: int, secret: str) -> None:
        self.store = receive_webhooks.Store(str(file))
        handler = receive_webhooks.receiver(Webhook(secret), self.store)
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def handled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The types of the events that the Python example has processed."""
    found: list[str] = []
    monkeypatch.setattr(receive_webhooks, "handle", lambda event: found.append(event["type"]))
    return found


@pytest.fixture
def registered(hooking: Hooking) -> tuple[str, int, str]:
    """An endpoint at a port of this machine: its id, the port and the secret."""
    port = free_port()
    types = [EventType.ORDER_CREATED, EventType.ORDER_PAID]
    endpoint, secret = endpoints.create(f"http://127.0.0.1:{port}/", "", types, by=hooking.admin)
    return endpoint, port, secret


def test_the_python_receiver_processes_each_event_once(
    hooking: Hooking, registered: tuple[str, int, str], handled: list[str], tmp_path: Path
) -> None:
    endpoint, port, secret = registered
    example = Example(tmp_path / "events.db", port, secret)
    try:
        hooking.shop.paid_order((PEN, 1))
        hooking.sweep()
        assert handled == [], "answered before it was processed"
        example.store.process()
        resend.resend(endpoint, hooking.delivery().id, by=hooking.admin)
        hooking.sweep()
        example.store.process()
        assert handled == ["order.created", "order.paid"]
        forged = httpx.post(f"http://127.0.0.1:{port}/", content=b"{}", headers={"webhook-id": "evt_1"})
        assert forged.status_code == 401
    finally:
        example.stop()


@pytest.fixture
def javascript(registered: tuple[str, int, str]) -> Iterator[subprocess.Popen[str]]:
    """The JavaScript example, running."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on this machine")
    environment = {**os.environ, "WEBHOOK_SECRET": registered[2], "PORT": str(registered[1])}
    command = [node, str(ROOT / "docs/examples/receive_webhooks.mjs")]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, preexec_fn=end_with_parent)
    assert process.stdout and process.stdout.readline() == "ready\n"
    yield process
    process.terminate()
    process.wait(10)


@pytest.mark.sample(1)
def test_the_javascript_receiver_verifies_deliveries(
    hooking: Hooking, registered: tuple[str, int, str], javascript: subprocess.Popen[str]
) -> None:
    order = hooking.shop.paid_order((PEN, 1))
    hooking.sweep()
    assert {state for state, _ in hooking.deliveries()} == {DeliveryState.DELIVERED}
    assert javascript.stdout
    words = [javascript.stdout.readline().split() for _ in range(2)]
    assert [word[1:] for word in words] == [["order.created", order.number], ["order.paid", order.number]]
    port = registered[1]
    assert httpx.post(f"http://127.0.0.1:{port}/", content=b"{}", headers={"webhook-id": "1"}).status_code == 401
