"""Rate of signed webhooks through POST /webhooks/kpay, each paying its own order, compared with a bare Flask view.

The bare view (bench/bare_receiver.py) checks the same signature and does one INSERT and one COMMIT, under the same
gunicorn
settings. The two take turns, a few webhooks each, under the same load. Worker, clock and acquirer are stopped
meanwhile;
the shop logs as in production. PostgreSQL syncs every commit to disk; SQLite has the shop's settings (WAL,
synchronous=NORMAL).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
from sqlalchemy import func, select
from standardwebhooks import Webhook

from bench.copy_orders import copied_id, copy_orders
from bench.server_time import postgres
from bench.tools import Item, each, note, running, table, waiting_payments
from e2e.control import Control
from e2e.demo import Demo, commands
from shop import create_app
from shop.core.db import db
from shop.integrity import invariants
from shop.orders.models import Order
from shop.orders.states import OrderState
from tests.parts.processes import ROOT, free_port
from tests.parts.waiting import until

SECRET = "whsec_a3BheS1kZW1vLXdlYmhvb2stc2VjcmV0LTAwMDE="  # the demo merchant's public secret
TURN, WARM = 500, 1  # webhooks in a turn, and warm-up turns
PATTERNS = 30  # orders that are really placed


def batched(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    """Parts of at most `size`."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def events(demo: Demo, count: int) -> list[bytes]:
    """The bodies of the events for `count` approved payments, whose webhooks are dropped.

    Few of the orders are placed, opened and approved; the others are copies of those, in the shop alone.
    """
    control = Control(demo)
    control.faults(hook={"drop": 1_000_000})
    patterns = waiting_payments(demo, PATTERNS)
    for name in ("worker", "clock"):
        demo.stop(name, signal.SIGTERM)  # polling must not pay them first
    each([payment for _, payment in patterns], control.approve)
    client = httpx.Client(
        base_url=f"{demo.acquirer}/kpay/v1/payments", headers={"Authorization": "Bearer kp_test_demo"}
    )
    facts = [client.get(f"/{payment}").raise_for_status().json() for _, payment in patterns]
    shares = [count // PATTERNS + (number < count % PATTERNS) for number in range(PATTERNS)]
    with create_app(demo.environ).app_context():
        for (placed, _), share in zip(patterns, shares, strict=True):
            order_id = db.session.scalars(select(Order.id).where(Order.token == placed.token)).one()
            copy_orders(order_id, share - 1, step=0)
    found = [_body(one, number) for one, share in zip(facts, shares, strict=True) for number in range(share)]
    random.Random(7).shuffle(found)  # webhooks under way at once are about different products
    return found


def _body(facts: dict[str, Any], number: int) -> bytes:
    """The event of a payment, or of the copy with this number."""
    suffix = f"-{number}" if number else ""
    captures = [{**one, "id": one["id"] + suffix} for one in facts["captures"]]
    payment = {**facts, "reference": copied_id(facts["reference"], number), "captures": captures}
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    kind = {"id": f"evt_{facts['id']}{suffix}", "type": "payment.captured", "created_at": at, "merchant": "demo"}
    return json.dumps({**kind, "data": {"payment": payment}}).encode()


def signed(address: str, body: bytes) -> bytes:
    """An HTTP request as bytes."""
    event, now = json.loads(body)["id"], datetime.now(UTC)
    signature = Webhook(SECRET).sign(event, now, body.decode())
    head = [
        "POST /webhooks/kpay HTTP/1.1",
        f"Host: {urlsplit(address).netloc}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"webhook-id: {event}",
        f"webhook-timestamp: {int(now.timestamp())}",
        f"webhook-signature: {signature}",
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


async def post_all(address: str, requests: list[bytes], connections: int) -> float:
    """Send all requests over a few kept connections. Returns the seconds; raises on any response but 200."""
    queue, host = iter(requests), urlsplit(address)

    async def one_connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", host.port)
        for request in queue:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit(head.decode())
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))
        writer.close()

    began = time.monotonic()
    await asyncio.gather(*(one_connection() for _ in range(connections)))
    return time.monotonic() - began


def seconds(address: str, bodies: list[bytes], connections: int) -> float:
    """Seconds for these webhooks over so many connections."""
    return asyncio.run(post_all(address, [signed(address, body) for body in bodies], connections))


def floor(demo: Demo, database_url: str) -> str:
    """The address of the bare view, under the settings of the shop's web process."""
    address, port = "http://localhost:{}", free_port()
    command = [part.replace("wsgi:app", "bench.bare_receiver:app") for part in commands(ROOT / "Procfile")["web"]]
    environ = {**demo.environ, "PORT": str(port), "DATABASE_URL": database_url, "KPAY_WEBHOOK_SECRET": SECRET}
    demo.processes(command, environ, log="floor").wait_for_url(f"{address.format(port)}/readyz")
    return address.format(port)


def measure(
    count: int, connections: int, database: str, shop_url: str, floor_url: str
) -> tuple[str, float, float, float]:
    """(database, the bare view's rate, the shop's rate, their ratio)."""
    settings = {"DATABASE_URL": shop_url} if shop_url else {}
    with running(LOG_FORMAT="json", **settings) as demo:
        note(f"{database}: {count} payments are opened and approved")
        bodies = events(demo, count)
        demo.signal("acquirer", signal.SIGSTOP)
        bare_view = floor(demo, floor_url or f"sqlite:///{demo.folder / 'floor.db'}")
        note(f"{database}: webhooks")
        turns = list(batched(bodies, TURN))
        sides = (demo.shop, bare_view)
        times = [[seconds(side, turn, connections) for side in sides] for turn in turns][WARM:]
        ours, bare = (sum(map(len, turns[WARM:])) / sum(side) for side in zip(*times, strict=True))
        note(f"{database}: {ours:.0f} settled a second, {bare:.0f} by the bare view: {ours / bare:.2f} of it")
        demo.signal("acquirer", signal.SIGCONT)
        for name in ("worker", "clock"):
            demo.start_again(name)
        _check(demo, count)
    return database, bare, ours, ours / bare


def _check(demo: Demo, count: int) -> None:
    """Every order is paid and every invariant holds, without that of the acquirer, which does not know the copies."""
    with create_app(demo.environ).app_context():
        paid = db.session.scalar(select(func.count()).where(Order.state == OrderState.PAID))
        assert paid == count, f"{paid} of {count} orders are paid"
        until(lambda: all(finding.holds for finding in invariants.check(with_acquirers=False)), within=60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--webhooks", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=32, help="how many webhooks are under way at once")
    parser.add_argument("--databases", default="SQLite,PostgreSQL")
    options = parser.parse_args()
    count, databases = options.webhooks + WARM * TURN, options.databases.lower()
    rows: list[tuple[object, ...]] = [
        ("database", "bare view, 1/s", "full settle, 1/s", "of the bare view (goal 0.35)")
    ]
    if "sqlite" in databases:
        rows.append(measure(count, options.connections, "SQLite", "", ""))
    if "postgresql" in databases:
        with postgres() as server:
            urls = [server.url(server.create()) for _ in range(2)]
            rows.append(measure(count, options.connections, "PostgreSQL", *urls))
    table("Signed webhooks a second, one gunicorn worker", rows)


if __name__ == "__main__":
    main()
