"""Databases of generated histories, SQLite and PostgreSQL, with as little overhead as possible.

A history is about four hundred small statements, and most of its time is spent around them: in thread-safe pools,
event listeners, and several engines. Here there is one of each.
"""

from __future__ import annotations

import re
import sqlite3
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import pq
from psycopg.rows import dict_row
from psycopg.types.json import Json
from sqlalchemy import Engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from shop.core import rate_limit
from shop.core.db import LOCK_TIMEOUT, db
from tests.parts.postgres import PostgresServer
from tests.shop_fixtures import migrate

STATEMENTS = 2000
"""Statements that a connection keeps prepared. The drivers' defaults of about 100 are fewer than the shop has."""
VACUUM_EVERY = 25
"""Histories between two removals of deleted rows from PostgreSQL, which has no autovacuum in tests."""


class Drawer(Pool):
    """Connection pool of one thread: hands out an idle connection or opens one."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._spare: list[ConnectionPoolEntry] = []

    def _do_get(self) -> ConnectionPoolEntry:
        return self._spare.pop() if self._spare else self._create_connection()

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        self._spare.append(record)

    def dispose(self) -> None:
        """Close the idle connections."""
        while self._spare:
            self._spare.pop().close()

    def recreate(self) -> Drawer:
        """An emptied pool is as good as a new one."""
        return self


class FastDatabase(ABC):
    """A migrated database for the histories of one process. The world reads and restores it over `raw`, a connection of
    its own that commits each statement.
    """

    raw: Any
    url: str

    def __init__(self) -> None:
        self.opened: list[Any] = []
        self._first_rows: dict[str, list[tuple[Any, ...]]] = {}

    def quicken(self, patch: pytest.MonkeyPatch, engine: Engine, pause: Callable[[], None]) -> None:
        """Make `engine`, for now the only one of this process, call `pause` before each transaction, without
        overhead.
        """

        @event.listens_for(engine, "connect")
        def _opened(connection: Any, _record: Any) -> None:
            self.opened.append(connection)

        @event.listens_for(engine, "close")
        def _closed(connection: Any, _record: Any) -> None:
            self.opened.remove(connection)

        def begin(connection: Any) -> None:
            pause()
            self.begin(connection)

        drawer = Drawer(self.connect, dialect=engine.dialect, reset_on_return=None, _dispatch=engine.pool.dispatch)
        patch.setattr(engine, "pool", drawer)
        for listener in list(engine.dispatch.begin):  # the line above replaces their work
            event.remove(engine, "begin", listener)
        patch.setattr(engine, "_has_events", False)
        patch.setattr(engine.dialect, "do_begin", begin)
        patch.setattr(type(db), "engine", engine)
        patch.setattr(type(db.session()), "get_bind", lambda *_, **__: engine)
        patch.setattr(rate_limit, "wait_for_turn", lambda *_, **__: True)

    def remember(self) -> None:
        """Remember all rows, for `restore`."""
        found = {table.name: self._all_rows(table.name) for table in db.metadata.sorted_tables}
        self._first_rows = {name: rows for name, rows in found.items() if rows}

    def restore(self) -> None:
        """Restore the remembered rows, in one transaction."""
        self.raw.execute("BEGIN")
        self.empty()
        for name, rows in self._first_rows.items():
            places = ", ".join([self.place] * len(rows[0]))
            self.raw.cursor().executemany(f"INSERT INTO {name} VALUES ({places})", rows)
        self.raw.execute("COMMIT")

    def empty(self) -> None:
        """Delete all rows."""
        for table in reversed(db.metadata.sorted_tables):
            self.raw.execute(f"DELETE FROM {table.name}")

    def _all_rows(self, name: str) -> list[tuple[Any, ...]]:
        return list(self.raw.execute(f"SELECT * FROM {name}").fetchall())

    def is_at_rest(self) -> bool:
        """True while no transaction of the shop is open."""
        return all(self.is_idle(connection) for connection in self.opened)

    def close(self) -> None:
        self.raw.close()

    @property
    @abstractmethod
    def place(self) -> str:
        """The driver's placeholder of a value."""

    @abstractmethod
    def connect(self) -> Any:
        """Open a connection for the shop."""

    @abstractmethod
    def begin(self, connection: Any) -> None:
        """Begin a transaction of the shop."""

    @abstractmethod
    def is_idle(self, connection: Any) -> bool:
        """True unless a transaction is open on a connection of the shop."""

    @abstractmethod
    def rows(self, sql: str, values: dict[str, Any]) -> list[dict[str, Any]]:
        """Committed rows. Times among `values` are aware."""

    @abstractmethod
    def version(self) -> int:
        """A number that changes with every commit of the shop."""


