"""Write the log of API calls: requests add to a bounded queue, and a thread of the process writes it in batches.

A call never waits for the database nor fails because of the log. When the queue is full, or a batch cannot be written,
its calls are dropped and counted. A process that is killed loses the calls of its last moment.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import Any

from flask import Flask, current_app
from sqlalchemy import insert
from sqlalchemy.exc import InterfaceError, OperationalError

from shop.api_log.models import ApiCall
from shop.core import logs, metrics
from shop.core.db import db, table, transaction

log = logs.get()
LONGEST_BODY = 4000
"""Characters of a body that are kept."""
WAITING = 5000
"""Calls that wait to be written; more are dropped."""
EVERY = 1.0
"""Seconds between two batches."""
_BATCH = 500
_INSERT = insert(table(ApiCall))


class _Writer:
    """Queue of a process, and its thread, which is started by the first call."""

    def __init__(self) -> None:
        self.waiting: deque[dict[str, Any]] = deque()
        self.pid = 0
        self.starting = threading.Lock()


def _writer(app: Flask) -> _Writer:
    found: _Writer | None = app.extensions.get("settled_api_log")
    return app.extensions.setdefault("settled_api_log", _Writer()) if found is None else found


def add(call: dict[str, Any]) -> None:
    """Add a call, by the columns of ApiCall without `id`. Writes nothing yet."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    writer = _writer(app)
    if len(writer.waiting) >= WAITING:
        metrics.LOST_LINES.labels("api_log").inc()
        return
    writer.waiting.append(call)
    if writer.pid != os.getpid() and not app.config["TESTING"]:
        _start(app, writer)


def flush() -> int:
    """Write the calls that wait; returns their number."""
    waiting, written = _writer(current_app._get_current_object()).waiting, 0  # type: ignore[attr-defined]
    while waiting:
        batch = [waiting.popleft() for _ in range(min(_BATCH, len(waiting)))]
        try:
            _insert(batch)
            written += len(batch)
        except (OperationalError, InterfaceError) as error:  # the database is away for each of them
            _lose(batch, error)
        except Exception:  # noqa: BLE001 - the log must not end the thread
            written += sum(map(_is_written, batch))
    return written


def _is_written(call: dict[str, Any]) -> bool:
    """Write one call of a batch that was refused: a call that the database does not take loses no other one."""
    try:
        _insert([call])
    except Exception as error:  # noqa: BLE001
        _lose([call], error)
        return False
    return True


def _insert(calls: list[dict[str, Any]]) -> None:
    with transaction():
        db.session.execute(_INSERT, calls)


def _lose(calls: list[dict[str, Any]], error: Exception) -> None:
    metrics.LOST_LINES.labels("api_log").inc(len(calls))
    log.warning("api_log.lost", calls=len(calls), error=type(error).__name__)


def _start(app: Flask, writer: _Writer) -> None:
    """Start the thread once in a process; a forked process has none of its parent's."""
    with writer.starting:
        if writer.pid == os.getpid():
            return
        writer.pid = os.getpid()
    threading.Thread(target=_run, args=(app,), name="api-log", daemon=True).start()


def _run(app: Flask) -> None:
    while True:
        time.sleep(EVERY)
        if _writer(app).waiting:
            with app.app_context():
                flush()
