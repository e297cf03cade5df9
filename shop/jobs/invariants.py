"""Invariant checks by the clock, every 30 seconds, on the orders that have changed.

A violation in two consecutive checks is logged, counted and raised as an alert, once; a single one may be work in
progress.
"""

from __future__ import annotations

import json
import time
import zlib
from dataclasses import dataclass, field
from typing import Any

from flask import current_app

from shop.alerts import store
from shop.core import logs, metrics
from shop.core.db import transactional
from shop.integrity import invariants
from shop.integrity.invariants import changed
from shop.integrity.invariants.scope import Scope

log = logs.get()
EVERY = 30.0
"""Seconds between two checks."""
AT_ONCE = 20
"""Rows of one invariant that raise alerts in one check."""
_Broken = dict[tuple[str, str], dict[str, Any]]


@dataclass
class _Last:
    """State of the checks in this process. With two clocks both check; the unique index on alerts prevents
    duplicates.
    """

    checked_at: float = float("-inf")
    before: int | None = None
    position: int = 0
    suspects: list[int] = field(default_factory=list)
    broken: _Broken = field(default_factory=dict)


def _last() -> _Last:
    found: _Last = current_app.extensions.setdefault("settled_invariants", _Last())
    return found


def due() -> list[int]:
    """A single row when a check is due."""
    return [0] if time.monotonic() - _last().checked_at >= EVERY else []


def check_due(_number: int = 0) -> None:
    """Check the changes since the check before the last one, so that every change is checked twice."""
    last = _last()
    last.checked_at = time.monotonic()
    if last.before is None:
        last.before = last.position = changed.newest()
    found = changed.since(last.before)
    orders = sorted({*found.orders, *last.suspects})
    broken: _Broken = {}
    for finding in invariants.check(with_acquirers=False, scope=Scope(orders)):
        for row in finding.rows[:AT_ONCE]:
            row = {name: value if isinstance(value, int | None) else str(value) for name, value in row.items()}
            broken[finding.name, _mark(row)] = {"statement": finding.statement, "row": row}
    for (name, mark), what in broken.items():
        if (name, mark) in last.broken:
            _raise(name, mark, what)
    last.before, last.position = last.position, found.position
    last.suspects, last.broken = orders if broken else [], broken


def _mark(row: dict[str, Any]) -> str:
    """A key that identifies a row."""
    return f"{zlib.crc32(json.dumps(row, sort_keys=True).encode()):08x}"


def _raise(name: str, mark: str, what: dict[str, Any]) -> None:
    cause = store.Cause("OPS_INVARIANT", name, mark, store.WATCH, what["row"], {"holds": what["statement"]})

    if transactional(store.raise_alert)(cause) is not None:
        metrics.INVARIANTS.labels(name).inc()
        log.error("invariant.broken", name=name, **{"row": what["row"]})
