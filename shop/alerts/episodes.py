"""Alerts on a current condition: raised while it holds, resolved when it is over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, select

from shop.alerts import store
from shop.alerts.models import IS_OPEN, Alert
from shop.alerts.store import Cause
from shop.core.db import db, transactional

TEN_MINUTES = timedelta(minutes=10)
AT_ONCE = 1000
"""Rows that one check of a condition reads; the rest is left for later checks."""


@dataclass
class CheckRun:
    """A run of condition checks: its time, and the alerts that were open when it began."""

    at: datetime
    _rules: set[str] | None = None

    def open(self, rule: str) -> list[Alert]:
        """Unresolved alerts of a rule, oldest first."""
        if self._rules is None:
            self._rules = set(db.session.scalars(select(Alert.rule).where(IS_OPEN).distinct()))
        if rule not in self._rules:
            return []
        return list(db.session.scalars(select(Alert).where(Alert.rule == rule, IS_OPEN).order_by(Alert.id)))


def follow(run: CheckRun, rule: str, found: Sequence[Cause], why: str, *, complete: bool = True) -> None:
    """Raise alerts for the findings, and resolve, with the reason `why`, the open alerts that are no longer found.

    If the search was not `complete`, nothing is resolved.
    """
    known = {(alert.subject, alert.cause): alert for alert in run.open(rule)}
    here = {(cause.subject, cause.cause) for cause in found}
    if complete:
        resolve_over([alert for key, alert in known.items() if key not in here], why)
    report([cause for cause in found if (cause.subject, cause.cause) not in known])


def report(causes: Sequence[Cause]) -> None:
    """Raise the findings that have no alert yet."""
    if causes:
        _raise(causes)


@transactional
def _raise(causes: Sequence[Cause]) -> None:
    for cause in causes:
        store.raise_alert(cause)


def resolve_over(alerts: Iterable[Alert], why: str) -> None:
    """Resolve alerts whose cause is over."""
    ids = [alert.id for alert in alerts]
    if ids:
        _resolve(ids, why)


@transactional
def _resolve(alert_ids: Sequence[int], why: str) -> None:
    for alert_id in alert_ids:
        store.resolve_over(alert_id, why)


def since(moment: datetime | None) -> str:
    """The key of an episode: the time at which it began."""
    return f"since {moment.isoformat()}" if moment else "since the beginning"


def one_of(column: Any, values: Sequence[str]) -> Any:
    """`column IN (values)`, written out: a database uses a partial index only for literals in the query, and SQLite
    does not see that IN of a single value is `=`.
    """
    if len(values) == 1:
        return column == bindparam(None, values[0], literal_execute=True)
    return column.in_(bindparam(None, list(values), expanding=True, literal_execute=True))
