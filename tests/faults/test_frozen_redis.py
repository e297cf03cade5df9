"""A frozen Redis (SIGSTOP) accepts connections and answers nothing. Measured through the real processes."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import httpx
import pytest
from flask import Flask
from rq import Queue, Worker

from shop.accounts import signin
from shop.core import redis, task_queue
from shop.core.actor import Actor
from shop.core.db import db
from tests.chaos.conftest import Deployment, Visitor, deployment  # noqa: F401 - a fixture
from tests.parts.redis_server import RedisServer
from tests.parts.waiting import until

PASSWORD = "correct horse battery staple"
PROMPT = 2.0
"""Seconds: half a second is specified, the rest is tolerance for a busy machine."""
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def frozen(deployment: Deployment, own_redis: RedisServer) -> Callable[[], None]:  # noqa: F811
    """Freeze Redis after every process has used it."""

    def freeze() -> None:
        own_redis.resume()
        until(
            lambda: httpx.get(f"{deployment.site}/readyz").json()["redis"] == "ok", what="the web process to use Redis"
        )
        own_redis.pause()

    return freeze


def first_bytes_of(site: str, path: str) -> int:
    """Open a stream and wait for its first bytes; returns the status."""
    with httpx.stream("GET", f"{site}{path}/events", timeout=30) as stream:
        next(stream.iter_bytes())
        return stream.status_code


@pytest.mark.full
@on_sqlite
def test_no_page_waits_for_a_frozen_redis_longer_than_half_a_second(
    deployment: Deployment,  # noqa: F811
    own_redis: RedisServer,
    frozen: Callable[[], None],
) -> None:
    """Every kind of page, each as the first to meet the frozen Redis."""
    deployment.web()
    worker = deployment.worker()
    until(lambda: Worker.count(connection=own_redis.client), within=30, what="the worker to register")
    visitor, signed_in = deployment.visitor(), deployment.visitor()
    signin.create("ada@example.com", "Ada", PASSWORD, [], by=Actor.operator())
    db.session.rollback()
    signed_in.post("/sign-in", "/sign-in", email="ada@example.com", password=PASSWORD)
    assert signed_in.client.get("/account").status_code == 200
    order = visitor.place()
    visitor.fill_cart()
    form = visitor.checkout_form()
    credentials = {"email": "ada@example.com", "password": PASSWORD, "csrf_token": form["csrf_token"]}
    requests: dict[str, tuple[Callable[[], int], int]] = {
        "readyz": (lambda: visitor.client.get("/readyz").status_code, 200),
        "account": (lambda: signed_in.client.get("/account").status_code, 503),
        "product": (lambda: signed_in.client.get("/products/pen").status_code, 200),
        "sign-in": (lambda: visitor.client.post("/sign-in", data=credentials).status_code, 503),
        "order": (lambda: signed_in.client.get(order).status_code, 200),
        "stream": (lambda: first_bytes_of(deployment.site, order), 200),
        "webhook": (lambda: visitor.client.post("/webhooks/kpay", content=b"{}").status_code, 401),
        "checkout": (lambda: visitor.client.post("/checkout", data=form).status_code, 303),
    }
    took = {}
    for name, (send, expected) in requests.items():
        frozen()
        began = time.monotonic()
        assert send() == expected, name
        took[name] = time.monotonic() - began
    assert all(seconds < PROMPT for seconds in took.values()), took
    began = time.monotonic()
    assert [visitor.client.get("/readyz").status_code for _ in range(5)] == [200] * 5
    assert time.monotonic() - began < PROMPT, "that Redis is away is remembered"
    own_redis.resume()
    assert worker.alive()


@pytest.mark.full
@on_sqlite
def test_clock_and_worker_survive_a_redis_that_was_frozen_for_longer_than_their_timeouts(
    deployment: Deployment,  # noqa: F811
    own_redis: RedisServer,
) -> None:
    """RQ ends its loop when Redis does not answer in time; the process does not end with it."""
    worker = deployment.worker()
    until(lambda: Worker.count(connection=own_redis.client), within=30, what="the worker to register")
    deployment.clock()
    orders = deployment.paid_there(3)
    own_redis.pause()
    deployment.shop.wait(seconds=11)
    deployment.until_all_are("PAID", orders)
    worker.wait_for_line("Redis connection timeout, quitting", within=60)
    own_redis.resume()
    more = deployment.paid_there(3)
    deployment.shop.wait(seconds=11)
    deployment.until_all_are("PAID", more)
    assert worker.alive()
    assert deployment.check() == "clean"


@on_sqlite
def test_the_client_keeps_its_timeouts_when_it_is_shared(app: Flask, own_redis: RedisServer) -> None:
    """RQ's `Worker` raises the socket timeout of its client to 415 seconds."""
    with app.app_context():
        client = redis.client()
        Worker([Queue("settled", connection=client)], connection=client).register_birth()
        assert Worker.all(connection=client, queue=task_queue.queue())
        client.connection_pool.disconnect()
        connections = [client.connection_pool.get_connection() for _ in range(2)]
        assert {(one.socket_timeout, one.socket_connect_timeout) for one in connections} == {(0.5, 0.25)}


@on_sqlite
def test_a_redis_whose_backlog_is_full_is_away_and_not_an_error(app: Flask, own_redis: RedisServer) -> None:
    """A frozen server accepts 511 connections; then connecting itself times out."""
    own_redis.pause()
    with app.app_context():
        for _ in range(2000):
            with socket.socket(socket.AF_UNIX) as caller:
                caller.setblocking(False)
                if caller.connect_ex(str(own_redis.socket)):
                    break
        began = time.monotonic()
        assert not redis.is_here()
        assert time.monotonic() - began < PROMPT


@on_sqlite
def test_while_redis_is_away_one_caller_a_second_finds_out_and_the_others_do_not_wait(
    app: Flask, own_redis: RedisServer
) -> None:
    with app.app_context():
        assert redis.is_here()
        own_redis.pause()
        assert not redis.is_here()
        state = app.extensions["settled_redis"]
        state.away_until = 0.0  # its pause is over
        requested = []

        def finds_out(client: object) -> None:
            requested.append(1)
            began = time.monotonic()
            with pytest.raises(redis.RedisAway):
                redis.attempt(lambda _: requested.append(2))
            assert time.monotonic() - began < 0.1

        redis.attempt(finds_out)
        assert requested == [1]
