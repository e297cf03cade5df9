"""Watch of the clock by a worker. While the clock is stopped, it publishes events and notifies people."""

from __future__ import annotations

import time
from contextlib import suppress

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from shop.alerts import clock_stopped
from shop.core import logs
from shop.core.db import db
from shop.jobs import work
from shop.jobs.schedule import BY_KIND

log = logs.get()
EVERY = 15.0
"""Seconds between two checks."""
KINDS = ("outbox", "summary", "mail", "chat")
"""Work by which people are notified. Its rows are claimed, so that a clock that starts meanwhile does nothing twice."""


def run(app: Flask) -> None:
    """Check for ever, in a thread of its own: the mail server may be slow."""
    while True:
        time.sleep(EVERY)
        with app.app_context():
            check()


def check() -> None:
    """Alert on a stopped clock, and do the work of KINDS in its place."""
    try:
        if not clock_stopped.is_stopped():
            return
        for kind in KINDS:
            work.batch(kind, BY_KIND[kind].due())
    except Exception as error:  # noqa: BLE001 - an error must not end the watch
        with suppress(SQLAlchemyError):
            db.session.rollback()
        log.error("worker.clock_watch_failed", error=f"{type(error).__name__}: {error}"[:500])
