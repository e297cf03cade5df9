"""How often something may happen, counted in Redis for all processes, and in this process alone while Redis is away."""

from __future__ import annotations

import time

from flask import current_app
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter

from shop.core import redis

_SOON = 0.02
"""Seconds until a turn is asked for again. A window begins with its first call and not with a second of the clock: who
waits for the next full second wakes up within the old window, and loses every other one.
"""


class _Limiters:
    def __init__(self) -> None:
        self.local = FixedWindowRateLimiter(MemoryStorage())
        self.shared: FixedWindowRateLimiter | None = None


def _limiters() -> _Limiters:
    found: _Limiters | None = current_app.extensions.get("settled_rate")
    if found is None:
        found = current_app.extensions["settled_rate"] = _Limiters()
    return found


def allowed(item: RateLimitItem, *names: str) -> bool:
    """Count one use of `names` and say whether it stays within `item`."""
    limiters = _limiters()

    def ask(client: object) -> bool:
        if limiters.shared is None:
            storage = RedisStorage("redis://", connection_pool=client.connection_pool)  # type: ignore[attr-defined]
            limiters.shared = FixedWindowRateLimiter(storage)
        return limiters.shared.hit(item, *names)

    try:
        return redis.attempt(ask)
    except redis.RedisAway:
        return limiters.local.hit(item, *names)


def wait_for_turn(name: str, per_second: int, *, patience: float = 5.0) -> bool:
    """Wait until one more call of `name` is allowed; False when that takes longer than `patience` seconds."""
    item = RateLimitItemPerSecond(per_second)
    give_up = time.monotonic() + patience
    while not allowed(item, "calls", name):
        if time.monotonic() > give_up:
            return False
        time.sleep(_SOON)
    return True
