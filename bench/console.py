"""Server time of the staff console's pages with 1,000,000 orders, on SQLite and PostgreSQL.

One process sends the requests of a signed-in admin through the WSGI app, with the template, and measures the time from
the request until the response is read. No network and no browser; Redis is real. Each round requests every address
once, in a shuffled order. CPU is that of this process and of PostgreSQL's, which other programs on the machine delay
but hardly change. The databases are filled once in `--folder` and used again, migrated, by the next run.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

from flask_migrate import upgrade
from sqlalchemy import event

from bench.console_addresses import Address, addresses
from bench.console_history import ADMIN, PASSWORD, fill
from bench.filled_shop import FilledShop
from bench.page_requests import Visitor
from bench.tools import note, percentile, table
from shop.core.db import db
from tests.parts.postgres import PostgresServer
from tests.parts.redis_server import RedisServer
from tests.shop_fixtures import migrate

P50, P99 = 15.0, 50.0
"""Goals in milliseconds."""
_NOT_COUNTED = ("BEGIN", "COMMIT", "ROLLBACK", "PRAGMA")
DURABLE = "fsync = on\nfull_page_writes = on\nsynchronous_commit = on\nautovacuum = on\nmax_wal_size = 4GB\n"


@dataclass
class Measured:
    """A page of an address, its times and CPU times in milliseconds, and the most statements of a request."""

    page: str
    address: Address
    path: str
    times: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    statements: int = 0

    @property
    def misses(self) -> bool:
        limit = self.address.statements
        slow = statistics.median(self.times) > P50 or percentile(self.times, 99) > P99
        return slow or (limit is not None and self.statements > limit)


class Console(FilledShop):
    """The console of a filled shop, and an admin's browser."""

    def __init__(self, database_url: str, redis_url: str) -> None:
        super().__init__(database_url, redis_url)
        self.visitor = Visitor(self.app)
        self.backends: list[Path] = []
        self._sent = 0
        with self.app.app_context():
            event.listen(db.engine, "before_cursor_execute", self._count)

    def _count(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith(_NOT_COUNTED) and "clock_offset" not in statement:  # which only development reads
            self._sent += 1

    def sign_in(self) -> None:
        self.visitor.request("/sign-in")
        form = {"csrf_token": self.visitor.field("csrf_token"), "email": ADMIN, "password": PASSWORD}
        assert self.visitor.request("/sign-in", form).startswith("/"), "not signed in"

    def request(self, path: str) -> str:
        """The page. Raises SystemExit for an error status."""
        return self.visitor.request(path)

    def measure(self, page: Measured, *, counts: bool) -> None:
        """Request a page and add its cost if the request counts."""
        self._sent, cpu, began = 0, self._cpu(), time.perf_counter()
        self.request(page.path)
        took, cpu = (time.perf_counter() - began) * 1000, self._cpu() - cpu
        if counts:
            page.times.append(took)
            page.cpu.append(cpu)
            page.statements = max(page.statements, self._sent)

    def _cpu(self) -> float:
        """Milliseconds of CPU of this process and of its connections' processes so far."""
        return time.process_time() * 1000 + sum(int(path.read_text().split()[0]) for path in self.backends) / 1e6

    def pages(self, address: Address) -> Iterator[Measured]:
        """The pages of an address that exist; the tenth is found by following the links."""
        yield Measured("first", address, address.address)
        path = address.address
        for number in range(2, 11) if "tenth" in address.pages else ():
            path = _link(self.request(path), "next")
            if not path:
                break
            if number == 10:
                yield Measured("tenth", address, path)
        if "last" in address.pages and (path := _link(self.request(address.address), "last")):
            yield Measured("last", address, path)


def _link(page: str, rel: str) -> str:
    found = re.search(rf'<a href="([^"]+)" rel="{rel}"', page)
    return unescape(found[1]) if found else ""


def measure(database: str, console: Console, rounds: int, only: str) -> bool:
    """Print the tables of one database. True if a goal is missed."""
    console.sign_in()
    with console.app.app_context():
        if db.engine.dialect.name == "postgresql":
            pids = db.session.execute(db.text("SELECT pid FROM pg_stat_activity WHERE datname = current_database()"))
            console.backends = [Path(f"/proc/{row[0]}/schedstat") for row in pids]
        wanted = [one for one in addresses() if only in one.group or only in one.address]
    pages = [page for one in wanted for page in console.pages(one)]
    note(f"{database}: {len(pages)} pages, {rounds} rounds; load {os.getloadavg()[0]:.1f}")
    order = random.Random(7)
    for number in range(rounds + 1):
        for page in order.sample(pages, len(pages)):
            console.measure(page, counts=number > 0)  # the first round warms up
    note(f"{database}: load {os.getloadavg()[0]:.1f}")
    _print(database, pages)
    return any(page.misses for page in pages)


def _print(database: str, pages: list[Measured]) -> None:
    heading = ("p50 ms", "p99 ms", "slowest p50", "CPU ms", "most CPU", "statements")
    rows: list[tuple[object, ...]] = [("pages", "number", *heading)]
    for group in dict.fromkeys(page.address.group for page in pages):
        of_group = [page for page in pages if page.address.group == group]
        times = [took for page in of_group for took in page.times]
        slowest = max(statistics.median(page.times) for page in of_group)
        cpu = [statistics.median(page.cpu) for page in of_group]
        most = max(page.statements for page in of_group)
        middle = statistics.median(times), percentile(times, 99), slowest
        rows.append((group, len(of_group), *middle, statistics.median(cpu), max(cpu), most))
    table(f"Console, {database}", rows)
    missed = sorted((page for page in pages if page.misses), key=lambda page: -statistics.median(page.times))
    if missed:
        details = [(page.address.address[:90], page.page, *_times(page), page.statements) for page in missed]
        table(f"Goals missed, {database}", [("address", "page", "p50 ms", "p99 ms", "CPU ms", "statements"), *details])


def _times(page: Measured) -> tuple[float, float, float]:
    return statistics.median(page.times), percentile(page.times, 99), statistics.median(page.cpu)


@contextmanager
def postgres(folder: Path) -> Iterator[PostgresServer]:
    """A PostgreSQL server with its data in `folder`, as in production but for 64 MB of shared buffers."""
    server = PostgresServer(folder)
    with (server.folder / "postgresql.conf").open("a") as settings:
        settings.write(DURABLE)
    server.stop("fast")
    server.start()
    try:
        yield server
    finally:
        server.stop("fast")


def prepared(kind: str, url: str, redis_url: str, folder: Path, orders: int) -> Console:
    """The console on a filled database; a new one is filled, one of an earlier run is migrated."""
    mark = folder / f"{kind}-{orders}"
    if not mark.exists():
        began = time.monotonic()
        migrate(url)
        console = Console(url, redis_url)
        with console.app.app_context():
            fill(console, orders)
        mark.touch()
        note(f"{kind}: {orders:,} orders were made in {time.monotonic() - began:.0f} s")
        return console
    console = Console(url, redis_url)
    with console.app.app_context():
        upgrade()
    return console


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--folder", type=Path, default=Path("var/bench-console"), help="keeps the filled databases")
    parser.add_argument("--fill", action="store_true", help="only fill")
    parser.add_argument("--only", default="", help="a part of the group or of the address of the pages")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    folder, redis, missed = options.folder.resolve(), RedisServer(), False
    try:
        if "sqlite" in options.databases:
            url = f"sqlite:///{folder / f'{options.orders}.db'}"
            console = prepared("sqlite", url, redis.url, folder, options.orders)
            missed |= not options.fill and measure("SQLite", console, options.rounds, options.only)
        if "postgresql" in options.databases:
            with postgres(folder / "postgresql") as server:
                url = server.url(server.named(f"console_{options.orders}"))
                console = prepared("postgresql", url, f"{redis.url}?db=1", folder, options.orders)
                missed |= not options.fill and measure("PostgreSQL", console, options.rounds, options.only)
                with console.app.app_context():
                    db.engine.dispose()
    finally:
        redis.close()
    raise SystemExit("a goal is missed" if missed else 0)


if __name__ == "__main__":
    main()
