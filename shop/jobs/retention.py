"""Retention periods of every table, with reasons. The clock deletes expired rows in small batches, and erases the
personal data of guests in old orders.

Each rule walks its table along the primary key in windows, so that it needs no index and a step costs the same for any
table size. A pass begins an hour after the previous one has ended. Deletions repeat the condition, so a row that has
changed since it was read is kept. The newest row of a numbered table is always kept: SQLite reuses the greatest number
after a deletion, and consumers, alerts and invariants rely on these numbers.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask import current_app
from sqlalchemy import Integer, Table, delete, func, select, update

from shop.core import clock, logs, metrics
from shop.core.db import changed, db, table, transactional
from shop.jobs.retention_rules import RULES, Rule

log = logs.get()
WINDOW = 500
"""Rows that one step reads, and the most that one transaction deletes."""
PAUSE = 3600.0
"""Seconds between two passes over a table."""


@dataclass
class _Pass:
    """Progress of this process with a rule. With two clocks both make passes; rows are deleted once."""

    after: Any = None
    ended_at: float = field(default=float("-inf"))


def _passes() -> dict[str, _Pass]:
    found: dict[str, _Pass] = current_app.extensions.setdefault("settled_retention", {})
    return found


def due() -> list[int]:
    """Numbers of the rules that are due."""
    passes, now = _passes(), time.monotonic()
    return [n for n, rule in enumerate(RULES) if now - passes.setdefault(rule.name, _Pass()).ended_at >= PAUSE]


def step(number: int) -> int:
    """Process the next window of one rule's table; returns the number of deleted rows."""
    rule = RULES[number]
    progress = _passes().setdefault(rule.name, _Pass())
    at = clock.wall() if rule.wall_time else clock.now()
    window, over = _window(rule, progress.after, at)
    removed = _remove(rule, over, at) if over else 0
    if len(window) < WINDOW:
        progress.after, progress.ended_at = None, time.monotonic()
    else:
        progress.after = window[-1]
    if removed:
        metrics.REMOVED.labels(table(rule.model).name).inc(removed)
        log.info("retention.removed", rows=rule.name, removed=removed)
    return removed


def sweep() -> dict[str, int]:
    """Make one full pass over every table now; returns the number of deleted rows by rule."""
    done: dict[str, int] = {}
    for number, rule in enumerate(RULES):
        _passes()[rule.name] = progress = _Pass()
        done[rule.name] = step(number)
        while progress.after is not None:
            done[rule.name] += step(number)
    return done


def _key(rule: Rule) -> tuple[Table, Any]:
    of = table(rule.model)
    (key,) = of.primary_key.columns
    return of, key


def _window(rule: Rule, after: Any, at: datetime) -> tuple[list[Any], list[Any]]:
    """The next keys along the primary key, and those whose rows have expired."""
    of, key = _key(rule)
    ahead = select(key).order_by(key).limit(WINDOW)
    if after is not None:
        ahead = ahead.where(key > after)
    window = list(db.session.scalars(ahead))
    is_over = select(key).where(key.in_(window), rule.over(at), *_not_newest(rule, key))
    over = list(db.session.scalars(is_over)) if window else []
    db.session.rollback()
    return window, over


def _not_newest(rule: Rule, key: Any) -> list[Any]:
    of = table(rule.model)
    if rule.erases or not isinstance(key.type, Integer) or key.foreign_keys:
        return []
    return [key < select(func.max(of.c[key.name])).scalar_subquery()]


@transactional
def _remove(rule: Rule, keys: list[Any], at: datetime) -> int:
    of, key = _key(rule)
    still = select(key).where(key.in_(keys), rule.over(at), *_not_newest(rule, key)).order_by(key).with_for_update()
    locked = list(db.session.scalars(still))
    if not locked:
        return 0
    rule.first(locked)
    statement = update(of).values(dict(rule.erases)) if rule.erases else delete(of)
    return changed(statement.where(key.in_(locked)))
