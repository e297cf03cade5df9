"""A client that holds as many connections as it can get does not block other clients."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
import pytest

from tests.chaos.conftest import Deployment, deployment  # noqa: F401 - a fixture
from tests.parts.processes import Process, Processes, free_port
from tests.parts.waiting import until

CONNECTIONS = 40
SECONDS = 3
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
Opener = Callable[[str, bytes], socket.socket]


@pytest.fixture
def connect() -> Iterator[Opener]:
    """`connect(site, bytes)` opens a connection, sends these bytes and leaves it open."""
    opened: list[socket.socket] = []

    def open_one(site: str, sends: bytes) -> socket.socket:
        address = urlsplit(site)
        one = socket.create_connection((address.hostname or "", address.port or 0), timeout=10)
        opened.append(one)
        one.sendall(sends)
        return one

    yield open_one
    for one in opened:
        one.close()


def web(deployment: Deployment) -> Process:  # noqa: F811
    deployment.settings |= {"WORKER_CONNECTIONS": str(CONNECTIONS), "REQUEST_SECONDS": str(SECONDS), "PROXY_HOPS": "0"}
    return deployment.web()


def body_half_sent(path: str, length: int = 1000) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\nhalf".encode()


def seconds(send: Callable[[], httpx.Response], expected: int) -> float:
    began = time.monotonic()
    assert send().status_code == expected
    return time.monotonic() - began


@pytest.mark.full
@on_sqlite
def test_180_streams_and_100_half_sent_bodies_leave_room_for_probes_and_webhooks(
    deployment: Deployment,  # noqa: F811
    connect: Opener,
) -> None:
    web(deployment)
    orders = [deployment.order(deployment.visitor().place()) for _ in range(4)]
    streams = [
        connect(
            deployment.site, f"GET /orders/{orders[n % 4].token}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        )
        for n in range(180)
    ]
    heads = [one.recv(4096).split(b"\r\n", 1)[0] for one in streams]
    assert set(heads) <= {b"HTTP/1.1 200 OK", b"HTTP/1.1 503 SERVICE UNAVAILABLE"}
    for number in range(100):
        connect(deployment.site, body_half_sent(("/webhooks/kpay", "/checkout", "/sign-in", "/nowhere")[number % 4]))
    for _ in range(20):
        connect(deployment.site, b"GET / HTTP/1.1\r\nHost: local")
    until(
        lambda: httpx.get(f"{deployment.site}/healthz", timeout=9).status_code == 200, what="the burst to be taken in"
    )
    took = []
    for _ in range(5):
        took.append(seconds(lambda: httpx.get(f"{deployment.site}/healthz", timeout=5), 200))
        took.append(seconds(lambda: httpx.post(f"{deployment.site}/webhooks/kpay", content=b"{}", timeout=5), 401))
        took.append(seconds(lambda: httpx.get(f"{deployment.site}/", timeout=5), 200))
    assert max(took) < 1.0, took


@pytest.mark.full
@on_sqlite
def test_streams_of_one_order_and_of_one_address_are_limited_and_the_next_gets_retry_after(
    deployment: Deployment,  # noqa: F811
) -> None:
    deployment.settings |= {"STREAMS_PER_ORDER": "2", "STREAMS_PER_ADDRESS": "3"}
    deployment.web()
    orders = [deployment.order(deployment.visitor().place()) for _ in range(4)]
    clients = []

    def open_stream(order: int, address: str) -> httpx.Response:
        client = httpx.Client(base_url=deployment.site, headers={"X-Forwarded-For": address}, timeout=10)
        clients.append(client)
        return client.send(client.build_request("GET", f"/orders/{orders[order].token}/events"), stream=True)

    assert open_stream(0, "192.0.2.1").status_code == 200
    second = open_stream(0, "192.0.2.2")
    assert second.status_code == 200
    refused = open_stream(0, "192.0.2.3")
    assert (refused.status_code, int(refused.headers["Retry-After"]) > 0) == (503, True)
    statuses = [open_stream(order, f"2001:db8::{order}").status_code for order in (1, 1, 2, 3)]
    assert statuses == [200, 200, 200, 503], "an IPv6 network is one address"
    second.close()
    assert httpx.get(f"{deployment.site}/orders/{orders[0].token}/status").status_code == 200, (
        "the page falls back to this"
    )
    deployment.shop.wait(minutes=1)
    until(lambda: open_stream(0, "192.0.2.3").status_code == 200, within=30, what="the place of the closed stream")
    for client in clients:
        client.close()


@pytest.mark.full
@on_sqlite
@pytest.mark.parametrize(
    "sends", [body_half_sent("/webhooks/kpay"), b"POST /webhooks/kpay HTTP/1.1\r\nHost: localhost\r\nX-Drip: "]
)
def test_a_request_that_is_sent_byte_by_byte_is_ended(deployment: Deployment, connect: Opener, sends: bytes) -> None:  # noqa: F811
    web(deployment)
    drip = connect(deployment.site, sends)
    drip.settimeout(0.2)
    began = time.monotonic()
    message = b""
    ended = False
    while not ended and time.monotonic() - began < SECONDS + 5:
        with suppress(BrokenPipeError, ConnectionResetError):
            drip.sendall(b"x")
        try:
            found = drip.recv(4096)
            message += found
            ended = not found
        except TimeoutError:
            continue
        except ConnectionResetError:
            ended = True
    assert ended
    assert message == b"" or message.startswith((b"HTTP/1.1 408", b"HTTP/1.1 400")), message


@pytest.mark.full
def test_half_sent_requests_leave_threads_of_the_acquirer_for_others(process: Processes, connect: Opener) -> None:
    port = free_port()
    site = f"http://127.0.0.1:{port}"
    settings = {
        "SETTLED_ENV": "development",
        "ACQUIRER_PORT": str(port),
        "BIND_ADDRESS": "127.0.0.1",
        "ACQUIRER_WEB_THREADS": "4",
        "ACQUIRER_DATABASE_URL": f"sqlite:///{process.folder}/acquirer.db",
        "REQUEST_SECONDS": str(SECONDS),
    }
    process(["flask", "--app", "mock_acquirer", "db", "upgrade"], settings).wait(60)
    acquirer = process(["gunicorn", "-c", "deploy/gunicorn_acquirer.py", "mock_acquirer:create_app()"], settings)
    acquirer.wait_for_url(f"{site}/healthz", within=30)
    for number in range(40):
        connect(site, body_half_sent("/kpay/v1/payments") if number % 2 else b"GET / HTTP/1.1\r\nHost: local")
    took = [seconds(lambda: httpx.get(f"{site}/healthz", timeout=10), 200) for _ in range(5)]
    assert max(took) < 1.0, took
