"""Rate limiter: counts in Redis for all processes, in this process alone while Redis is unavailable."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from flask import current_app
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter

from shop.core import clock, redis

T = TypeVar("T")
_SOON = 0.02
"""Seconds between attempts of `wait_for_turn`. A window begins with its first call, not at a full second: a caller that
slept until the next full second would wake within the old window.
"""


_COUNT = b"""
local number = redis.call("incrby", KEYS[1], ARGV[2])
if number == tonumber(ARGV[2]) then redis.call("expire", KEYS[1], ARGV[1]) end
return {number, redis.call("ttl", KEYS[1])}
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
    """Count one use of `names`; True if it is within `item`."""
    return _call(lambda limiter: limiter.hit(item, *names))


@dataclass(frozen=True)
class Use:
    """A counted use: True if it is within the limit, the uses that are left, and seconds until the count restarts."""

    is_allowed: bool
    left: int
    seconds: int


def reserve(item: RateLimitItem, *names: str, uses: int = 1) -> tuple[int, Use]:
    """Count several uses of `names` at once: how many of them are within `item`, and what is left after them."""

    def count(limiter: FixedWindowRateLimiter) -> tuple[int, int]:
        if isinstance(limiter.storage, RedisStorage):
            return _counted(limiter.storage, item, names, uses)
        number = limiter.storage.incr(item.key_for(*names), item.get_expiry(), amount=uses)
        resets_at, _ = limiter.get_window_stats(item, *names)
        return number, math.ceil(resets_at - clock.wall().timestamp())

    number, seconds = _call(count)
    within = max(0, min(uses, uses - (number - item.amount)))
    return within, Use(within > 0, max(0, item.amount - number), max(1, seconds))


def _counted(storage: RedisStorage, item: RateLimitItem, names: tuple[str, ...], uses: int) -> tuple[int, int]:
    """The count with these uses, and seconds until it restarts: one round trip, with the keys of `limits`."""
    script = storage.get_connection().register_script(_COUNT)
    number, seconds = script([storage.prefixed_key(item.key_for(*names))], [item.get_expiry(), uses])
    return number, seconds


def undo_hit(item: RateLimitItem, *names: str) -> None:
    """Subtract one use of `names` that `allowed` counted and that had no effect."""
    _call(lambda limiter: limiter.storage.incr(item.key_for(*names), item.get_expiry(), amount=-1) <= item.amount)


def exhausted_until(item: RateLimitItem, *names: str) -> datetime | None:
    """The time (wall) from which `names` may be used again; None while uses are left. Counts nothing."""
    resets_at, left = _call(lambda limiter: limiter.get_window_stats(item, *names))
    return None if left else datetime.fromtimestamp(resets_at, UTC)


def clear(item: RateLimitItem, *names: str) -> None:
    """Forget the uses of `names`."""
    _call(lambda limiter: limiter.clear(item, *names))


def _call(operation: Callable[[FixedWindowRateLimiter], T]) -> T:
    limiters = _limiters()

    def call(client: object) -> T:
        if limiters.shared is None:
            storage = RedisStorage("redis://", connection_pool=client.connection_pool)  # type: ignore[attr-defined]
            limiters.shared = FixedWindowRateLimiter(storage)
        return operation(limiters.shared)

    try:
        return redis.attempt(call)
    except redis.RedisAway:
        return operation(limiters.local)


def wait_for_turn(name: str, per_second: int, *, patience: float = 5.0) -> bool:
    """Wait until one more call of `name` is allowed; False if that takes longer than `patience` seconds."""
    item = RateLimitItemPerSecond(per_second)
    deadline = time.monotonic() + patience
    while not allowed(item, "calls", name):
        if time.monotonic() > deadline:
            return False
        time.sleep(_SOON)
    return True
