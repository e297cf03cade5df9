"""Alert on a clock or worker process that has stopped working because its time is wrong."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from shop.alerts.episodes import CheckRun, follow, since
from shop.alerts.store import WATCH, Cause
from shop.core import clock, skew
from shop.core.db import db
from shop.core.heartbeat import Heartbeat

RULE = "OPS_PROCESS_TIME"
QUIET = timedelta(minutes=1)
"""Time without a heartbeat of that process after which the alert is over."""


_PROCESSES = {"clock": skew.SKEWED, "worker": skew.WORKER_SKEWED}
"""Subject of the alert, and the heartbeat that such a process sends while its time is wrong."""


def skewed(run: CheckRun, ahead: float | None = None) -> None:
    """Alert while a clock or worker process reports that its time is wrong; `ahead` is the skew in seconds if it is
    this process, a clock.
    """
    rows = db.session.execute(select(Heartbeat.name, Heartbeat.at).where(Heartbeat.name.in_(_PROCESSES.values())))
    heartbeats = dict(rows.all())
    now = clock.wall() - timedelta(seconds=ahead or 0.0)
    known = {alert.subject: alert.cause for alert in run.open(RULE)}
    found: list[Cause] = []
    for subject, name in _PROCESSES.items():
        at = heartbeats.get(name)
        if at is not None and abs(now - at) < QUIET:
            observed = {} if ahead is None or subject != "clock" else {"secondsAhead": round(ahead, 1)}
            cause, expected = known.get(subject) or since(at), {"secondsAhead": 0}
            found.append(
                Cause(rule=RULE, subject=subject, cause=cause, source=WATCH, observed=observed, expected=expected)
            )
    follow(run, RULE, found, "No process has a wrong time any more.")
