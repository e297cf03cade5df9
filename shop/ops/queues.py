"""Queues: due work by kind, the processes that do it, and "run now" by kind."""

from __future__ import annotations

from datetime import datetime, timedelta

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from redis import Redis

from shop.accounts.permissions import Permission
from shop.core import clock, heartbeat, redis, task_queue
from shop.core.errors import Refusal
from shop.core.filter_values import refuse_unknown
from shop.http_kit.access import requires
from shop.ops import acts
from shop.ops.home import LATE
from shop.ops.navigation import Group, Link
from shop.queues import queues

bp = Blueprint("queues", __name__)
LINKS = (Link("Queues", "ops.queues.index", Permission.QUEUE_READ, Group.SYSTEM),)
RQ_QUEUES = (task_queue.NAME, "acquirer")
"""Queues in Redis; the second one has the deliveries of the mock acquirer."""
LIST_OF_FAILED = {
    "inbox": ("ops.webhooks.index", {"state": "failing"}),
    "mail": ("ops.mails.index", {"state": "FAILED"}),
    "outgoing_webhooks": ("ops.endpoints.index", {}),
    "settlement": ("ops.reconciliation.index", {}),
}
"""Endpoints and filters of the lists of what has failed, by kind."""


@bp.get("/queues")
@requires(Permission.QUEUE_READ)
def index() -> str:
    """All kinds of due work with their numbers, the processes, and the queues in Redis."""
    refuse_unknown(request.args, ())
    return _page()


@bp.post("/queues/<kind>/run")
@requires(Permission.QUEUE_RUN)
def run(kind: str) -> ResponseReturnValue:
    """Make waiting rows of a kind due now."""
    try:
        count = queues.run_now(kind, by=acts.reader(), reason=acts.reason())
    except Refusal as refusal:
        return _page(refusal, kind), refusal.status
    flash(f"Due now: {count}. The clock and the workers do them within seconds.")
    return redirect(url_for("ops.queues.index"), 303)


def _page(refusal: Refusal | None = None, ran: str = "") -> str:
    ages = heartbeat.ages()
    return render_template(
        "ops/queues.html",
        states=queues.states(),
        without_rows=queues.WITHOUT_ROWS,
        counted=queues.COUNTED,
        at_once=queues.AT_ONCE,
        processes=[(name, *_process(ages.get(name))) for name in ("clock", "worker")],
        jobs=_jobs(),
        failed_lists=LIST_OF_FAILED,
        refusal=refusal,
        ran=ran,
        reason=request.form.get("reason", ""),
    )


def _process(age: float | None) -> tuple[bool, datetime | None]:
    """True if a process with a heartbeat of this age works, and the time of the heartbeat."""
    at = None if age is None else clock.wall() - timedelta(seconds=age)
    return age is not None and age <= LATE, at


def _jobs() -> list[tuple[str, int]] | None:
    """Jobs that wait in each queue of Redis; None while Redis is away."""

    def lengths(client: Redis) -> list[tuple[str, int]]:
        return [(name, int(client.llen(f"rq:queue:{name}"))) for name in RQ_QUEUES]

    try:
        return redis.attempt(lengths)
    except redis.RedisAway:
        return None
