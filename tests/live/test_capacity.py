"""Live connections above the limit of a real gunicorn: refused with a clear answer, in constant memory."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.chaos.conftest import Deployment, deployment  # noqa: F401 - a fixture
from tests.parts.processes import Process
from tests.parts.waiting import until
from tests.shop_fixtures import PEN

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
CONNECTIONS = 100
ROOM = 54
"""Of 100 connections 60 are for live updates, and a tenth of these is kept for staff."""
REFUSED = 1000
STREAM = "GET /orders/{token}/events HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: 10.1.{high}.{low}\r\n\r\n"
WEBSOCKET = (
    "GET /ws/orders/{token} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: 10.1.{high}.{low}\r\n"
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Opened:
    """A connection for live updates; `status` and `head` are those of the server's answer."""

    def __init__(self, site: str, token: str, number: int) -> None:
        host = urlsplit(site).netloc
        name, _, port = host.partition(":")
        self.connection = socket.create_connection((name, int(port)), timeout=10)
        wanted = (STREAM, WEBSOCKET)[number % 2].format(token=token, host=host, high=number // 250, low=number % 250)
        self.connection.sendall(wanted.encode())
        received = b""
        while b"\r\n\r\n" not in received and (more := self.connection.recv(4096)):
            received += more
        self.head = received.decode("latin-1")
        self.status = int(self.head.split(" ", 2)[1])

    @property
    def is_open(self) -> bool:
        return self.status in (101, 200)


def fill(opened: list[Opened], connect: Callable[[int], Opened]) -> int:
    """Open connections until one is refused; returns how many are open."""
    while len(opened) <= CONNECTIONS and (one := connect(len(opened))).is_open:
        opened.append(one)
    one.connection.close()
    return len(opened)


@contextmanager
def closing_all() -> Iterator[list[Opened]]:
    """A list of connections that are closed at the end."""
    opened: list[Opened] = []
    try:
        yield opened
    finally:
        for one in opened:
            one.connection.close()


def memory(web: Process) -> float:
    """Memory of the worker in MB."""
    worker = Path(f"/proc/{web.pid}/task/{web.pid}/children").read_text().split()[0]
    lines = Path(f"/proc/{worker}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


@pytest.mark.full
def test_a_thousand_connections_above_the_limit_are_refused_in_constant_memory_and_the_limit_frees(
    deployment: Deployment,  # noqa: F811
) -> None:
    limits = dict.fromkeys(("STREAMS_PER_ADDRESS", "STREAMS_PER_ORDER"), "10000")
    command = ["gunicorn", "-c", "deploy/gunicorn.py", "wsgi:app"]
    web = deployment.run("web", command, WORKER_CONNECTIONS=str(CONNECTIONS), **limits)
    web.wait_for_url(f"{deployment.site}/healthz", within=30)
    order = deployment.shop.order((PEN, 1), provider="kpay")

    def connect(number: int) -> Opened:
        return Opened(deployment.site, order.token, number)

    def refused(number: int) -> tuple[int, bool, bool]:
        answer = connect(number)
        answer.connection.close()
        return answer.status, "Retry-After: " in answer.head, "text/plain" in answer.head

    with closing_all() as opened, ThreadPoolExecutor(16) as many:
        assert fill(opened, connect) == ROOM and {one.status for one in opened} == {101, 200}
        assert set(many.map(refused, range(100, 300))) == {(503, True, True)}
        before = memory(web)
        assert set(many.map(refused, range(300, 300 + REFUSED))) == {(503, True, True)}
        assert memory(web) - before < 8
        assert httpx.get(f"{deployment.site}/healthz").status_code == 200
    with closing_all() as opened:
        until(lambda: fill(opened, connect) == ROOM, within=60, what="the limit to be free again")
