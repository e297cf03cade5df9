"""Liveness, readiness and metrics endpoints."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, request
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from shop.core import heartbeat, metrics, redis, skew, writable
from shop.core.db import db
from shop.core.errors import Away
from shop.core.sentences import sentence
from shop.http_kit import bearer
from shop.http_kit.access import access

OK, DEGRADED, AWAY, READ_ONLY, SKEWED = "ok", "degraded", "away", "read-only", "skewed"
CLOCK_LATE = 15.0
WORKER_LATE = 30.0
"""Seconds without a heartbeat after which a process counts as degraded."""

blueprint = Blueprint("health", __name__)


@blueprint.before_app_request
def refuse_writes_at_a_wrong_time() -> None:
    """Refuse forms and webhooks while the time of this process is wrong, as /readyz has measured it: it would decide
    too early that an order has expired.
    """
    if request.method not in ("GET", "HEAD", "OPTIONS") and abs(skew.last_measured()) > skew.LIMIT:
        raise Away(
            "wrong_time",
            sentence("The shop is temporarily unavailable. Nothing was changed. Please try again in a minute."),
        )


@blueprint.get("/healthz")
@access("public")
def healthz() -> dict[str, str]:
    """200 while this process answers."""
    return {"status": OK}


@blueprint.get("/readyz")
@access("public")
def readyz() -> tuple[dict[str, str], int]:
    """Readiness. Only a database that is unavailable or read-only, or a wrong time of this process, makes it unready:
    webhooks must be accepted without the other services.

    Every caller gets the status, the bearer of METRICS_TOKEN also the state of each service.
    """
    database, clock, worker, web = _database_and_processes()
    here = redis.is_here()
    state = {
        "database": database,
        "redis": OK if here else DEGRADED,
        "worker": worker if here or worker == SKEWED else DEGRADED,  # without Redis it receives no tasks
        "clock": clock,
    }
    if web != OK:
        state["web"] = web
    status = web if database == OK else database
    visible = state if _may_see_details() else {"status": status}
    return visible, 200 if status == OK else 503


@blueprint.get("/metrics")
@access("bearer", setting="METRICS_TOKEN", open_in_development=True)
def metrics_page() -> Response:
    """Metrics in Prometheus text format for the bearer of METRICS_TOKEN, in development without a token;
    otherwise 401.
    """
    return Response(metrics.page(), content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})


def _may_see_details() -> bool:
    """True in development and for the bearer of METRICS_TOKEN. The client address is no proof: behind a local proxy it
    is the proxy's.
    """
    return current_app.config["SETTLED_ENV"] == "development" or bearer.proves("METRICS_TOKEN")


def _database_and_processes() -> tuple[str, str, str, str]:
    """State of database, clock, worker and this web process. Other processes are judged by their own heartbeats: RQ's
    list of workers is lost with Redis.
    """
    try:
        db.session.execute(text("SELECT 1"))
        clock, worker = _heartbeat_state("clock", CLOCK_LATE), _heartbeat_state("worker", WORKER_LATE)
        if _heartbeat_state(skew.SKEWED, CLOCK_LATE) == OK:
            clock = SKEWED
        if _heartbeat_state(skew.WORKER_SKEWED, CLOCK_LATE) == OK:
            worker = SKEWED
        database = OK if writable.is_writable() else READ_ONLY
        web = OK if abs(skew.of_this_process()) <= skew.LIMIT else SKEWED
    except SQLAlchemyError:
        db.session.remove()
        return AWAY, DEGRADED, DEGRADED, OK
    return database, clock, worker, web


def _heartbeat_state(name: str, late: float) -> str:
    age = heartbeat.age(name)
    return OK if age is not None and age < late else DEGRADED
