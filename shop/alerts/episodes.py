"""What the lookouts share: alerts that follow what is the case now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, select

from shop.alerts import desk
from shop.alerts.desk import Cause
from shop.alerts.models import IS_OPEN, Alert
from shop.core.db import db, retried, writing

TEN_MINUTES = timedelta(minutes=10)
AT_ONCE = 1000
"""How many rows one look for a condition reads; the others wait until these are dealt with."""


@dataclass
class Sight:
    """One look at conditions: its time, and the alerts that are open when it begins."""

    at: datetime
    _rules: set[str] | None = None

    def open(self, rule: str) -> list[Alert]:
        """Unresolved alerts of a rule, oldest first."""
        if self._rules is None:
            self._rules = set(db.session.scalars(select(Alert.rule).where(IS_OPEN).distinct()))
        if rule not in self._rules:
            return []
        return list(db.session.scalars(select(Alert).where(Alert.rule == rule, IS_OPEN).order_by(Alert.id)))


def follow(sight: Sight, rule: str, found: Sequence[Cause], why: str, *, complete: bool = True) -> None:
    """Raise what has been found, and resolve, because of `why`, what was raised and has not been found any more.

    Where the search was not `complete`, nothing is resolved.
    """
    known = {(alert.subject, alert.cause): alert for alert in sight.open(rule)}
    here = {(cause.subject, cause.cause) for cause in found}
    if complete:
        over([alert for key, alert in known.items() if key not in here], why)
    report([cause for cause in found if (cause.subject, cause.cause) not in known])


def report(causes: Sequence[Cause]) -> None:
    """Raise what has not been raised."""

    def unit() -> None:
        with writing():
            for cause in causes:
                desk.say(cause)

    if causes:
        retried(unit)


def over(alerts: Iterable[Alert], why: str) -> None:
    """Resolve alerts whose cause is no more."""
    ids = [alert.id for alert in alerts]

    def unit() -> None:
        with writing():
            for alert_id in ids:
                desk.is_gone(alert_id, why)

    if ids:
        retried(unit)


def since(moment: datetime | None) -> str:
    """What tells an episode from the next one: when it began."""
    return f"since {moment.isoformat()}" if moment else "since the beginning"


def one_of(column: Any, values: Sequence[str]) -> Any:
    """`column IN (values)`, written out: a database uses a partial index only for what it can read in the query."""
    return column.in_(bindparam(None, list(values), expanding=True, literal_execute=True))
