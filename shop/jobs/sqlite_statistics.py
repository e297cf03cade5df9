"""Statistics of SQLite's planner, which nothing else collects: without them it takes every index of a table for equally
selective. PostgreSQL's autovacuum collects its own.
"""

from __future__ import annotations

import time

from flask import current_app
from sqlalchemy import text

from shop.core import logs
from shop.core.db import Base, db, transactional

log = logs.get()
EVERY = 6 * 3600.0
"""Seconds between two collections; the first one is made when the clock starts."""
ROWS_OF_AN_INDEX = 1_000
"""Rows that are read of each index: a collection takes less than a second with a million orders."""
SMALL = 1_000
"""Rows of a table below which it has no statistics, because they would call it small long after it has grown."""
_COLLECTED_AT = "settled_statistics_collected_at"


def due() -> list[int]:
    """A single row when statistics are due."""
    last = current_app.extensions.get(_COLLECTED_AT, float("-inf"))
    return [0] if db.engine.dialect.name == "sqlite" and time.monotonic() - last >= EVERY else []


def collect(_number: int = 0) -> None:
    """Collect the statistics of all tables, each in a transaction of its own. Safe to repeat. Other connections read
    them when they are opened.
    """
    current_app.extensions[_COLLECTED_AT] = began = time.monotonic()
    for name in Base.metadata.tables:
        _collect(name)
    log.info("statistics.collected", seconds=round(time.monotonic() - began, 2))


@transactional
def _collect(name: str) -> None:
    db.session.execute(text(f"PRAGMA analysis_limit={ROWS_OF_AN_INDEX}"))
    db.session.execute(text(f"ANALYZE {name}"))
    small = "DELETE FROM sqlite_stat1 WHERE tbl = :name AND CAST(stat AS INTEGER) < :small"
    db.session.execute(text(small), {"name": name, "small": SMALL})
