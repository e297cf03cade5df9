"""Slow work of the clock process, in a thread of its own, so that polls and deadlines are not delayed."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from flask import Flask, current_app

from shop.core import logs
from shop.core.db import db
from shop.jobs import work

log = logs.get()


class SlowWork:
    """The kinds of work that wait for the thread. They take turns, one at a time, each with `work.PARALLEL` items.

    The thread ends when nothing waits. It may be killed at any time, as a worker may.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: deque[tuple[str, list[Any]]] = deque()
        self._busy: set[str] = set()
        self._thread: threading.Thread | None = None

    def offer(self, kind: str, ids: list[Any]) -> None:
        """Do items soon, and return at once. Ignored while items of this kind wait or are done: they stay due."""
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        with self._lock:
            if kind in self._busy:
                return
            self._busy.add(kind)
            self._turns.append((kind, ids[: work.PARALLEL]))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, args=(app,), name="slow-work", daemon=True)
                self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait until nothing is left to do, at most `seconds`."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)

    def _run(self, app: Flask) -> None:
        while True:
            with self._lock:
                if not self._turns:
                    self._thread = None
                    return
                kind, ids = self._turns.popleft()
            try:
                with app.app_context():
                    self._turn(kind, ids)
            finally:
                with self._lock:
                    self._busy.discard(kind)

    @staticmethod
    def _turn(kind: str, ids: list[Any]) -> None:
        try:
            work.batch(kind, ids)
        except Exception as error:  # noqa: BLE001 - an error must not end the thread
            db.session.rollback()
            log.error("clock.failed", kind=kind, error=f"{type(error).__name__}: {error}"[:500])
