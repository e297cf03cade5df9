"""The invariants by the clock: every half minute it looks at the orders that have changed.

What is broken at two looks in a row was not just on its way: it is logged, counted, and raised as an alert, once.
"""

from __future__ import annotations

import json
import time
import zlib
from dataclasses import dataclass, field
from typing import Any

from flask import current_app

from shop.alerts import desk
from shop.core import logs, metrics
from shop.core.db import retried, writing
from shop.reports import invariants
from shop.reports.invariants import changed
from shop.reports.invariants.scope import Scope

log = logs.get()
EVERY = 30.0
"""Seconds between two looks."""
AT_ONCE = 20
"""Rows of one invariant that become alerts at one look."""
_Broken = dict[tuple[str, str], dict[str, Any]]


@dataclass
class _Last:
    """What this process saw last. Two clocks both look, which costs little; the alerts' own index keeps them once."""

    looked: float = float("-inf")
    before: int | None = None
    position: int = 0
    suspects: list[int] = field(default_factory=list)
    broken: _Broken = field(default_factory=dict)


def _last() -> _Last:
    found: _Last = current_app.extensions.setdefault("settled_invariants", _Last())
    return found


def due() -> list[int]:
    """One number when it is time to look."""
    return [0] if time.monotonic() - _last().looked >= EVERY else []


def look(_number: int = 0) -> None:
    """Look at what has changed since the look before the last one, so that everything is looked at twice."""
    last = _last()
    last.looked = time.monotonic()
    if last.before is None:
        last.before = last.position = changed.newest()
    found = changed.since(last.before)
    orders = sorted({*found.orders, *last.suspects})
    broken: _Broken = {}
    for finding in invariants.check(ask_acquirer=False, scope=Scope(orders)):
        for row in finding.rows[:AT_ONCE]:
            row = {name: value if isinstance(value, int | None) else str(value) for name, value in row.items()}
            broken[finding.name, _mark(row)] = {"says": finding.says, "row": row}
    for (name, mark), what in broken.items():
        if (name, mark) in last.broken:
            _raise(name, mark, what)
    last.before, last.position = last.position, found.position
    last.suspects, last.broken = orders if broken else [], broken


def _mark(row: dict[str, Any]) -> str:
    """Tells one row from another."""
    return f"{zlib.crc32(json.dumps(row, sort_keys=True).encode()):08x}"


def _raise(name: str, mark: str, what: dict[str, Any]) -> None:
    cause = desk.Cause("OPS_INVARIANT", name, mark, desk.WATCH, what["row"], {"holds": what["says"]})

    def unit() -> int | None:
        with writing():
            return desk.say(cause)

    if retried(unit) is not None:
        metrics.INVARIANTS.labels(name).inc()
        log.error("invariant.broken", name=name, **{"row": what["row"]})
