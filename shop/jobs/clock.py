"""Clock process: finds due work once a second. Safe to run twice, and to kill at any time."""

from __future__ import annotations

import json
import signal
import time
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

from flask import current_app
from sqlalchemy.exc import SQLAlchemyError

from shop.alerts import process_time
from shop.alerts.episodes import CheckRun
from shop.core import clock, heartbeat, logs, skew, task_queue
from shop.core.db import db
from shop.jobs import work
from shop.jobs.schedule import BATCH, EVERY, HELP_AFTER, WORK, Work
from shop.jobs.slow_work import SlowWork

log = logs.get()
_FORGET = 5.0  # seconds after which an item that is still due is enqueued again


class Clock:
    """Records what was enqueued, so that each item is enqueued once and not every second."""

    def __init__(self) -> None:
        self.stopping = False
        self._enqueued: dict[tuple[str, Any], tuple[float, float]] = {}
        self._skew = skew.SkewWatch()
        self.slow_work = SlowWork()

    def stop(self, *_: Any) -> None:
        """Stop after the current pass."""
        self.stopping = True

    def run(self) -> None:
        """Run a pass once a second until `stop`."""
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, self.stop)
        while not self.stopping:
            started = time.monotonic()
            self.tick()
            while not self.stopping and time.monotonic() - started < EVERY:
                time.sleep(0.05)

    def tick(self) -> None:
        """Do one pass over all due work. Neither an unavailable database nor a defect ends the process: a kind of work
        that fails is left to the next pass and does not stop the others.
        """
        if current_app.config["SETTLED_PASSIVE"]:
            heartbeat.alive()
            return
        if not self._time_is_right():
            return
        for row in WORK:  # a locked table delays each kind of work by DATABASE_LOCK_TIMEOUT
            self._guarded("heartbeat", lambda: heartbeat.record("clock"))
            self._guarded(row.kind, partial(self._serve, row))

    def _time_is_right(self) -> bool:
        """True if this process's wall time agrees with the others. A process that is ahead would end unpaid orders
        early.
        """
        heartbeat.alive()
        try:
            ahead = self._skew.seconds()
        except SQLAlchemyError as error:
            db.session.rollback()
            log.error("clock.failed", kind="skew", error=type(error).__name__)
            return False
        if ahead is None or abs(ahead) <= skew.LIMIT:
            return ahead is not None
        log.error("clock.skewed", seconds_ahead=round(ahead, 1))
        self._guarded("skew", lambda: skew.report(ahead))
        self._guarded("skew", lambda: process_time.skewed(CheckRun(clock.now()), ahead))
        return False

    def _guarded(self, kind: str, do: Callable[[], None]) -> None:
        heartbeat.alive()
        try:
            do()
        except Exception as error:  # noqa: BLE001 - an error must not end the clock
            db.session.rollback()
            log.error("clock.failed", kind=kind, error=f"{type(error).__name__}: {error}"[:500])

    def _serve(self, row: Work) -> None:
        ids = row.due()
        if row.shared:
            self._share(row, ids)
        elif ids:
            work.batch(row.kind, ids)

    def _share(self, row: Work, ids: list[Any]) -> None:
        """Enqueue new and lost items; do items here that no worker has done after HELP_AFTER."""
        at = time.monotonic()
        still_due = {(row.kind, item) for item in ids}
        self._enqueued = {k: v for k, v in self._enqueued.items() if k[0] != row.kind or k in still_due}
        fresh: list[Any] = []
        overdue: list[Any] = []
        for item in ids:
            last, first = self._enqueued.get((row.kind, item), (at - _FORGET, at))
            if at - last >= _FORGET:
                (overdue if at - first >= HELP_AFTER else fresh).append(item)
                self._enqueued[(row.kind, item)] = (at, first)
        for start in range(0, len(fresh), BATCH):
            self._enqueue(row, fresh[start : start + BATCH])
        if overdue:
            self._do(row, overdue)

    def _enqueue(self, row: Work, ids: list[Any]) -> None:
        name = f"{row.kind}-{zlib.crc32(json.dumps(ids).encode()):08x}"  # the same items make the same job id
        if not task_queue.enqueue("shop.jobs.work.batch", row.kind, ids, job_id=name, seconds=row.seconds):
            for item in ids:
                del self._enqueued[(row.kind, item)]
            self._do(row, ids)

    def _do(self, row: Work, ids: list[Any]) -> None:
        """Do shared work in this process; slow work in another thread, so that the next pass begins in time."""
        if row.is_slow:
            self.slow_work.offer(row.kind, ids)
        else:
            work.batch(row.kind, ids)
