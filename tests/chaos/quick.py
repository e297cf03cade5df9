"""What makes a world fast without making it another one: a cheaper way to the same database.

A life is some four hundred small statements, and most of its time is spent around them: in pools that could serve many
threads, in events that could have many listeners, in engines that could be several. There is one of each here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from shop.core import rate
from shop.core.db import LOCK_PATIENCE, db

STATEMENTS = 2000
"""Statements that a connection keeps prepared. Python's default of 128 is less than the shop has."""


class Drawer(Pool):
    """Connections of one thread: whoever wants one takes what lies there, or makes another."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._spare: list[ConnectionPoolEntry] = []

    def _do_get(self) -> ConnectionPoolEntry:
        return self._spare.pop() if self._spare else self._create_connection()

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        self._spare.append(record)

    def dispose(self) -> None:
        """Close what lies there."""
        while self._spare:
            self._spare.pop().close()

    def recreate(self) -> Drawer:
        """Emptied, it is as good as a new one."""
        return self


def quicken(patch: pytest.MonkeyPatch, engine: Engine, file: Path, pause: Callable[[], None]) -> None:
    """Let `engine`, the only one of this process for now, begin with `pause` and waste nothing."""

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(file, LOCK_PATIENCE, check_same_thread=False, cached_statements=STATEMENTS)

    @event.listens_for(engine, "connect")
    def _trust_the_machine(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    def begin(connection: Any) -> None:
        pause()
        connection.execute("BEGIN IMMEDIATE" if db.session().info.get("writing") else "BEGIN")

    drawer = Drawer(connect, dialect=engine.dialect, reset_on_return=None, _dispatch=engine.pool.dispatch)
    patch.setattr(engine, "pool", drawer)
    for listener in list(engine.dispatch.begin):  # what they do, the line above does, without looking for others
        event.remove(engine, "begin", listener)
    patch.setattr(engine, "_has_events", False)
    patch.setattr(engine.dialect, "do_begin", begin)
    patch.setattr(type(db), "engine", engine)
    patch.setattr(type(db.session()), "get_bind", lambda *_, **__: engine)
    patch.setattr(rate, "wait_for_turn", lambda *_, **__: True)
