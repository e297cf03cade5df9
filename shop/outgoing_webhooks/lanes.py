"""Lanes of this process: one thread for each endpoint that is being delivered to.

The caller, a job of a worker or the clock process, waits for PATIENCE at most, so that a slow endpoint delays neither
the other endpoints nor other work. There are as many lanes as endpoints with due deliveries (`endpoints.MOST`). A lane
may be killed at any time: its delivery is sent again after the lease.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from flask import Flask, current_app

from shop.core import logs
from shop.core.db import db
from shop.outgoing_webhooks import deliver

log = logs.get()
PATIENCE = 1.0
"""Seconds that a caller waits for a lane."""


class Lanes:
    """The running lanes by endpoint."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: dict[str, threading.Thread] = {}

    def start(self, app: Flask, endpoint_id: str) -> threading.Thread:
        """The lane of an endpoint, started if it does not run."""
        with self._lock:
            thread = self._threads.get(endpoint_id)
            if thread is None:
                thread = threading.Thread(target=self._run, args=(app, endpoint_id), name=f"lane-{endpoint_id}")
                self._threads[endpoint_id] = thread
                thread.start()
        return thread

    def wait(self, seconds: float) -> None:
        """Wait until no lane runs, at most `seconds`."""
        until = time.monotonic() + seconds
        for thread in list(self._threads.values()):
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self, app: Flask, endpoint_id: str) -> None:
        try:
            with app.app_context():
                _deliver(endpoint_id)
        finally:
            with self._lock:
                del self._threads[endpoint_id]


def do(item: Any) -> None:
    """Deliver to the endpoint of an item of `deliver.due`; returns after PATIENCE, while the lane goes on."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    of_process().start(app, str(item).partition("/")[0]).join(PATIENCE)


def of_process() -> Lanes:
    """The lanes of this process."""
    found: Lanes = current_app.extensions.setdefault("settled_lanes", Lanes())
    return found


def _deliver(endpoint_id: str) -> None:
    logs.unbind()
    try:
        deliver.run(endpoint_id, _is_stopping)
    except Exception as error:  # noqa: BLE001 - the deliveries stay due
        db.session.rollback()
        log.error("outgoing_webhook.lane_failed", endpoint=endpoint_id, error=f"{type(error).__name__}: {error}"[:500])


def _is_stopping() -> bool:
    """True once the process ends: threads that run are waited for."""
    return not threading.main_thread().is_alive()
