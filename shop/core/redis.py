"""Redis client: optional, never required for payments.

Every use goes through `attempt`, which fails fast and then pauses, so that a hung server costs each process half a
second a second or so instead of half a second per request.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

import redis
from flask import Flask, current_app
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool, UnixDomainSocketConnection
from redis.exceptions import RedisError
from redis.retry import Retry

T = TypeVar("T")
_REST = 1.0  # seconds without a new attempt after a failure


class RedisAway(Exception):
    """Redis did not answer, failed a moment ago, or is not configured."""


class _State:
    def __init__(self) -> None:
        self.client: redis.Redis | None = None
        self.away_until = 0.0
        self.failed = False
        self.unsent: deque[tuple[str, str]] = deque()
        self.publishing = threading.Lock()


class _FixedTimeouts(ConnectionPool):
    """A pool whose connections keep its timeouts.

    RQ raises `socket_timeout` in the options of any client that a `Worker` is made with, also one that only lists
    workers, to 415 seconds: after that every new connection of the process would wait that long for a hung server.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._timeouts = {name: options[name] for name in ("socket_timeout", "socket_connect_timeout")}

    def make_connection(self) -> Any:
        self.connection_kwargs.update(self._timeouts)
        return super().make_connection()


UnixDomainSocketConnection.port = 0  # type: ignore[attr-defined]
"""redis-py 8.1 reads this attribute after a connect timeout; without it AttributeError replaces TimeoutError."""


def init_app(app: Flask) -> None:
    app.extensions["settled_redis"] = _State()


def connect(url: str, *, insecure_tls: bool = False, **options: Any) -> redis.Redis:
    """A client whose calls return or fail within half a second. Blocking readers pass their own `socket_timeout`."""
    options = {"socket_connect_timeout": 0.25, "socket_timeout": 0.5, "retry": Retry(NoBackoff(), 0), **options}
    if insecure_tls and url.startswith("rediss://"):
        options["ssl_cert_reqs"] = "none"
    client = redis.Redis(connection_pool=_FixedTimeouts.from_url(url, **options))
    client.auto_close_connection_pool = True  # as Redis.from_url does
    return client


def client(**options: Any) -> redis.Redis:
    """The client of this app; with `options`, a new one. Raises RedisAway when no Redis is configured."""
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
    """Return `use(client)`. Raises RedisAway when Redis is unavailable.

    After a failure one caller per second retries; the others fail at once.
    """
    state: _State = current_app.extensions["settled_redis"]
    if time.monotonic() < state.away_until:
        raise RedisAway("paused after a failure")
    if state.failed:
        state.away_until = time.monotonic() + _REST
    try:
        answer = use(client())
    except (RedisError, OSError) as error:
        state.failed, state.away_until = True, time.monotonic() + _REST
        raise RedisAway(str(error)) from error
    state.failed, state.away_until = False, 0.0
    return answer


def publish(messages: Iterable[tuple[str, str]]) -> None:
    """Publish messages to channels. They are lost while Redis is unavailable.

    While one caller waits for Redis, messages of others collect, and the next caller sends them all: a call for each
    costs a tenth of the time of a webhook.
    """
    state: _State = current_app.extensions["settled_redis"]
    state.unsent.extend(messages)
    with state.publishing:
        batch = [state.unsent.popleft() for _ in range(len(state.unsent))]
        if batch:
            with suppress(RedisAway):
                attempt(lambda client: _send(client, batch))


def _send(client: redis.Redis, messages: Iterable[tuple[str, str]]) -> None:
    pipe = client.pipeline(transaction=False)
    for channel, message in messages:
        pipe.publish(channel, message)
    pipe.execute()


def is_here() -> bool:
    """True if Redis answers now."""
    try:
        return bool(attempt(lambda r: r.ping()))
    except RedisAway:
        return False
