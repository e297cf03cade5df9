"""Signs of life of the processes that nobody calls. Wall time: turning the shop's clock makes nobody look dead."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime

from flask import current_app
from sqlalchemy import Text, select
from sqlalchemy.orm import Mapped, mapped_column

from shop.core import clock, redis
from shop.core.db import Base, UtcDateTime, db, insert, writing

EVERY = 5.0
"""Seconds between two beats of a process that is well; `beat` may be called more often and then does nothing."""


class Beat(Base):
    """When a process was last seen at work."""

    __tablename__ = "beats"
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)


def beat(name: str) -> None:
    """Say that `name` is at work: in the database, and in Redis when it is here."""
    said: dict[str, float] = current_app.extensions.setdefault("settled_beats", {})
    if time.monotonic() - said.get(name, float("-inf")) < EVERY:
        return
    at = clock.wall()
    with writing():
        statement = insert(Beat).values(name=name, at=at)
        db.session.execute(statement.on_conflict_do_update(index_elements=[Beat.name], set_={"at": at}))
    said[name] = time.monotonic()
    with suppress(redis.RedisAway):
        redis.attempt(lambda client: client.set(f"settled:beat:{name}", at.isoformat(), ex=60))


def age(name: str) -> float | None:
    """Seconds since `name` was last seen at work; None when it never was."""
    at = db.session.scalar(select(Beat.at).where(Beat.name == name))
    return None if at is None else max(0.0, (clock.wall() - at).total_seconds())
