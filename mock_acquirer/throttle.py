"""Rate limit per client address: 429 with Retry-After beyond it. Counted in memory, per process."""

from __future__ import annotations

import math
import time

from flask import Flask, request
from limits import RateLimitItem
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from mock_acquirer.errors import Refused

UNCOUNTED = ("static", "healthz")


def set_up(app: Flask) -> None:
    """Install the limit, unless ACQUIRER_RATE_LIMIT is empty."""
    limit: RateLimitItem | None = app.config["ACQUIRER_RATE_LIMIT"]
    if limit is None:
        return
    limiter = FixedWindowRateLimiter(MemoryStorage())

    def count() -> None:
        if request.endpoint in UNCOUNTED:
            return
        who = request.remote_addr or "nobody"
        if not limiter.hit(limit, who):
            wait = max(1, math.ceil(limiter.get_window_stats(limit, who).reset_time - time.time()))
            sentence = f"Too many requests. Try again in {wait} s."
            raise Refused(429, "rate_limit", "too_many_requests", sentence, headers={"Retry-After": str(wait)})

    app.before_request(count)
