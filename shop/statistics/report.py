"""Figures of a period and of the one before: roll-ups, and the newest facts, which are not in them yet.

The result is kept in Redis for a few seconds; without Redis it is read each time. Three statements.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from flask import current_app
from sqlalchemy import and_, case, func, or_, select

from shop.core import clock, redis
from shop.core.db import db, table
from shop.statistics import facts, rollup
from shop.statistics.decide import DONE, PAID, PLACED, VERSION, Figure, Subject, Sum, count
from shop.statistics.models import DayFigure
from shop.statistics.periods import Question
from shop.statistics.rows import Row

KEPT = 15
"""Seconds for which Redis keeps a result."""
LIVE = timedelta(minutes=15)
"""Longest time of facts that are counted for a reader. It is longer than the clock process takes to add them."""
CHARTED = ((Subject.ORDER, PLACED), (Subject.ORDER, PAID), (Subject.REFUND, DONE))
"""Figures that are read for each day of the period."""
_DAYS = table(DayFigure)


@dataclass(frozen=True)
class Report:
    """The rows of a question, and the time up to which all facts are in them; None while there are none yet."""

    question: Question
    rows: tuple[Row, ...]
    complete_until: datetime | None
    is_current: bool
    """True if `complete_until` is the time at which the figures were read."""
    is_new: bool = False
    """True if there are no figures of any time, currency and provider."""


def today() -> date:
    """The day in the shop's zone."""
    return clock.now().astimezone(_zone()).date()


def report(question: Question) -> Report:
    """The figures that answer a question, at most KEPT seconds old."""
    key = f"settled:statistics:{VERSION}:{_zone().key}:{today()}:{question.first}:{question.last}"
    with suppress(redis.RedisAway, ValueError, TypeError, KeyError):
        if kept := redis.attempt(lambda client: client.get(key)):
            return _filtered(_parsed(question, json.loads(kept)))
    found = read(question)
    if found.complete_until is not None:
        with suppress(redis.RedisAway):
            redis.attempt(lambda client: client.set(key, json.dumps(_plain(found)), ex=KEPT))
    return _filtered(found)


def read(question: Question) -> Report:
    """The figures of all currencies and providers, from the database."""
    now, (up_to, has_figures) = clock.now(), rollup.progress()
    if up_to == rollup.BEGINNING:
        return Report(question, (), None, is_current=False, is_new=True)
    end = up_to + LIVE
    live = count(facts.between(up_to, end), _zone())
    rows = [*_rolled_up(question), *_of_period(question, live.items())]
    return Report(question, tuple(rows), min(now, end), is_current=now <= end, is_new=not (rows or has_figures))


def _rolled_up(question: Question) -> Iterator[Row]:
    one = _DAYS.c
    is_charted = or_(*(and_(one.subject == subject, one.state == state) for subject, state in CHARTED))
    shown = case((and_(is_charted, one.day >= question.first), one.day)).label("shown")
    is_before = case((one.day < question.first, 1), else_=0).label("is_before")
    columns = (one.subject, one.state, one.currency, one.provider, one.method)
    query = (
        select(shown, is_before, *columns, func.sum(one.number), func.sum(one.amount))
        .where(one.day >= question.before[0], one.day <= question.last)
        .group_by(shown.name, is_before.name, *columns)
    )
    for day, before, *figure, number, amount in db.session.execute(query):
        yield Row(day, bool(before), Figure(*figure), Sum(int(number), int(amount)))


def _of_period(question: Question, found: Iterable[tuple[tuple[date, Figure], Sum]]) -> Iterator[Row]:
    for (day, figure), sums in found:
        if question.before[0] <= day <= question.last:
            is_before = day < question.first
            is_charted = figure[:2] in CHARTED and not is_before
            yield Row(day if is_charted else None, is_before, figure, sums)


def _filtered(found: Report) -> Report:
    """The report with the rows of its currency and provider. Alerts have neither and are left out by a filter."""
    currency, provider = found.question.currency, found.question.provider
    if not (currency or provider):
        return found
    rows = tuple(
        row
        for row in found.rows
        if (not currency or row.figure.currency == currency) and (not provider or row.figure.provider == provider)
    )
    return replace(found, rows=rows)


def _plain(found: Report) -> object:
    rows = [[row.day and row.day.isoformat(), row.is_before, *row.figure, *row.sums] for row in found.rows]
    until = found.complete_until and found.complete_until.isoformat()
    return {"rows": rows, "complete_until": until, "is_current": found.is_current, "is_new": found.is_new}


def _parsed(question: Question, kept: dict[str, object]) -> Report:
    rows = tuple(
        Row(day and date.fromisoformat(day), before, Figure(*figure), Sum(number, amount))
        for day, before, *figure, number, amount in kept["rows"]  # type: ignore[attr-defined]
    )
    until = kept["complete_until"]
    complete_until = datetime.fromisoformat(until) if isinstance(until, str) else None
    return Report(question, rows, complete_until, bool(kept["is_current"]), bool(kept["is_new"]))


def _zone() -> ZoneInfo:
    return ZoneInfo(current_app.config["SHOP_TIME_ZONE"])
