"""The clock process: once a second it looks for what is due. Safe to run twice, and to kill at any time."""

from __future__ import annotations

import json
import signal
import time
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

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
        """One look at everything that is due. Neither a database that is away nor a mistake of ours is a reason to end.

        What cannot be found now is found at the next look, and stops nothing else.
        """
        self._guarded("beat", lambda: beats.beat("clock"))
        for row in WORK:
            self._guarded(row.kind, partial(self._serve, row))

    def _guarded(self, kind: str, do: Callable[[], None]) -> None:
        try:
            do()
        except Exception as error:  # noqa: BLE001 - a clock that ends does no work at all
            db.session.rollback()
            log.error("clock.failed", kind=kind, error=f"{type(error).__name__}: {error}"[:500])

    def _serve(self, row: Work) -> None:
        ids = row.due()
        if row.shared:
            self._share(row, ids)
        elif ids:
            work.batch(row.kind, ids)

    def _share(self, row: Work, ids: list[Any]) -> None:
        """Hand over what is new or was lost, and do what has waited for too long."""
        at = time.monotonic()
        still_due = {(row.kind, item) for item in ids}
        self._handed = {k: v for k, v in self._handed.items() if k[0] != row.kind or k in still_due}
        fresh: list[Any] = []
        left_over: list[Any] = []
        for item in ids:
            last, first = self._handed.get((row.kind, item), (at - _FORGET, at))
            if at - last >= _FORGET:
                (left_over if at - first >= HELP_AFTER else fresh).append(item)
                self._handed[(row.kind, item)] = (at, first)
        for start in range(0, len(fresh), BATCH):
            self._hand_over(row, fresh[start : start + BATCH])
        if left_over:
            work.batch(row.kind, left_over)

    def _hand_over(self, row: Work, ids: list[Any]) -> None:
        name = (
            f"{row.kind}-{zlib.crc32(json.dumps(ids).encode()):08x}"  # the same items are the same job, others are not
        )
        if not queue.hand_over("shop.jobs.work.batch", row.kind, ids, job_id=name):
            for item in ids:
                del self._handed[(row.kind, item)]
            work.batch(row.kind, ids)
