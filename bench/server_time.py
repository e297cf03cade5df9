"""Server time of requests that one process sends through the WSGI app, on SQLite and PostgreSQL.

No network and no browser; Redis is real. Time is measured until the response is read. CPU is that of this process and
of PostgreSQL's, which other programs delay but hardly change. The databases are filled once in a folder and
used again, migrated, by the next run.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from flask_migrate import upgrade
from sqlalchemy import event

from bench.filled_shop import FilledShop
from bench.page_requests import Visitor
from bench.tools import note, percentile
from shop.catalogue import search_entries
from shop.core.db import db
from tests.parts.postgres import PostgresServer
from tests.parts.redis_server import RedisServer
from tests.shop_fixtures import migrate

_NOT_COUNTED = ("BEGIN", "COMMIT", "ROLLBACK", "PRAGMA")
_DURABLE = "\nfsync = on\nfull_page_writes = on\nsynchronous_commit = on\nautovacuum = on\nmax_wal_size = 4GB\n"


@dataclass
class Cost:
    """Times and CPU times in milliseconds, and the most statements of one request."""

    HEADING = ("p50 ms", "p99 ms", "CPU p50", "CPU p99", "statements")
    times: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    statements: int = 0

    @property
    def p50(self) -> float:
        return statistics.median(self.times)

    @property
    def p99(self) -> float:
        return percentile(self.times, 99)

    def row(self) -> tuple[float, float, float, float, int]:
        """The values of HEADING."""
        return self.p50, self.p99, statistics.median(self.cpu), percentile(self.cpu, 99), self.statements


class MeasuredShop(FilledShop):
    """A filled shop, and a visitor's browser."""

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
        """Count the CPU time of PostgreSQL's processes that serve this database now, too."""
        with self.app.app_context():
            if db.engine.dialect.name == "postgresql":
                of = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                self._backends = [Path(f"/proc/{pid}/schedstat") for pid in db.session.scalars(db.text(of))]

    @contextmanager
    def measured(self, cost: Cost) -> Iterator[None]:
        """Add the cost of the block."""
        self._sent, cpu, began = 0, self.cpu(), time.perf_counter()
        yield
        cost.times.append((time.perf_counter() - began) * 1000)
        cost.cpu.append(self.cpu() - cpu)
        cost.statements = max(cost.statements, self._sent)

    def cpu(self) -> float:
        """Milliseconds of CPU of this process and of its connections' processes so far."""
        of_backends = sum(int(path.read_text().split()[0]) for path in self._backends)
        return time.process_time() * 1000 + of_backends / 1e6


@contextmanager
def postgres(folder: Path | None = None) -> Iterator[PostgresServer]:
    """A PostgreSQL server that syncs to disk, as in production but for 64 MB of shared buffers. Its data stay in
    `folder`, if there is one.
    """
    server = PostgresServer(folder)
    with (server.folder / "postgresql.conf").open("a") as settings:
        settings.write(_DURABLE)
    server.stop("fast")
    server.start()
    try:
        yield server
    finally:
        server.stop("fast") if folder else server.close()


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that these benchmarks have in common."""
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--databases", default="sqlite,postgresql")
    found.add_argument("--folder", type=Path, required=True, help="keeps the filled databases")
    found.add_argument("--fill", action="store_true", help="only fill")
    found.add_argument("--only", default="", help="a part of the name of what is measured")
    return found


Fill = Callable[[MeasuredShop, int], object]
Measure = Callable[[str, MeasuredShop, int], bool]
"""Given the name of the database, the shop and its size; True when a goal is missed."""


def run(options: argparse.Namespace, name: str, sizes: Sequence[int], fill: Fill, measure: Measure) -> None:
    """Measure shops of these sizes on both kinds of databases; those that no earlier run has filled are filled first.
    Exits with an error when a goal is missed.
    """
    options.folder.mkdir(parents=True, exist_ok=True)
    folder, redis, missed = options.folder.resolve(), RedisServer(), False

    def each(kind: str, url: Callable[[int], str], redis_url: str) -> bool:
        is_missed = False
        for size in sizes:
            shop = _prepared(folder / f"{kind.lower()}-{size}", url(size), redis_url, partial(fill, size=size))
            is_missed |= not options.fill and measure(kind, shop, size)
            with shop.app.app_context():
                db.engine.dispose()
        return is_missed

    try:
        if "sqlite" in options.databases:
            missed |= each("SQLite", lambda size: f"sqlite:///{folder / f'{size}.db'}", redis.url)
        if "postgresql" in options.databases:
            with postgres(folder / "postgresql") as server:
                missed |= each(
                    "PostgreSQL", lambda size: server.url(server.named(f"{name}_{size}")), f"{redis.url}?db=1"
                )
    finally:
        redis.close()
    raise SystemExit("a goal is missed" if missed else 0)


def _prepared(mark: Path, url: str, redis_url: str, fill: Callable[[MeasuredShop], object]) -> MeasuredShop:
    """The shop on a filled database; a new one is filled, one of an earlier run is migrated."""
    is_new, began = not mark.exists(), time.monotonic()
    if is_new:
        migrate(url)
    shop = MeasuredShop(url, redis_url)
    with shop.app.app_context():
        if is_new:
            fill(shop)
            mark.touch()
            note(f"{mark.name} was filled in {time.monotonic() - began:.0f} s")
        else:
            upgrade()
            search_entries.write_stale()
    return shop
