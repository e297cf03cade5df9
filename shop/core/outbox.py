"""Transactional outbox: events are written in the transaction that they describe, and published afterwards.

The row guarantees publication; a message after the commit notifies open pages; the clock publishes due rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import JSON, Index, Text, func, insert, select, text, update
from sqlalchemy.orm import Mapped, mapped_column

from shop.core import clock, redis
from shop.core.db import Base, UtcDateTime, after_commit_once, db, table, transaction, transactional
from shop.core.event_types import Event

LIVE = "settled:live"
_KEPT_IN_STREAM = 10_000
_LEASE = timedelta(seconds=30)
_UNPUBLISHED = text("due_at IS NOT NULL")


class OutboxRow(Base):
    """An event for the streams. `published_at` is empty until it is published and its effects are done."""

    __tablename__ = "outbox"
    id: Mapped[int] = mapped_column(primary_key=True)
    stream: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    published_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    tries: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (Index("ix_outbox_due", "due_at", postgresql_where=_UNPUBLISHED, sqlite_where=_UNPUBLISHED),)


_NEW_ROW = insert(table(OutboxRow)).inline()


def emit(event: Event, subject: str) -> None:
    """Write one event in the current transaction; it is published after the commit."""
    write(row(event, subject, clock.now()))
    wake(f"{LIVE}:feed", {"feed": event.KIND})


def write(new: dict[str, Any]) -> None:
    """Insert a row that `row` made."""
    db.session.execute(_NEW_ROW, [new])


def row(event: Event, subject: str, at: datetime, which: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Columns of an event that is due at once. `which` is added to its payload."""
    return {
        "stream": event.STREAM,
        "kind": event.KIND,
        "subject": subject,
        "payload": event.payload() | dict(which or {}),
        "created_at": at,
        "due_at": at,
        "tries": 0,
    }


def wake(channel: str, message: dict[str, Any]) -> None:
    """Notify open pages after the commit; only the last message per channel is sent. It is lost while Redis is
    unavailable: pages compare their state at each heartbeat.
    """
    after_commit_once(_publish, (channel, message))


def _publish(messages: list[tuple[str, dict[str, Any]]]) -> None:
    redis.publish([(channel, json.dumps(message)) for channel, message in dict(messages).items()])


Effects = Callable[[str, dict[str, Any]], None]
"""Runs the effects of an event of this kind with this payload."""


def relay(effects: Effects, alone: Effects | None = None, *, limit: int = 200) -> int:
    """Publish due events, oldest first, at most `limit`, and return their number.

    For each event: run its effects, append it to its stream, mark it as published. The `effects` of all share a
    transaction; those that lock rows for which others wait are `alone`: they follow, each in a transaction of its own.
    Publication is at least once: after a crash before the mark it is published again under the same id, and effects
    are idempotent. A failing event is retried later and does not delay the others.
    """
    rows = _claim(limit)
    if not rows:
        return 0
    published, failed = _follow(rows, effects)
    if alone is not None:
        published, more = _follow_each(published, alone)
        failed |= more
    away = _to_streams(published)
    if away:
        failed |= {row["id"]: away for row in published}
        published = []
    with transaction():
        at = clock.now()
        db.session.execute(
            update(OutboxRow)
            .where(OutboxRow.id.in_([row["id"] for row in published]))
            .values(due_at=None, published_at=at, error=None)
        )
        for row_id, why in failed.items():
            later = at + timedelta(seconds=5)
            db.session.execute(update(OutboxRow).where(OutboxRow.id == row_id).values(due_at=later, error=why[:500]))
    return len(published)


def _follow(rows: list[dict[str, Any]], effects: Effects) -> tuple[list[dict[str, Any]], dict[int, str]]:
    """Run the effects of events: returns the rows whose effects are all done, and the error of each other row.

    All run in one transaction; after a failure each runs in its own, since effects may be repeated.
    """
    try:
        with transaction():
            for row in rows:
                effects(row["kind"], row["payload"])
        return rows, {}
    except Exception:  # noqa: BLE001 - one event must not stop the others
        db.session.rollback()
    return _follow_each(rows, effects)


def _follow_each(rows: list[dict[str, Any]], effects: Effects) -> tuple[list[dict[str, Any]], dict[int, str]]:
    published, failed = [], {}
    for row in rows:
        try:
            effects(row["kind"], row["payload"])
            published.append(row)
        except Exception as error:  # noqa: BLE001 - one event must not stop the others
            failed[row["id"]] = f"{type(error).__name__}: {error}"
        db.session.rollback()
    return published, failed


def waiting() -> int:
    """The number of events that are due."""
    found = db.session.scalar(select(func.count()).select_from(OutboxRow).where(OutboxRow.due_at <= clock.now())) or 0
    db.session.rollback()
    return found


@transactional
def _claim(limit: int) -> list[dict[str, Any]]:
    at = clock.now()
    candidates = (
        select(OutboxRow.id).where(OutboxRow.due_at <= at).order_by(OutboxRow.due_at, OutboxRow.id).limit(limit)
    )
    if not db.session.execute(candidates.limit(1)).first():
        db.session.rollback()
        return []
    rows = db.session.execute(
        update(OutboxRow)
        .where(OutboxRow.id.in_(candidates.with_for_update(skip_locked=True)), OutboxRow.due_at <= at)
        .values(due_at=at + _LEASE, tries=OutboxRow.tries + 1)
        .returning(OutboxRow.id, OutboxRow.stream, OutboxRow.kind, OutboxRow.subject, OutboxRow.payload)
    ).mappings()
    return sorted((dict(row) for row in rows), key=lambda row: row["id"])


def _to_streams(rows: list[dict[str, Any]]) -> str | None:
    """Append events to their streams; returns the error, if any."""

    def add(client: Any) -> None:
        pipe = client.pipeline(transaction=False)
        for row in rows:
            fields = {
                "id": row["id"],
                "kind": row["kind"],
                "subject": row["subject"],
                "payload": json.dumps(row["payload"]),
            }
            pipe.xadd(row["stream"], fields, maxlen=_KEPT_IN_STREAM, approximate=True)
        pipe.execute()

    if not rows:
        return None
    try:
        redis.attempt(add)
    except redis.RedisAway as away:
        return str(away)
    return None
