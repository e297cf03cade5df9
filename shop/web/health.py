"""Signs of life, for platforms and for people who look after the shop."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST
from rq import Worker
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from shop.core import beats, metrics, redis
from shop.core.db import db
from shop.core.queue import queue
from shop.web.access import access

OK, DEGRADED, AWAY = "ok", "degraded", "away"
CLOCK_LATE = 15.0
WORKER_LATE = 90.0
"""Seconds without a sign of life after which a process counts as degraded; workers that idle report once a minute."""

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@access("public")
def healthz() -> dict[str, str]:
    """200 while this process answers."""
    return {"status": OK}


@blueprint.get("/readyz")
@access("public")
def readyz() -> tuple[dict[str, str], int]:
    """What this process needs. Only a missing database makes it unready: webhooks must go on without the rest."""
    database, clock = _database_and_clock()
    state = {
        "database": database,
        "redis": OK if redis.is_here() else DEGRADED,
        "worker": OK if _workers() else DEGRADED,
        "clock": clock,
    }
    return state, 200 if database == OK else 503


@blueprint.get("/metrics")
@access("public")
def metrics_page() -> Response:
    """Prometheus' text format."""
    return Response(metrics.page(), content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})


def _database_and_clock() -> tuple[str, str]:
    try:
        db.session.execute(text("SELECT 1"))
        age = beats.age("clock")
    except SQLAlchemyError:
        db.session.remove()
        return AWAY, DEGRADED
    return OK, OK if age is not None and age < CLOCK_LATE else DEGRADED


def _workers() -> int:
    """How many RQ workers of the shop's queue have been seen lately."""
    try:
        workers = redis.attempt(lambda client: Worker.all(connection=client, queue=queue()))
    except redis.RedisAway:
        return 0
    now = datetime.now(UTC)
    return sum(1 for w in workers if w.last_heartbeat and (now - _utc(w.last_heartbeat)).total_seconds() < WORKER_LATE)


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at
