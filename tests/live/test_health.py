from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

from shop.core import clock, heartbeat
from shop.core.db import db
from tests.parts.redis_server import RedisServer


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def readyz(client: FlaskClient) -> tuple[int, dict[str, str]]:
    answer = client.get("/readyz")
    return answer.status_code, answer.json or {}


def test_healthz_answers_while_the_process_lives_under_any_host_name(client: FlaskClient) -> None:
    assert client.get("/healthz", headers={"Host": "10.1.2.3:8000"}).status_code == 200


def test_readyz_names_what_is_well_and_what_is_degraded(app: Flask, client: FlaskClient) -> None:
    status, state = readyz(client)
    assert (status, state["database"], state["redis"]) == (200, "ok", "ok")
    assert (state["worker"], state["clock"]) == ("degraded", "degraded")
    with app.app_context():
        heartbeat.record("clock")
        heartbeat.record("worker")
    assert readyz(client) == (200, dict.fromkeys(("database", "redis", "worker", "clock"), "ok"))
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=5)):
        status, state = readyz(client)
    assert (status, state["worker"], state["clock"]) == (200, "degraded", "degraded")


def test_readyz_stays_ready_without_redis(client: FlaskClient, own_redis: RedisServer) -> None:
    own_redis.stop()
    status, state = readyz(client)
    assert (status, state["database"], state["redis"]) == (200, "ok", "degraded")


def test_readyz_is_503_only_without_the_database(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        engine = db.engine

    def refuse(*_: object) -> None:
        raise engine.dialect.dbapi.OperationalError("away")  # type: ignore[union-attr]

    event.listen(engine, "before_cursor_execute", refuse)
    try:
        status, state = readyz(client)
        assert (status, state["database"], state["redis"]) == (503, "away", "ok")
        assert client.get("/healthz").status_code == 200
        page = client.get("/")
        assert page.status_code == 503
        assert int(page.headers["Retry-After"]) > 0
        assert "away" not in page.text.split("<p>")[0]
    finally:
        event.remove(engine, "before_cursor_execute", refuse)
    assert client.get("/").status_code == 200


def test_a_heartbeat_is_written_once_in_five_seconds_and_does_not_depend_on_the_shops_clock(app: Flask) -> None:
    with app.app_context():
        assert heartbeat.age("clock") is None
        heartbeat.record("clock")
        first = db.session.scalar(db.select(heartbeat.Heartbeat.at))
        db.session.rollback()
        heartbeat.record("clock")
        assert db.session.scalar(db.select(heartbeat.Heartbeat.at)) == first
        clock.advance(timedelta(hours=3))
        age = heartbeat.age("clock")
        assert age is not None
        assert age < 60


def test_metrics_are_prometheus_text(client: FlaskClient) -> None:
    client.get("/")
    page = client.get("/metrics")
    assert page.mimetype == "text/plain"
    assert 'settled_requests_total{endpoint="catalogue.index",status="200"}' in page.text


@pytest.mark.parametrize(
    ("token", "header", "opens"),
    [
        ("", "", False),
        ("", "Bearer ", False),
        ("m" * 32, "", False),
        ("m" * 32, "Bearer wrong", False),
        ("m" * 32, "Basic " + "m" * 32, False),
        ("m" * 32, "Bearer " + "m" * 32, True),
        ("m" * 32, "Bearer \xff", False),
    ],
)
def test_in_production_only_the_bearer_of_the_metrics_token_sees_details(
    app: Flask, client: FlaskClient, token: str, header: str, opens: bool
) -> None:
    """Also on loopback: behind a proxy on the same machine every client has that address."""
    app.config.update(SETTLED_ENV="production", METRICS_TOKEN=token)
    headers = {"Authorization": header}
    ready, page = client.get("/readyz", headers=headers), client.get("/metrics", headers=headers)
    assert (ready.status_code, page.status_code) == (200, 200 if opens else 401)
    assert (ready.json or {}).keys() == ({"database", "redis", "worker", "clock"} if opens else {"status"})
    assert ("settled_requests" in page.text) == opens
    app.config.update(SETTLED_ENV="development")


def test_in_production_everyone_sees_that_the_shop_is_not_ready(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        engine = db.engine

    def refuse(*_: object) -> None:
        raise engine.dialect.dbapi.OperationalError("away")  # type: ignore[union-attr]

    app.config["SETTLED_ENV"] = "production"
    event.listen(engine, "before_cursor_execute", refuse)
    try:
        assert readyz(client) == (503, {"status": "away"})
    finally:
        event.remove(engine, "before_cursor_execute", refuse)
        app.config["SETTLED_ENV"] = "development"