class SqliteDatabase(FastDatabase):
    """A SQLite file in `folder`."""

    place = "?"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.file = folder / "shop.db"
        self.url = f"sqlite:///{self.file}"
        migrate(self.url)
        self.raw = sqlite3.connect(self.file, isolation_level=None)
        for (name,) in self.raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            self.raw.execute(f"DROP TRIGGER {name}")  # they would keep `empty` from the audit log

    def connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.file, LOCK_TIMEOUT, check_same_thread=False, cached_statements=STATEMENTS)

    def quicken(self, patch: pytest.MonkeyPatch, engine: Engine, pause: Callable[[], None]) -> None:
        """As above, and without waiting for the disk."""

        @event.listens_for(engine, "connect")
        def _trust_the_machine(connection: Any, _record: Any) -> None:
            connection.execute("PRAGMA synchronous=OFF")

        super().quicken(patch, engine, pause)

    def begin(self, connection: Any) -> None:
        connection.execute("BEGIN")

    def is_idle(self, connection: Any) -> bool:
        return not connection.in_transaction

    def rows(self, sql: str, values: dict[str, Any]) -> list[dict[str, Any]]:
        bound = {name: stored(value) if isinstance(value, datetime) else value for name, value in values.items()}
        found = self.raw.execute(sql, bound)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found]

    def version(self) -> int:
        return int(self.raw.execute("PRAGMA data_version").fetchone()[0])


class PostgresDatabase(FastDatabase):
    """A database on a PostgreSQL server. A wait for a lock fails after a second: in a single thread it has no end."""

    place = "%s"

    def __init__(self, server: PostgresServer) -> None:
        super().__init__()
        self.url = server.url(server.create(server.template("shop", migrate)))
        self._address = make_url(self.url).set(drivername="postgresql").render_as_string()
        self.raw = self.connect()
        self.raw.autocommit = True
        self._in_dicts = self.raw.cursor(row_factory=dict_row)
        self._counters: list[tuple[str, int | None]] = []
        self._restored = 0

    def connect(self) -> psycopg.Connection[Any]:
        settings = "-c lock_timeout=1s -c synchronous_commit=off"
        connection = psycopg.connect(self._address, prepare_threshold=1, options=settings)
        connection.prepared_max = STATEMENTS
        return connection

    def quicken(self, patch: pytest.MonkeyPatch, engine: Engine, pause: Callable[[], None]) -> None:
        """As above, and without the driver's loss of all prepared statements after each rollback."""

        def roll_back(connection: psycopg.Connection[Any]) -> None:
            if not self.is_idle(connection):
                connection.pgconn.exec_(b"ROLLBACK")

        patch.setattr(engine.dialect, "do_rollback", roll_back)
        super().quicken(patch, engine, pause)

    def begin(self, connection: Any) -> None:
        """The driver begins with the first statement."""

    def is_idle(self, connection: Any) -> bool:
        return bool(connection.pgconn.transaction_status == pq.TransactionStatus.IDLE)

    def rows(self, sql: str, values: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._in_dicts.execute(_in_format_style(sql), values).fetchall()
        return found

    def version(self) -> int:
        return int(self.raw.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text").fetchone()[0])

    def remember(self) -> None:
        super().remember()
        self._counters = self.raw.execute("SELECT sequencename, last_value FROM pg_sequences").fetchall()

    def restore(self) -> None:
        """As above, with the numbers of new rows."""
        super().restore()
        setval = ", ".join(f"setval('{name}', {last or 1}, {last is not None})" for name, last in self._counters)
        self.raw.execute(f"SELECT {setval}")
        self._restored += 1
        if self._restored % VACUUM_EVERY == 0:
            self.raw.execute("VACUUM")

    def empty(self) -> None:
        """As above, in one round trip, without the triggers that protect the audit log."""
        role = "SET LOCAL session_replication_role = "
        deletions = [f"DELETE FROM {table.name}" for table in reversed(db.metadata.sorted_tables)]
        self.raw.execute(";".join([f"{role}replica", *deletions, f"{role}origin"]))

    def _all_rows(self, name: str) -> list[tuple[Any, ...]]:
        found = self.raw.execute(f"SELECT * FROM {name}")
        return [tuple(map(_as_parameter, row)) for row in found]


@cache
def _in_format_style(sql: str) -> str:
    """A statement with `%(name)s` instead of `:name`."""
    return re.sub(r"(?<![:\w]):([a-z]\w*)", r"%(\1)s", sql.replace("%", "%%"))


def _as_parameter(value: Any) -> Any:
    return Json(value) if isinstance(value, dict | list) else value


def stored(at: datetime) -> str:
    """A time in SQLite's format."""
    return at.strftime("%Y-%m-%d %H:%M:%S.%f")


def parsed(at: str | datetime) -> datetime:
    """A time as the database returns it to the world."""
    return datetime.fromisoformat(at).replace(tzinfo=UTC) if isinstance(at, str) else at


@contextmanager
def sqlite() -> Iterator[FastDatabase]:
    """A SQLite database in a folder of its own, in memory where possible."""
    memory = Path("/dev/shm")
    made_in = memory if memory.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="settled-history-", dir=made_in) as folder:
        yield SqliteDatabase(Path(folder))


@contextmanager
def postgresql() -> Iterator[FastDatabase]:
    """A database on a PostgreSQL server of its own."""
    server = PostgresServer()
    try:
        yield PostgresDatabase(server)
    finally:
        server.close()


DATABASES = {"sqlite": sqlite, "postgresql": postgresql}
