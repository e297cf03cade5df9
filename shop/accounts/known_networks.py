"""Known networks: client networks from which a program has signed in to an account within a day.

A program keeps no cookie, so it has no known device. Without this each of its sign-ins would be mailed about. The marks
are in Redis; while it is away each process has its own, and a mail more is sent.
"""

from __future__ import annotations

from limits import RateLimitItemPerDay

from shop.core import rate_limit

_ONCE = RateLimitItemPerDay(1)
_NAME = "program signed in"


def knows(user_id: int, network: str) -> bool:
    """True if a program has signed in to the account from this client network within a day."""
    return rate_limit.exhausted_until(_ONCE, _NAME, str(user_id), network) is not None


def remember(user_id: int, network: str) -> None:
    """Note a sign-in, after its transaction."""
    rate_limit.allowed(_ONCE, _NAME, str(user_id), network)
