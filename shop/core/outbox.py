"""The outbox: what must be told to others is written in the transaction that makes it true, and told afterwards.

The row is the promise; the publish right after the commit is haste (it wakes open pages); the sweep is the safety.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import JSON, Index, Text, select, update
from sqlalchemy.orm import Mapped, mapped_column

from shop.core import clock, redis
from shop.core.db import Base, UtcDateTime, after_commit, db, writing

ORDERS = "orders.events.v1"
PAYMENTS = "payments.events.v1"
LIVE = "settled:live"
_KEPT_IN_STREAM = 10_000


class OutboxRow(Base):
    """One event for the streams. `published_at` is empty until it has been told and its effects are done."""

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

    __table_args__ = (Index("ix_outbox_due", "due_at", postgresql_where=due_at.is_not(None), sqlite_where=due_at.is_not(None)),)


def emit(stream: str, kind: str, subject: str, payload: dict[str, Any]) -> None:
    """Write one event into the current unit, to be told after its commit."""
    at = clock.now()
    db.session.add(
        OutboxRow(stream=stream, kind=kind, subject=subject, payload=payload, created_at=at, due_at=at)
    )


def wake(channel: str, message: dict[str, Any]) -> None:
    """After the commit, tell open pages that something changed. Lost when Redis is away: pages compare at each heartbeat."""

    def publish() -> None:
        try:
            redis.attempt(lambda r: r.publish(channel, json.dumps(message)))
        except redis.RedisAway:
            pass

    after_commit(publish)


def due(limit: int = 500) -> list[int]:
    """Ids of the events that are still to be told, oldest first."""
    rows = db.session.scalars(
        select(OutboxRow.id).where(OutboxRow.due_at <= clock.now()).order_by(OutboxRow.due_at, OutboxRow.id).limit(limit)
    ).all()
    db.session.rollback()
    return list(rows)


def relay(row_id: int, effects: Callable[[str, dict[str, Any]], None], *, lease: timedelta = timedelta(seconds=30)) -> bool:
    """Tell one event: do its effects, put it on its stream, mark it. False when another process has it or Redis is away.

    Told at least once: a crash before the mark tells it again under the same id, and effects are keyed so that the second
    time does nothing.
    """
    at = clock.now()
    with writing():
        claimed = db.session.execute(
            update(OutboxRow)
            .where(OutboxRow.id == row_id, OutboxRow.due_at <= at)
            .values(due_at=at + lease, tries=OutboxRow.tries + 1)
        ).rowcount
    if not claimed:
        return False
    row = db.session.get_one(OutboxRow, row_id)
    stream, kind, payload = row.stream, row.kind, row.payload
    fields = {"id": str(row.id), "kind": kind, "subject": row.subject, "payload": json.dumps(payload)}
    db.session.rollback()
    effects(kind, payload)
    try:
        redis.attempt(lambda r: r.xadd(stream, fields, maxlen=_KEPT_IN_STREAM, approximate=True))  # type: ignore[arg-type]
    except redis.RedisAway as away:
        with writing():
            db.session.execute(
                update(OutboxRow).where(OutboxRow.id == row_id).values(due_at=at + timedelta(seconds=5), error=str(away))
            )
        return False
    with writing():
        db.session.execute(
            update(OutboxRow).where(OutboxRow.id == row_id).values(due_at=None, published_at=clock.now(), error=None)
        )
    return True
