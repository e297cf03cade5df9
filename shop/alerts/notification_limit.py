"""Limit on notifications: the first MOST alerts of a rule within an hour are notified one by one, the others together.

The row of a rule in `notification_windows` decides, so that several processes share the limit and the summary of an
hour is sent once. All functions write in the current transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import case, select, update

from shop.alerts.models import Alert, NotificationWindow
from shop.alerts.states import MessageKind
from shop.core.db import changed, db, insert

MOST = 10
"""Alerts of a rule in one window that are notified one by one."""
WINDOW = timedelta(hours=1)


@dataclass(frozen=True)
class Summary:
    """Number of further alerts of a rule since the beginning of a window, and the newest of them."""

    rule: str
    number: int
    began_at: datetime
    alert_id: int


def is_first(alert_id: int, kind: MessageKind, at: datetime) -> bool:
    """Mark the occasion of an alert as handled; False if it was already: events may be published again."""
    column = Alert.notified_raised_at if kind is MessageKind.RAISED else Alert.notified_waits_at
    return bool(changed(update(Alert).where(Alert.id == alert_id, column.is_(None)).values({column: at})))


def count(alert: Alert, at: datetime) -> bool:
    """Count an alert in the window of its rule; True if it is to be notified, False if its summary will include it.

    A window begins with its first alert. Call `end` before: it takes the summary of a window that is over.
    """
    row = NotificationWindow
    is_over = row.began_at <= at - WINDOW
    first = {"rule": alert.rule, "began_at": at, "counted": 1, "alert_id": alert.id, "due_at": None}
    again = {
        "began_at": case((is_over, at), else_=row.began_at),
        "counted": case((is_over, 1), else_=row.counted + 1),
        "alert_id": alert.id,
    }
    upsert = insert(row).values(**first).on_conflict_do_update(index_elements=["rule"], set_=again)
    began_at, counted = db.session.execute(upsert.returning(row.began_at, row.counted)).one()
    if counted == MOST + 1:
        db.session.execute(update(row).where(row.rule == alert.rule).values(due_at=began_at + WINDOW))
    return bool(counted <= MOST)


def end(rule: str, at: datetime) -> Summary | None:
    """Take the summary of a window that is over, once; None if there is none."""
    row = NotificationWindow
    taken = update(row).where(row.rule == rule, row.due_at <= at).values(due_at=None)
    found = db.session.execute(taken.returning(row.counted, row.began_at, row.alert_id)).one_or_none()
    return Summary(rule, found.counted - MOST, found.began_at, found.alert_id) if found else None


def due(at: datetime) -> list[str]:
    """Rules with a summary to send. The table has at most a row for each rule."""
    return list(db.session.scalars(select(NotificationWindow.rule).where(NotificationWindow.due_at <= at)))
