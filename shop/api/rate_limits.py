"""Rate limits of the API by caller, with the headers RateLimit-Policy, RateLimit and Retry-After.

The headers are those of draft-ietf-httpapi-ratelimit-headers-11. Counts are shared through Redis; while it is away each
process counts for itself. Of a policy with many calls a process counts a sixtieth of a minute's calls at once, and lets
them pass without asking Redis: a caller gets no more calls than it may, and of several processes the last ones may
refuse it a moment too early.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from flask import Response, current_app, g
from limits import RateLimitItemPerMinute

from shop.core import rate_limit
from shop.core.rate_limit import Use
from shop.http_kit.request_guard import TooMany

WINDOW = 60
"""Seconds."""
MOST_CALLERS = 10_000
"""Callers for whom a process counts in advance."""


@dataclass(frozen=True)
class Policy:
    """Calls per minute of an account or API key, and of a client network without either."""

    name: str
    known: int
    guests: int

    def most(self, *, is_known: bool) -> int:
        return self.known if is_known else self.guests


DEFAULT = Policy("default", 600, 300)
ORDERS = Policy("orders", 120, 30)
"""Calls that create orders."""
PAYMENTS = Policy("payments", 120, 30)
"""Calls that start payments."""
REFRESH = Policy("refresh", 60, 30)
"""Calls that ask an acquirer."""
NOTIFICATIONS = Policy("notifications", 6000, 6000)
"""Webhooks of acquirers, by client network. Above it they are sent again later."""
BULK = Policy("bulk", 10, 10)
"""Calls that queue many deliveries at once."""
SIGN_IN = Policy("sign_in", 60, 60)
"""Sign-in and refresh, besides the throttle on wrong passwords."""
REFUSED = RateLimitItemPerMinute(120)
"""Calls with invalid tokens from one client network."""
HEADERS: dict[str, Any] = {
    "RateLimit-Policy": {"description": 'Quota and window: `"default";q=600;w=60`.', "schema": {"type": "string"}},
    "RateLimit": {"description": 'Calls left, and seconds: `"default";r=599;t=60`.', "schema": {"type": "string"}},
}


def count(policy: Policy, caller: str, *, is_known: bool) -> None:
    """Count a call. Raises TooMany (429) with the seconds to wait."""
    if not current_app.config.get("RATE_LIMITS", True):
        return
    most = policy.most(is_known=is_known)
    use = _use(policy.name, most, caller)
    g.api_rate = (policy.name, most, use)
    if not use.is_allowed:
        raise TooMany(use.seconds, f"At most {most} calls a minute are allowed. Try again in {use.seconds} seconds.")


class _Counted:
    """Calls that this process has counted in advance: by policy and caller, how many, of what count, and until when."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.pages: OrderedDict[tuple[str, str], tuple[int, int, float]] = OrderedDict()


def _counted(kept: dict[str, Any]) -> _Counted:
    found: _Counted | None = kept.get("settled_api_calls")
    return kept.setdefault("settled_api_calls", _Counted()) if found is None else found


def _use(policy: str, most: int, caller: str) -> Use:
    """Count a call, by those that were counted in advance while there are some."""
    counted = _counted(current_app.extensions)
    key, now = (policy, caller), time.monotonic()
    with counted.lock:
        in_hand, left, ends = counted.pages.pop(key, (0, 0, 0.0))
        if in_hand and now < ends:
            counted.pages[key] = (in_hand - 1, left, ends)
            return Use(True, left + in_hand - 1, math.ceil(ends - now))
    within, use = rate_limit.reserve(RateLimitItemPerMinute(most), f"api {policy}", caller, uses=max(1, most // WINDOW))
    if within > 1:
        with counted.lock:
            counted.pages[key] = (within - 1, use.left, now + use.seconds)
            if len(counted.pages) > MOST_CALLERS:
                counted.pages.popitem(last=False)
    return Use(use.is_allowed, use.left + max(0, within - 1), use.seconds)


def count_refused(network: str) -> None:
    """Count a call with an invalid token. Raises TooMany (429) instead of the answer 401."""
    if current_app.config.get("RATE_LIMITS", True) and not rate_limit.allowed(REFUSED, "api refused", network):
        raise TooMany(WINDOW)


def add_headers(response: Response) -> None:
    """Add the headers of the call that was counted."""
    if (counted := g.get("api_rate")) is not None:
        name, most, use = counted
        response.headers.add("RateLimit-Policy", f'"{name}";q={most};w={WINDOW}')
        response.headers.add("RateLimit", f'"{name}";r={use.left};t={use.seconds}')
