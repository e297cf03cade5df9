"""The outbox: what must be told to others is written in the transaction that makes it true, and told afterwards.

The row is the promise; the publish right after the commit is haste (it wakes open pages); the sweep is the safety.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import JSON, Index, Text, func, select, text, update
from sqlalchemy.orm import Mapped, mapped_column

from shop.core import clock, redis
from shop.core.db import Base, UtcDateTime, db, writing
from shop.core.later import add_last, after_commit_once

ORDERS = "orders.events.v1"
PAYMENTS = "payments.events.v1"
ALERTS = "alerts.order_payment_inconsistency.v1"
OPERATIONS = "alerts.operations.v1"
ALERT_CHANGES = "alerts.changes.v1"
LIVE = "settled:live"
_KEPT_IN_STREAM = 10_000
_LEASE = timedelta(seconds=30)
_TO_TELL = text("due_at IS NOT NULL")


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

    __table_args__ = (Index("ix_outbox_due", "due_at", postgresql_where=_TO_TELL, sqlite_where=_TO_TELL),)


def emit(stream: str, kind: str, subject: str, payload: dict[str, Any]) -> None:
    """Write one event into the current unit, to be told after its commit."""
    at = clock.now()
    add_last(OutboxRow, stream=stream, kind=kind, subject=subject, payload=payload, created_at=at, due_at=at)


def wake(channel: str, message: dict[str, Any]) -> None:
    """After the commit, tell open pages that something changed, once for what is last said on a channel. Lost when
    Redis is away: pages compare at each heartbeat.
    """
    after_commit_once(_publish, (channel, message))


def _publish(said: list[tuple[str, dict[str, Any]]]) -> None:
    def all_of_it(client: Any) -> None:
        pipe = client.pipeline(transaction=False)
        for channel, message in dict(said).items():
            pipe.publish(channel, json.dumps(message))
        pipe.execute()

    with suppress(redis.RedisAway):
        redis.attempt(all_of_it)


def relay(effects: Callable[[str, dict[str, Any]], None], *, limit: int = 200) -> int:
    """Tell events that are due, oldest first, at most `limit`, and return how many.

    Each one: its effects, its stream, the mark. Told at least once: a crash before the mark tells it again under the
    same id, and effects are keyed so that the second time does nothing. One that fails waits and lets the others pass.
    """
    rows = _claim(limit)
    if not rows:
        return 0
    told, failed = _follow(rows, effects)
    away = _to_streams(told)
    if away:
        failed |= {row["id"]: away for row in told}
        told = []
    with writing():
        at = clock.now()
        db.session.execute(
            update(OutboxRow)
            .where(OutboxRow.id.in_([row["id"] for row in told]))
            .values(due_at=None, published_at=at, error=None)
        )
        for row_id, why in failed.items():
            later = at + timedelta(seconds=5)
            db.session.execute(update(OutboxRow).where(OutboxRow.id == row_id).values(due_at=later, error=why[:500]))
    return len(told)


def _follow(
    rows: list[dict[str, Any]], effects: Callable[[str, dict[str, Any]], None]
) -> tuple[list[dict[str, Any]], dict[int, str]]:
    """What follows from events: the rows of which all is done, and why each other one failed.

    All of them in one unit; each by itself once one has failed, for what they do may be done twice.
    """
    try:
        with writing():
            for row in rows:
                effects(row["kind"], row["payload"])
        return rows, {}
    except Exception:  # noqa: BLE001 - one poisoned row must never stop the others
        db.session.rollback()
    told, failed = [], {}
    for row in rows:
        try:
            effects(row["kind"], row["payload"])
            told.append(row)
        except Exception as error:  # noqa: BLE001
            db.session.rollback()
            failed[row["id"]] = f"{type(error).__name__}: {error}"
    return told, failed


def waiting() -> int:
    """How many events are due to be told."""
    found = db.session.scalar(select(func.count()).select_from(OutboxRow).where(OutboxRow.due_at <= clock.now())) or 0
    db.session.rollback()
    return found


def _claim(limit: int) -> list[dict[str, Any]]:
    at = clock.now()
    candidates = (
        select(OutboxRow.id).where(OutboxRow.due_at <= at).order_by(OutboxRow.due_at, OutboxRow.id).limit(limit)
    )
    if not db.session.execute(candidates.limit(1)).first():
        db.session.rollback()
        return []
    with writing():
        rows = db.session.execute(
            update(OutboxRow)
            .where(OutboxRow.id.in_(candidates.with_for_update(skip_locked=True)), OutboxRow.due_at <= at)
            .values(due_at=at + _LEASE, tries=OutboxRow.tries + 1)
            .returning(OutboxRow.id, OutboxRow.stream, OutboxRow.kind, OutboxRow.subject, OutboxRow.payload)
        ).mappings()
        return sorted((dict(row) for row in rows), key=lambda row: row["id"])


def _to_streams(rows: list[dict[str, Any]]) -> str | None:
    """Put events on their streams; returns why that failed, if it did."""

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
