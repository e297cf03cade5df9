"""Redis, which makes things fast and is never needed for money.

Every use goes through `attempt`, which gives up quickly and remembers for a moment that Redis is away, so that a hung
server costs each process half a second now and then and not half a second per request.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import redis
from flask import Flask, current_app
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

T = TypeVar("T")
_REST = 1.0  # seconds without a new try after a failure


class RedisAway(Exception):
    """Redis did not answer, or has just not answered, or there is none."""


class _State:
    def __init__(self) -> None:
        self.client: redis.Redis | None = None
        self.away_until = 0.0


def init_app(app: Flask) -> None:
    app.extensions["settled_redis"] = _State()


def connect(url: str, *, insecure_tls: bool = False, **options: Any) -> redis.Redis:
    """A client that answers or fails within half a second. Blocking readers pass their own `socket_timeout`."""
    options = {"socket_connect_timeout": 0.25, "socket_timeout": 0.5, "retry": Retry(NoBackoff(), 0), **options}
    if insecure_tls and url.startswith("rediss://"):
        options["ssl_cert_reqs"] = "none"
    return redis.Redis.from_url(url, **options)


def client(**options: Any) -> redis.Redis:
    """This app's client; with `options`, a new one. Raises RedisAway when no Redis is configured."""
    url, insecure = current_app.config["REDIS_URL"], current_app.config["REDIS_TLS_INSECURE"]
    if not url:
        raise RedisAway("no REDIS_URL")
    if options:
        return connect(url, insecure_tls=insecure, **options)
    state: _State = current_app.extensions["settled_redis"]
    if state.client is None:
        state.client = connect(url, insecure_tls=insecure)
    return state.client


def attempt(use: Callable[[redis.Redis], T]) -> T:
    """`use(client)`. Raises RedisAway when Redis is away."""
    state: _State = current_app.extensions["settled_redis"]
    if time.monotonic() < state.away_until:
        raise RedisAway("resting after a failure")
    try:
        return use(client())
    except RedisError as error:
        state.away_until = time.monotonic() + _REST
        raise RedisAway(str(error)) from error


def is_here() -> bool:
    """Whether Redis answers now."""
    try:
        return bool(attempt(lambda r: r.ping()))
    except RedisAway:
        return False
