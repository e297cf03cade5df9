"""Locks that give one process exclusive access: migrations and seeding.

On PostgreSQL a transaction-level advisory lock, which also works behind PgBouncer in transaction mode; on SQLite an
exclusive lock on a file beside the database. Both are released when the process ends.
"""

from __future__ import annotations

import fcntl
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.orm import Session, scoped_session

_NO_TIMEOUTS = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")


@contextmanager
def exclusive(engine: Engine, name: str) -> Iterator[None]:
    """Wait until no other process holds this name, then run the block.

    The lock uses its own connection, so the block may commit.
    """
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection, connection.begin():
            for timeout in _NO_TIMEOUTS:
                connection.execute(text(f"SET LOCAL {timeout} = 0"))
            _lock(connection, name)
            yield
        return
    database = engine.url.database
    if not database or database == ":memory:":
        yield
        return
    path = Path(database)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.{name}-lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def alone_until_commit(session: Session | scoped_session[Any], name: str) -> None:
    """Wait for the lock `name`; it is held until the current transaction ends. SQLite has one writer anyway."""
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        _lock(connection, name)


def _lock(connection: Connection, name: str) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": zlib.crc32(f"settled {name}".encode())})
