"""Redis away or hung: nothing waits for it for long, and what it counted each process counts for itself."""

from __future__ import annotations

import time

import pytest
from flask import Flask, current_app
from limits import RateLimitItemPerMinute

from shop.core import queue, rate, redis
from tests.parts.redis_server import RedisServer

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def redis_url(own_redis: RedisServer) -> str:
    return own_redis.url


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
        current_app.extensions["settled_redis"].away_until = 0.0  # its rest is over
        assert redis.is_here()


@on_sqlite
def test_work_is_not_handed_over_while_redis_is_away(app: Flask, own_redis: RedisServer) -> None:
    with app.app_context():
        assert queue.hand_over("shop.jobs.work.batch", "poll", [], job_id="poll-1")
        own_redis.kill()
        assert not queue.hand_over("shop.jobs.work.batch", "poll", [], job_id="poll-2")


@on_sqlite
def test_a_rate_is_kept_with_redis_and_without(app: Flask, own_redis: RedisServer) -> None:
    thrice = RateLimitItemPerMinute(3)
    with app.app_context():
        assert [rate.allowed(thrice, "with") for _ in range(5)] == [True] * 3 + [False] * 2
        own_redis.kill()
        assert [rate.allowed(thrice, "without") for _ in range(5)] == [True] * 3 + [False] * 2
