"""Redis away or hung: no long waits, and counters kept per process."""

from __future__ import annotations

import time

import pytest
from flask import Flask, current_app
from limits import RateLimitItemPerMinute

from shop.core import rate_limit, redis, task_queue
from tests.parts.redis_server import RedisServer

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@on_sqlite
@pytest.mark.parametrize("hurt", [RedisServer.pause, RedisServer.kill])
def test_a_redis_that_hangs_costs_half_a_second_once_and_then_nothing(
    app: Flask, own_redis: RedisServer, hurt: object
) -> None:
    """Case 25."""
    with app.app_context():
        assert redis.is_here()
        hurt(own_redis)  # type: ignore[operator]
        began = time.monotonic()
        assert not redis.is_here()
        first = time.monotonic() - began
        began = time.monotonic()
        assert not any(redis.is_here() for _ in range(20))
        rest = time.monotonic() - began
    assert first < 2.0
    assert rest < 0.5, "it is left alone for a moment"


@on_sqlite
def test_a_redis_that_is_back_is_used_again(app: Flask, own_redis: RedisServer) -> None:
    with app.app_context():
        own_redis.kill()
        assert not redis.is_here()
        own_redis.start()
        current_app.extensions["settled_redis"].away_until = 0.0  # its pause is over
        assert redis.is_here()


@on_sqlite
def test_work_is_not_handed_over_while_redis_is_away(app: Flask, own_redis: RedisServer) -> None:
    with app.app_context():
        assert task_queue.enqueue("shop.jobs.work.batch", "poll", [], job_id="poll-1")
        own_redis.kill()
        assert not task_queue.enqueue("shop.jobs.work.batch", "poll", [], job_id="poll-2")


@on_sqlite
def test_a_rate_is_kept_with_redis_and_without(app: Flask, own_redis: RedisServer) -> None:
    thrice = RateLimitItemPerMinute(3)
    with app.app_context():
        assert [rate_limit.allowed(thrice, "with") for _ in range(5)] == [True] * 3 + [False] * 2
        own_redis.kill()
        assert [rate_limit.allowed(thrice, "without") for _ in range(5)] == [True] * 3 + [False] * 2
