"""Alerts for programs: a page of all that match, resolved ones included, the newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, literal, select, tuple_

from shop.alerts.models import IS_OPEN, Alert
from shop.alerts.states import AlertState, Severity
from shop.core.db import db
from shop.core.keyset import Position

COUNTED = 10_000


@dataclass(frozen=True)
class Wanted:
    """Filters of alerts. With `is_open` the resolved ones are left out."""

    is_open: bool = False
    state: AlertState | None = None
    severity: Severity | None = None
    rule: str | None = None
    order_id: int | None = None


def find(wanted: Wanted, *, limit: int, offset: int = 0, after: Position | None = None) -> tuple[Sequence[Alert], int]:
    """Alerts that match, one more than `limit` if others follow, and their number, at most COUNTED + 1."""
    values = {"state": wanted.state, "severity": wanted.severity, "rule": wanted.rule, "order_id": wanted.order_id}
    which = [getattr(Alert, name) == value for name, value in values.items() if value is not None]
    which += [IS_OPEN] if wanted.is_open else []
    some = select(literal(1)).select_from(Alert).where(*which).limit(COUNTED + 1).subquery()
    total = db.session.scalar(select(func.count()).select_from(some)) or 0
    if after is not None:
        place = tuple_(literal(after.at, Alert.detected_at.type), after.id)
        which.append(tuple_(Alert.detected_at, Alert.id) < place)
    newest = select(Alert).where(*which).order_by(Alert.detected_at.desc(), Alert.id.desc())
    return db.session.scalars(newest.limit(limit + 1).offset(offset)).all(), total
