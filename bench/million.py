"""Cost of webhooks, polling, pages and `flask check` with 10,000 and with 1,000,000 orders.

One process holds both shops and measures them in turns, so that other load affects both. The orders are copies of a few
that were placed and paid normally (bench/copy_orders.py), plus a few hundred open ones. The acquirer is the tests'
fake,
in the same process: only the shop is measured.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import event

from bench.copy_orders import copy_orders
from bench.filled_shop import FilledShop, bulk
from bench.server_time import postgres
from bench.tools import note, table
from shop.core import clock
from shop.core.db import db, transaction
from shop.core.money import Money
from shop.integrity import invariants
from shop.integrity.invariants import acquirer, changed
from shop.integrity.invariants.scope import EVERYTHING, Scope
from shop.inventory import stock
from shop.orders.models import Order
from shop.payments.records.models import Capture
from shop.payments.refunds import requests
from tests.parts.redis_server import RedisServer
from tests.shop_fixtures import PEN, migrate

SHARES = {"paid": 0.80, "expired": 0.15, "refunded": 0.05}
ROUNDS, EACH = 8, 20
"""Number of turns of the two shops, and of webhooks or polled payments in each turn."""
GOAL = 1.15


class Scale(FilledShop):
    """A shop with many finished orders, and its measurements."""

    def __init__(self, name: str, database_url: str, redis_url: str) -> None:
        self.name = name
        migrate(database_url)
        super().__init__(database_url, redis_url)
        self.costs: dict[str, list[float]] = {}
        self.statements: dict[str, list[int]] = {}
        self._ran = 0
        with self.app.app_context():
            event.listen(db.engine, "before_cursor_execute", self._count)

    def _count(self, *_: Any) -> None:
        self._ran += 1

    def fill(self, count: int) -> None:
        """Add `count` finished orders."""
        with self.app.app_context():
            with transaction():
                stock.receive(PEN, 10_000)
            patterns = [(self._pattern(name).id, share) for name, share in SHARES.items()]
            with bulk(db.engine):
                for order_id, share in sorted(patterns, key=lambda pattern: pattern[1]):
                    copy_orders(order_id, round(count * share) - 1)

    def _pattern(self, name: str) -> Order:
        order = self.shop.order((PEN, 1))
        payment = self.shop.payment(order)
        if name == "expired":
            self.shop.turn(minutes=31)
        else:
            self.shop.acquirer.capture(payment.id)
            self.shop.deliver_webhook(payment)
        if name == "refunded":
            capture = db.session.scalars(db.select(Capture).where(Capture.payment_id == payment.id)).one()
            requests.request(capture.id, Money(capture.amount, capture.currency), reason="", by=self.shop.sam)
        for _ in range(4):
            self.shop.turn(minutes=2)
        for _ in range(3):
            self.shop.turn(days=1, seconds=1)
        db.session.rollback()
        return db.session.get_one(Order, order.id)

    @contextmanager
    def measured(self, what: str, share: int = 1) -> Iterator[None]:
        """Record milliseconds and statements, divided by `share`."""
        before, began = self._ran, time.perf_counter()
        yield
        self.costs.setdefault(what, []).append((time.perf_counter() - began) * 1000 / share)
        self.statements.setdefault(what, []).append(round((self._ran - before) / share))

    # --- what is measured ---

    def webhooks(self) -> None:
        """Apply webhooks that pay orders, each posted to the shop's own address."""
        client = self.app.test_client()
        with self.app.app_context():
            orders = [self.shop.order((PEN, 1)) for _ in range(EACH)]
            payments = [self.shop.payment(order) for order in orders]
            for payment in payments:
                self.shop.acquirer.capture(payment.id)
            webhooks = [self.shop.acquirer.webhook(payment.id, f"event-{payment.id}") for payment in payments]
            tokens = [order.token for order in orders[:5]]
        for headers, body in webhooks:
            with self.measured("settle by a webhook"):
                assert client.post("/webhooks/fakepay", headers=headers, data=body).status_code == 200
        with self.app.app_context():
            self.shop.sweep()
        for token in tokens:
            with self.measured("order page"):
                assert client.get(f"/orders/{token}").status_code == 200

    def sweeps(self) -> None:
        """Poll due payments that have been captured without a webhook."""
        with self.app.app_context():
            self.shop.turn(minutes=1)
            with self.measured("a look that finds nothing"):
                self.shop.sweep()
            orders = [self.shop.order((PEN, 1)) for _ in range(EACH)]
            for order in orders:
                self.shop.acquirer.capture(self.shop.payment(order).id)
            self.shop.sweep()
            clock.advance(timedelta(seconds=10))
            with self.measured("sweep, each of its payments", EACH):
                self.shop.sweep()
            assert all(self.shop.state(order) == "PAID" for order in orders)

    def changed(self) -> None:
        """Check the invariants of the orders that changed in the last turn, as the clock does."""
        with self.app.app_context():
            found = changed.since(changed.newest() - 4 * EACH)
            with self.measured("invariants of what has changed"):
                assert all(f.holds for f in invariants.check(with_acquirers=False, scope=Scope(found.orders)))

    def check(self) -> None:
        """Check all invariants, and each one alone."""
        with self.app.app_context(), self.measured("all invariants"):
            for name, _, rule in invariants.RULES:
                if rule is not acquirer.captured_as_there:
                    EVERYTHING.prepare()
                    began = time.perf_counter()
                    broken = rule(EVERYTHING)
                    self.costs.setdefault(f"  {name}", []).append((time.perf_counter() - began) * 1000)
                    assert not broken, (name, broken[:3])
            db.session.rollback()


def compare(kind: str, sizes: tuple[int, int], urls: Callable[[int], str], redis_url: str) -> None:
    scales = []
    for number, size in enumerate(sizes):
        scale = Scale(f"{size:,}", urls(size), f"{redis_url}?db={number}")
        began = time.monotonic()
        scale.fill(size)
        note(f"{kind}: {size:,} orders were made in {time.monotonic() - began:.0f} s")
        scales.append(scale)
    for turn in range(ROUNDS + 1):
        for part in (Scale.webhooks, Scale.sweeps, Scale.changed):
            for scale in scales:
                part(scale)
        if turn == 0:  # compile statements once before measuring
            for scale in scales:
                scale.costs.clear()
                scale.statements.clear()
    for scale in scales:
        scale.check()
    rows: list[tuple[object, ...]] = [("ms", *(s.name for s in scales), "ratio", "statements of the session")]
    for what in scales[0].costs:
        small, large = (statistics.median(s.costs[what]) for s in scales)
        ran = [round(statistics.median(s.statements[what])) for s in scales if what in s.statements]
        rows.append((what, small, large, large / small, "/".join(map(str, dict.fromkeys(ran)))))
    table(f"{kind}: {sizes[0]:,} and {sizes[1]:,} finished orders, medians", rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10000,1000000")
    parser.add_argument("--databases", default="sqlite,postgresql")
    options = parser.parse_args()
    small, large = (int(size) for size in options.sizes.split(","))
    redis = RedisServer()
    try:
        if "sqlite" in options.databases:
            with tempfile.TemporaryDirectory(prefix="settled-million-") as folder:
                compare("SQLite", (small, large), lambda size: f"sqlite:///{Path(folder) / f'{size}.db'}", redis.url)
        if "postgresql" in options.databases:
            with postgres() as server:
                compare("PostgreSQL", (small, large), lambda _: server.url(server.create()), redis.url)
    finally:
        redis.close()


if __name__ == "__main__":
    main()
