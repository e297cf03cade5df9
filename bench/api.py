"""Cost of API calls beside a bare Flask view and FastAPI that do the same work: `python -m bench.api`.

Read a payment, list a page of orders, place an order. All three run in this process and take turns, round by round, on
the same database: the CPU time of the process and the time until the answer, without a server and a network. The shop
logs as in production, counts its limits in a real Redis and writes its log of calls; no limit is reached. The ratio is
the bare view's CPU time by that of the shop, from the medians of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import io
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import event
from werkzeug.test import EnvironBuilder

from bench.api_apps import ORDERS, bare_flask, fast_api
from bench.tools import note, percentile, table
from shop import create_app
from shop.accounts import api_tokens
from shop.accounts.models import User
from shop.api import rate_limits
from shop.core import clock
from shop.core.db import db, transaction
from shop.inventory import stock
from shop.payments.providers import registry
from tests.api.conftest import ADDRESS, account, log_in
from tests.fakes import Acquirer, FakePay
from tests.parts.postgres import PostgresServer
from tests.parts.redis_server import RedisServer
from tests.shop_fixtures import PEN, Shop, environ, migrate

GOAL = 0.7
"""Least ratio of the payment read."""
NAMES = ("shop", "bare Flask", "FastAPI")
CALLS = ("read a payment", "list orders", "place an order")
_CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA")
Send = Callable[[str, str, bytes, str], int]


@dataclass
class Measured:
    """Milliseconds of CPU of each round, by call, and milliseconds until the answer of each call; statements."""

    cpu: list[float] = field(default_factory=list)
    latency: list[float] = field(default_factory=list)
    statements: int = 0


def wsgi(app: Flask, token: str) -> Send:
    """Send a request to a WSGI app; returns its status."""

    def send(method: str, path: str, body: bytes, key: str) -> int:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        headers |= {"Idempotency-Key": key} if key else {}
        kind = "application/json" if body else None
        built = EnvironBuilder(path, "http://localhost", method=method, headers=headers, data=body, content_type=kind)
        found = built.get_environ()
        found |= {"REMOTE_ADDR": "127.0.0.1", "wsgi.errors": io.StringIO()}
        status: list[str] = []
        answer = app(found, lambda text, headers, _=None: status.append(text))
        b"".join(answer)
        if close := getattr(answer, "close", None):
            close()
        return int(status[0][:3])

    return send


def asgi(app: Any, token: str, loop: asyncio.AbstractEventLoop) -> Send:
    """Send a request to an ASGI app; returns its status."""

    def send(method: str, path: str, body: bytes, key: str) -> int:
        headers = [(b"authorization", f"Bearer {token}".encode()), (b"host", b"localhost")]
        headers += [(b"content-type", b"application/json")] if body else []
        path, _, query = path.partition("?")
        scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path}
        scope |= {"raw_path": path.encode(), "query_string": query.encode(), "headers": headers, "scheme": "http"}
        scope |= {"root_path": "", "client": ("127.0.0.1", 1), "server": ("localhost", 80)}
        status: list[int] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def answer(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                status.append(message["status"])

        loop.run_until_complete(app(scope, receive, answer))
        return status[0]

    return send


class Bench:
    """The three apps on one filled database."""

    def __init__(self, url: str, redis_url: str, calls: int) -> None:
        settings = environ(url, redis_url, LOG_FORMAT="json", API_TOKEN_KEY="only for benchmarks " * 3)
        self.app = create_app(settings)
        rate_limits.Policy.most = lambda self, *, is_known: 10**9  # type: ignore[method-assign]
        with self.app.app_context():
            acquirer = Acquirer(clock.now)
            registry.all_providers()["fakepay"] = FakePay(acquirer, "fakepay")
            self.app.extensions["test_acquirer"] = acquirer
            self._fill(Shop(self.app), calls)
            [key], audience = api_tokens._keys().values(), api_tokens._audience()
            ORDERS.metadata.create_all(db.engine)
            engine = db.engine
        (flask_app, flask_engine), (fast, fast_engine) = bare_flask(url, key, audience), fast_api(url, key, audience)
        self.engines = {"shop": engine, "bare Flask": flask_engine, "FastAPI": fast_engine}
        self.sends: dict[str, Send] = {
            "shop": wsgi(self.app, self.token),
            "bare Flask": wsgi(flask_app, self.token),
            "FastAPI": asgi(fast, self.token, asyncio.new_event_loop()),
        }
        self.found = {(name, call): Measured() for name in NAMES for call in CALLS}
        self.number, self.order = 0, random.Random(0)

    def _fill(self, shop: Shop, calls: int) -> None:
        """A customer with 60 orders, half of them paid, and stock for the orders to come."""
        email = account(shop)
        customer = db.session.scalars(db.select(User).where(User.email == email)).one().id
        self.token = log_in(shop, email).json["access_token"]
        for number in range(60):
            shop.restock(PEN)
            order = (shop.paid_order if number % 2 else shop.order)((PEN, 1), customer=customer)
        self.payment = shop.payment(order).id
        with transaction():
            stock.receive(PEN, calls * 2)
        db.session.rollback()

    def round(self, calls: int) -> None:
        """Send `calls` requests of each kind to each app, in turns. Their order is random, because an app is faster
        after one that has used the same libraries.
        """
        for call in CALLS:
            for name in self.order.sample(NAMES, len(NAMES)):
                self._measure(name, call, calls)

    def _measure(self, name: str, call: str, calls: int) -> None:
        requests = [self._request(call) for _ in range(calls)]
        measured, send = self.found[name, call], self.sends[name]
        began = time.process_time()
        for request in requests:
            at = time.perf_counter()
            status = send(*request)
            measured.latency.append((time.perf_counter() - at) * 1000)
            if status >= 300:
                raise SystemExit(f"{name}, {call}: {status}")
        measured.cpu.append((time.process_time() - began) * 1000 / calls)

    def _request(self, call: str) -> tuple[str, str, bytes, str]:
        self.number += 1
        if call == "read a payment":
            return "GET", f"/api/v1/payments/{self.payment}", b"", ""
        if call == "list orders":
            return "GET", "/api/v1/orders?limit=20", b"", ""
        body = {"items": [{"sku": PEN, "quantity": 1}], "currency": "TWD", "email": "ada@example.com"}
        return "POST", "/api/v1/orders", json.dumps(body | {"address": ADDRESS}).encode(), f"{self.number:040d}"

    def count(self) -> None:
        """Count the statements of one call of each kind."""
        for name in NAMES:
            for call in CALLS:
                counted: list[str] = []

                def executed(_connection: Any, _cursor: Any, statement: str, *_: Any, to: list[str] = counted) -> None:
                    if not statement.startswith(_CONTROL):
                        to.append(statement)

                event.listen(self.engines[name], "before_cursor_execute", executed)
                self.sends[name](*self._request(call))
                event.remove(self.engines[name], "before_cursor_execute", executed)
                self.found[name, call].statements = len(counted)

    def rows(self) -> Iterator[tuple[object, ...]]:
        for call in CALLS:
            bare = statistics.median(self.found["bare Flask", call].cpu)
            for name in NAMES:
                measured = self.found[name, call]
                cpu, latency = statistics.median(measured.cpu), measured.latency
                times = (percentile(latency, 50), percentile(latency, 95))
                yield f"{call}: {name}", cpu, *times, measured.statements, bare / cpu

    def ratio(self) -> float:
        """Ratio of the payment read."""
        cpu = {name: statistics.median(self.found[name, CALLS[0]].cpu) for name in NAMES}
        return cpu["bare Flask"] / cpu["shop"]


@contextmanager
def database_of(kind: str, folder: str) -> Iterator[str]:
    """Address of an empty, migrated database."""
    if kind == "sqlite":
        url = f"sqlite:///{folder}/shop.db"
        migrate(url)
        yield url
        return
    server = PostgresServer()
    try:
        yield server.url(server.create(server.template("shop", migrate)))
    finally:
        server.close()


def main() -> int:
    """Run from the command line; 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--calls", type=int, default=20, help="of each kind and app in a round")
    parser.add_argument("--databases", default="sqlite,postgresql")
    args = parser.parse_args()
    report = os.fdopen(os.dup(1), "w")
    with Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), 1)  # log lines are written, and not kept
        os.dup2(nothing.fileno(), 2)
    sys.stdout = report
    is_met = True
    for kind in args.databases.lower().split(","):
        redis = RedisServer()
        try:
            with tempfile.TemporaryDirectory(prefix="settled-api-") as folder, database_of(kind, folder) as url:
                bench = Bench(url, redis.url, (args.rounds + 2) * args.calls)
                bench.round(10)  # warm
                gc.collect()
                gc.freeze()  # as the web process does
                bench.found = {key: Measured() for key in bench.found}
                for _ in range(args.rounds):
                    bench.round(args.calls)
                bench.count()  # last: SQLAlchemy calls an engine that ever had a listener more slowly
                head = ("call: app", "CPU ms", "p50 ms", "p95 ms", "statements", "bare Flask / this (CPU)")
                table(f"API calls, {kind}", [head, *bench.rows()])
                note(f"{kind}: a payment read is {bench.ratio():.2f} of the bare view's speed; goal {GOAL}")
                is_met &= bench.ratio() >= GOAL
        finally:
            redis.close()
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
