"""Server time of the catalogue and of product search with 200 and with 100,000 products, on SQLite and PostgreSQL.

One process sends a visitor's requests through the WSGI app, with the template, and measures the time from the request
until the response is read. No network and no browser; Redis is real. Each request searches for another word of its
kind, in a shuffled order. CPU is that of this process and of PostgreSQL's. The databases are filled once in `--folder`
and used again, migrated, by the next run.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from flask_migrate import upgrade
from sqlalchemy import event

from bench.console import postgres
from bench.filled_shop import FilledShop
from bench.many_products import CATEGORIES, fill, vocabularies
from bench.page_requests import Visitor
from bench.tools import note, percentile, table
from shop.catalogue import search_entries
from shop.core.db import db
from tests.parts.redis_server import RedisServer
from tests.shop_fixtures import migrate

GOAL_OF_SEARCH, GOAL_OF_CATALOGUE = 20.0, 10.0
"""Milliseconds: the 99th percentile of each search, and the median of the catalogue with 200 products."""
SMALL = 200
_NOT_COUNTED = ("BEGIN", "COMMIT", "ROLLBACK", "PRAGMA")
Path_ = Callable[[random.Random], str]


@dataclass
class Measured:
    """A kind of request, with its times and CPU times in milliseconds, and the most statements of one."""

    name: str
    path: Path_
    times: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    statements: int = 0


class Shop(FilledShop):
    """A shop with many products, and a visitor's browser."""

    def __init__(self, database_url: str, redis_url: str) -> None:
        super().__init__(database_url, redis_url)
        self.visitor = Visitor(self.app)
        self._backends: list[Path] = []
        self._sent = 0
        with self.app.app_context():
            event.listen(db.engine, "before_cursor_execute", self._count)

    def _count(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith(_NOT_COUNTED) and "clock_offset" not in statement:  # which only development reads
            self._sent += 1

    def find_backends(self) -> None:
        with self.app.app_context():
            if db.engine.dialect.name == "postgresql":
                pids = db.session.execute(
                    db.text("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
                )
                self._backends = [Path(f"/proc/{row[0]}/schedstat") for row in pids]

    def measure(self, kind: Measured, path: str, *, counts: bool) -> None:
        """Request a page and add its cost if the request counts."""
        self._sent, cpu, began = 0, self._cpu(), time.perf_counter()
        self.visitor.request(path)
        took, cpu = (time.perf_counter() - began) * 1000, self._cpu() - cpu
        if counts:
            kind.times.append(took)
            kind.cpu.append(cpu)
            kind.statements = max(kind.statements, self._sent)

    def _cpu(self) -> float:
        """Milliseconds of CPU of this process and of its connections' processes so far."""
        return time.process_time() * 1000 + sum(int(path.read_text().split()[0]) for path in self._backends) / 1e6


def searches() -> list[Measured]:
    """Kinds of requests. Words are those of the texts, by the frequency that they have there."""
    of = vocabularies()
    english, chinese, japanese = (of[locale].words for locale in ("en", "zh_Hant", "ja"))

    def kind(name: str, q: Callable[[random.Random], str], **more: str) -> Measured:
        return Measured(name, lambda dice: f"/?{urlencode({'q': q(dice), **more})}")

    def frequent(dice: random.Random) -> str:
        return english[dice.randrange(8)]

    def usual(dice: random.Random) -> str:
        return english[dice.randrange(40, 400)]

    def typing_error(dice: random.Random) -> str:
        word = english[dice.randrange(40, 4000)] + "te"
        at = dice.randrange(1, len(word) - 1)
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]

    def of_kind(dice: random.Random) -> str:
        return f"/?category=kind-{dice.randrange(CATEGORIES)}"

    return [
        Measured("catalogue", lambda _: "/"),
        Measured("category", of_kind),
        Measured("category by price, in stock", lambda dice: f"{of_kind(dice)}&sort=price&stock=in"),
        kind("word of most products", frequent),
        kind("word", usual),
        kind("rare word", lambda dice: english[dice.randrange(3000, 6000)]),
        kind("beginning of a word", lambda dice: usual(dice)[:3]),
        kind("two words", lambda dice: f"{usual(dice)} {usual(dice)}"),
        kind("typing error", typing_error),
        kind("Chinese", lambda dice: chinese[dice.randrange(10, 2000)]),
        kind("Chinese character", lambda dice: chinese[dice.randrange(10, 2000)][0]),
        kind("Japanese", lambda dice: japanese[dice.randrange(10, 2000)]),
        kind(
            "category, price, in stock, by price", usual, category="kind-2", price_from="500", stock="in", sort="price"
        ),
        kind("frequent, by price", frequent, sort="price-desc"),
        kind("frequent, by name", frequent, sort="name"),
        kind("usual, by name", usual, sort="name"),
        kind("frequent, narrow price", frequent, price_from="500", price_to="510"),
        kind("newest", usual, sort="newest"),
        kind("frequent, page 10", frequent, page="10"),
        kind("frequent, page 10 by price", frequent, page="10", sort="price"),
    ]


def measure(title: str, shop: Shop, kinds: list[Measured], requests: int) -> None:
    """Send the requests of all kinds in a shuffled order, and print the table."""
    dice = random.Random(7)
    for kind in kinds:  # warms up
        for _ in range(5):
            shop.measure(kind, kind.path(dice), counts=False)
    shop.find_backends()
    before = os.getloadavg()[0]
    for kind in dice.sample(kinds * requests, len(kinds) * requests):
        shop.measure(kind, kind.path(dice), counts=True)
    rows: list[tuple[object, ...]] = [("request", "p50 ms", "p99 ms", "CPU p50", "CPU p99", "statements")]
    for kind in kinds:
        times = (statistics.median(kind.times), percentile(kind.times, 99))
        cpu = (statistics.median(kind.cpu), percentile(kind.cpu, 99))
        rows.append((kind.name, *times, *cpu, kind.statements))
    table(f"{title}; {requests} requests each; load {before:.1f} to {os.getloadavg()[0]:.1f}", rows)


def prepared(url: str, redis_url: str, mark: Path, products: int) -> Shop:
    """A shop on a filled database; a new one is filled, one of an earlier run is migrated."""
    if not mark.exists():
        migrate(url)
    shop = Shop(url, redis_url)
    with shop.app.app_context():
        if mark.exists():
            upgrade()
            search_entries.write_stale()
        else:
            began = time.monotonic()
            fill(products)
            mark.touch()
            note(f"{mark.name}: {products:,} products were made in {time.monotonic() - began:.0f} s")
    return shop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=200, help="of each kind")
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--folder", type=Path, required=True, help="keeps the filled databases")
    parser.add_argument("--fill", action="store_true", help="only fill")
    parser.add_argument("--only", default="", help="a part of the name of the kinds of requests")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    folder, redis, missed = options.folder.resolve(), RedisServer(), False

    def run(database: str, url: Callable[[int], str], at: int) -> bool:
        is_missed = False
        for products in (SMALL, options.products):
            mark = folder / f"{database.lower()}-{products}"
            shop = prepared(url(products), f"{redis.url}?db={at}", mark, products)
            kinds = [kind for kind in searches() if options.only in kind.name]
            kinds = kinds[:2] if products == SMALL else kinds
            if not options.fill and kinds:
                measure(f"{database}, {products:,} products", shop, kinds, options.requests)
                medians, highest = (
                    [statistics.median(k.times) for k in kinds],
                    [percentile(k.times, 99) for k in kinds],
                )
                is_small = products == SMALL
                is_missed |= max(medians) > GOAL_OF_CATALOGUE if is_small else max(highest) > GOAL_OF_SEARCH
            with shop.app.app_context():
                db.engine.dispose()
        return is_missed

    try:
        if "sqlite" in options.databases:
            missed |= run("SQLite", lambda products: f"sqlite:///{folder / f'{products}.db'}", 0)
        if "postgresql" in options.databases:
            with postgres(folder / "postgresql") as server:
                missed |= run("PostgreSQL", lambda products: server.url(server.named(f"products_{products}")), 1)
    finally:
        redis.close()
    raise SystemExit("a goal is missed" if missed else 0)


if __name__ == "__main__":
    main()
