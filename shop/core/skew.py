"""Clock skew: the difference between this process's wall time and that of the others.

On PostgreSQL the server's time is queried. On SQLite all processes share a machine, and the heartbeats of the other
processes are compared: a live process with an old heartbeat has a time behind ours. Wall time throughout, because the
shop's clock may be advanced.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import func, select

from shop.core import clock, heartbeat
from shop.core.db import db
from shop.core.heartbeat import Heartbeat

LIMIT = 5.0
"""Seconds of skew up to which a process may work."""
SKEWED = "clock:skewed"
"""The heartbeat of a clock process that does not work because its time is wrong, written in the time of the others."""
WORKER_SKEWED = "worker:skewed"
"""The same of a worker process."""
_MEASURE_EVERY = 5.0
_REMEMBERED = 60.0
_SLOW = 2.0  # seconds for a response after which a measurement is discarded


class SkewWatch:
    """Repeated measurement of the skew."""

    def __init__(self) -> None:
        self._skew: float | None = None
        self._measured_at = self._began = self._looked_at = float("-inf")
        self._seen: dict[str, datetime] | None = None

    @property
    def last(self) -> float | None:
        """The last result of `seconds` by PostgreSQL's time, not measured again; None after a minute."""
        return self._skew if time.monotonic() - self._measured_at < _REMEMBERED else None

    def seconds(self) -> float | None:
        """Seconds by which our wall time is ahead (negative: behind). None while unknown; the caller must not work
        then.

        Raises SQLAlchemyError.
        """
        at = time.monotonic()
        if db.engine.dialect.name != "postgresql":
            self._skew = self._by_heartbeats(at)
        elif at - self._measured_at >= _MEASURE_EVERY or self._skew is None:
            self._skew = self._by_server(at)
        return self._skew

    def _by_server(self, at: float) -> float | None:
        before = clock.wall()
        server: datetime | None = db.session.scalar(select(func.clock_timestamp()))
        after = clock.wall()
        db.session.rollback()
        if server is None or (after - before).total_seconds() > _SLOW:
            return self._skew
        self._measured_at = at
        return (before + (after - before) / 2 - server).total_seconds()

    def _by_heartbeats(self, at: float) -> float | None:
        wall, found = clock.wall(), _of_others()
        if self._seen is None:
            self._seen, self._began, self._looked_at = found, at, at
        unwatched, self._looked_at = at - self._looked_at, at
        renewed = [heartbeat_at for name, heartbeat_at in found.items() if self._seen.get(name) != heartbeat_at]
        self._seen = found
        lags = [(wall - heartbeat_at).total_seconds() for heartbeat_at in renewed]
        ahead = [lag for lag in lags if lag >= -LIMIT]  # a heartbeat in the future is wrong itself
        if ahead:
            surely = min(ahead) - unwatched  # it may have been written right after the last check
            return min(ahead) if surely > LIMIT else 0.0
        if self._skew is not None:
            return self._skew
        old = any((wall - heartbeat_at).total_seconds() > LIMIT for heartbeat_at in found.values())
        undecided = old and at - self._began < heartbeat.EVERY + _SLOW  # dead, or behind us; the next heartbeat decides
        return None if undecided else 0.0


def of_this_process() -> float:
    """Seconds by which our wall time is ahead of PostgreSQL's, measured at most every five seconds. 0.0 while unknown,
    and on SQLite: there all processes have the time of one machine. For processes without a SkewWatch of their own.

    Ends the session's transaction. Raises SQLAlchemyError.
    """
    if db.engine.dialect.name != "postgresql":
        return 0.0
    watch: SkewWatch = current_app.extensions.setdefault("settled_skew", SkewWatch())
    return watch.seconds() or 0.0


def last_measured() -> float:
    """The last result of `of_this_process`, without a query; 0.0 if there is none."""
    watch: SkewWatch | None = current_app.extensions.get("settled_skew")
    return (watch and watch.last) or 0.0


def report(skew: float, name: str = SKEWED) -> None:
    """Write the heartbeat of a process that is `skew` seconds ahead and therefore does not work."""
    heartbeat.write(name, clock.wall() - timedelta(seconds=skew))


def _of_others() -> dict[str, datetime]:
    """The heartbeats of working processes except our own."""
    rows = db.session.execute(
        select(Heartbeat.name, Heartbeat.at).where(Heartbeat.name.not_in([SKEWED, WORKER_SKEWED]))
    ).all()
    db.session.rollback()
    return {name: at for name, at in rows if at != heartbeat.ours(name)}
