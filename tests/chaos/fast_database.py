"""Faster database access for generated histories.

A history is about four hundred small statements, and most of its time is spent around them: in thread-safe pools,
event listeners, and several engines. Here there is one of each.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from shop.core import rate_limit
from shop.core.db import LOCK_TIMEOUT, db

STATEMENTS = 2000
"""Statements that a connection keeps prepared. Python's default of 128 is fewer than the shop has."""


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


def quicken(patch: pytest.MonkeyPatch, engine: Engine, file: Path, pause: Callable[[], None]) -> None:
    """Make `engine`, for now the only one of this process, call `pause` before each transaction, without overhead."""

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(file, LOCK_TIMEOUT, check_same_thread=False, cached_statements=STATEMENTS)

    @event.listens_for(engine, "connect")
    def _trust_the_machine(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    def begin(connection: Any) -> None:
        pause()
        connection.execute("BEGIN IMMEDIATE" if db.session().info.get("writing") else "BEGIN")

    drawer = Drawer(connect, dialect=engine.dialect, reset_on_return=None, _dispatch=engine.pool.dispatch)
    patch.setattr(engine, "pool", drawer)
    for listener in list(engine.dispatch.begin):  # the line above replaces their work
        event.remove(engine, "begin", listener)
    patch.setattr(engine, "_has_events", False)
    patch.setattr(engine.dialect, "do_begin", begin)
    patch.setattr(type(db), "engine", engine)
    patch.setattr(type(db.session()), "get_bind", lambda *_, **__: engine)
    patch.setattr(rate_limit, "wait_for_turn", lambda *_, **__: True)
