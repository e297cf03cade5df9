"""The clock process: once a second it looks for what is due. Safe to run twice, and to kill at any time."""

from __future__ import annotations

import signal
import time
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from shop.core import beats, logs, queue
from shop.core.db import db
from shop.jobs import work
from shop.jobs.schedule import BATCH, EVERY, HELP_AFTER, WORK, Work

log = logs.get()
_FORGET = 5.0  # seconds after which an item that is still due is handed over once more


class Clock:
    """Remembers what it has handed to the workers, so that each item is given once and not every second."""

    def __init__(self) -> None:
        self.stopping = False
        self._handed: dict[tuple[str, Any], tuple[float, float]] = {}

    def stop(self, *_: Any) -> None:
        """End after the present look."""
        self.stopping = True

    def run(self) -> None:
        """Look once a second until `stop`."""
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, self.stop)
        while not self.stopping:
            started = time.monotonic()
            self.tick()
            while not self.stopping and time.monotonic() - started < EVERY:
                time.sleep(0.05)

    def tick(self) -> None:
        """One look at everything that is due. A database that is away is no reason to end."""
        try:
            beats.beat("clock")
            for row in WORK:
                self._serve(row)
        except SQLAlchemyError as error:
            db.session.rollback()
            log.error("clock.database_away", error=type(error).__name__)

    def _serve(self, row: Work) -> None:
        ids = row.due()
        if not ids:
            return
        if not row.shared:
            work.batch(row.kind, ids)
            return
        at = time.monotonic()
        still_due = {(row.kind, item) for item in ids}
        self._handed = {k: v for k, v in self._handed.items() if k[0] != row.kind or k in still_due}
        fresh = [item for item in ids if at - self._handed.get((row.kind, item), (-_FORGET, 0.0))[0] >= _FORGET]
        left_over = [item for item in fresh if at - self._handed.get((row.kind, item), (0.0, at))[1] >= HELP_AFTER]
        for start in range(0, len(fresh), BATCH):
            self._hand_over(row, fresh[start : start + BATCH], at)
        if left_over:
            work.batch(row.kind, left_over)

    def _hand_over(self, row: Work, ids: list[Any], at: float) -> None:
        name = f"{row.kind}-{ids[0]}-{len(ids)}"
        if not queue.hand_over("shop.jobs.work.batch", row.kind, ids, job_id=name):
            work.batch(row.kind, ids)
            return
        for item in ids:
            first = self._handed.get((row.kind, item), (at, at))[1]
            self._handed[(row.kind, item)] = (at, first)
