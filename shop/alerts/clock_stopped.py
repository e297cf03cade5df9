"""Alert on a clock process that is not running, raised by the other processes, and resolved by the clock."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from shop.alerts import episodes
from shop.alerts.episodes import CheckRun, since
from shop.alerts.store import WATCH, Cause
from shop.core import clock
from shop.core.db import db
from shop.core.heartbeat import Heartbeat

RULE = "OPS_CLOCK_STOPPED"
STOPPED_AFTER = timedelta(minutes=5)
"""Time without a heartbeat; a release stops the clock for less."""


def is_stopped() -> bool:
    """Raise the alert if the clock has sent no heartbeat for STOPPED_AFTER, once for each stop. False for a shop whose
    clock has never run.
    """
    at = db.session.scalar(select(Heartbeat.at).where(Heartbeat.name == "clock"))
    db.session.rollback()
    if at is None or clock.wall() - at < STOPPED_AFTER:
        return False
    observed = {"lastHeartbeatAt": at.isoformat()}
    episodes.report([Cause(RULE, "clock", since(at), WATCH, observed, {"everySeconds": 5})])
    return True


def over(run: CheckRun) -> None:
    """Resolve the alert: the clock makes this check, so it runs."""
    episodes.follow(run, RULE, [], "The clock process runs again.")
