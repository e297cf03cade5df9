"""Detection of a database that accepts no writes: a standby, read-only, or a full disk."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from typing import Any

from flask import current_app
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shop.core.db import db

_SQLSTATES = frozenset({"25006", "53000", "53100"})
"""Read-only transaction, insufficient resources, disk full."""
_SQLITE_CODES = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})
_QUERY_EVERY = 2.0
_REMEMBERED = 10.0  # seconds for which a failed write counts as "not writable"


@dataclass
class _Seen:
    queried_at: float = float("-inf")
    answer: bool = True
    failed_at: float = float("-inf")


def refuses_writes(error: BaseException | None) -> bool:
    """True if `error` means that the database accepts no writes now."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if getattr(cause, "sqlstate", None) in _SQLSTATES:
        return True
    code = getattr(cause, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF in _SQLITE_CODES


def note_failure() -> None:
    """Record that a write has just failed with an error for which `refuses_writes` is true."""
    _seen().failed_at = time.monotonic()


def is_writable() -> bool:
    """True if a write is possible. Queries at most every two seconds, and never waits for a lock.

    Raises SQLAlchemyError when the database is away.
    """
    seen, at = _seen(), time.monotonic()
    if at - seen.queried_at >= _QUERY_EVERY:
        seen.answer, seen.queried_at = _query(), at
    return seen.answer and at - seen.failed_at >= _REMEMBERED


def _seen() -> _Seen:
    found: _Seen = current_app.extensions.setdefault("settled_writable", _Seen())
    return found


def _query() -> bool:
    if db.engine.dialect.name == "postgresql":
        query = text("SELECT current_setting('transaction_read_only') = 'off' AND NOT pg_is_in_recovery()")
        writable = bool(db.session.scalar(query))
        db.session.rollback()
        return writable
    return _sqlite_begins(db.engine.url.database)


def _sqlite_begins(path: Any) -> bool:
    """True if a writing transaction can begin. One that waits for another writer could."""
    if not path or path == ":memory:":
        return True
    try:
        connection = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        finally:
            connection.close()
    except sqlite3.Error as error:
        return not refuses_writes(error)
    return True
