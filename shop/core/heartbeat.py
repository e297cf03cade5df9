"""Heartbeats of background processes, in wall time, so that advancing the shop's clock has no effect on them."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from flask import current_app
from sqlalchemy import Text, select
from sqlalchemy.orm import Mapped, mapped_column

from shop.core import clock, redis
from shop.core.db import Base, UtcDateTime, db, insert, transaction

EVERY = 5.0
"""Seconds between two heartbeats of a healthy process; more frequent calls of `record` have no effect."""

FUTURE = 5.0
"""Seconds by which a heartbeat may be ahead of our time. A heartbeat further ahead has a wrong time and is ignored."""


class Heartbeat(Base):
    """Time of the last heartbeat of a process."""

    __tablename__ = "heartbeats"
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)


_ALL = select(Heartbeat.name, Heartbeat.at)


def record(name: str) -> None:
    """Record a heartbeat of `name` in the database, and in Redis when it is available."""
    written_at: dict[str, float] = current_app.extensions.setdefault("settled_heartbeats", {})
    if time.monotonic() - written_at.get(name, float("-inf")) < EVERY:
        return
    with transaction():
        at = clock.wall()  # after waiting for the lock, an earlier value would be old
        write(name, at)
    written_at[name] = time.monotonic()
    with suppress(redis.RedisAway):
        redis.attempt(lambda client: client.set(f"settled:heartbeat:{name}", at.isoformat(), ex=60))


def write(name: str, at: datetime) -> None:
    """Write a heartbeat of `name` at a wall time."""
    with transaction():
        statement = insert(Heartbeat).values(name=name, at=at)
        db.session.execute(statement.on_conflict_do_update(index_elements=[Heartbeat.name], set_={"at": at}))
    current_app.extensions.setdefault("settled_heartbeats_written", {})[name] = at


def ours(name: str) -> datetime | None:
    """The last heartbeat of `name` that this process wrote."""
    found: datetime | None = current_app.extensions.setdefault("settled_heartbeats_written", {}).get(name)
    return found


def alive() -> None:
    """Touch HEARTBEAT_FILE, if set, for the liveness probe of a process without a port."""
    if path := current_app.config["HEARTBEAT_FILE"]:
        with suppress(OSError):  # a full disk must not fail the liveness probe
            Path(path).touch()


def age(name: str) -> float | None:
    """Seconds since the last heartbeat of `name`; None if there is none, or if it lies in the future."""
    return ages().get(name)


def ages() -> dict[str, float]:
    """The same for all processes that have one. One statement."""
    wall = clock.wall()
    rows = db.session.execute(_ALL)
    seconds = {row.name: (wall - row.at).total_seconds() for row in rows}
    return {name: max(0.0, age) for name, age in seconds.items() if age >= -FUTURE}
