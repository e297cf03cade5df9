"""The states of a payment and every legal move between them, as data. Pictures and tests are made from this table."""

from __future__ import annotations

CREATED = "CREATED"
UNKNOWN = "UNKNOWN"
OPEN = "OPEN"
AUTHORIZED = "AUTHORIZED"
FAILED = "FAILED"
CANCELLED = "CANCELLED"
EXPIRED = "EXPIRED"
CAPTURED = "CAPTURED"

STATES = (CREATED, UNKNOWN, OPEN, AUTHORIZED, FAILED, CANCELLED, EXPIRED, CAPTURED)
STILL_OPEN = frozenset({CREATED, OPEN, UNKNOWN, AUTHORIZED})
"""It may still bring money. At most one payment of an order is in here."""
ENDED_WITHOUT_MONEY = frozenset({FAILED, CANCELLED, EXPIRED})
NEVER_OPENED = frozenset({"refused", "unavailable", "never_arrived"})
"""End reasons of payments that, as far as we know, the acquirer has never had."""

MOVES: dict[str, frozenset[str]] = {
    CREATED: frozenset({OPEN, UNKNOWN, AUTHORIZED, FAILED, CANCELLED, EXPIRED, CAPTURED}),
    UNKNOWN: frozenset({OPEN, AUTHORIZED, FAILED, CANCELLED, EXPIRED, CAPTURED}),
    OPEN: frozenset({AUTHORIZED, FAILED, CANCELLED, EXPIRED, CAPTURED}),
    AUTHORIZED: frozenset({FAILED, CANCELLED, EXPIRED, CAPTURED}),
    FAILED: frozenset({CAPTURED}),
    CANCELLED: frozenset({CAPTURED}),
    EXPIRED: frozenset({CAPTURED}),
    CAPTURED: frozenset(),
}
_HEIGHT = {CREATED: 0, UNKNOWN: 1, OPEN: 2, AUTHORIZED: 3, FAILED: 4, CANCELLED: 4, EXPIRED: 4, CAPTURED: 5}


def judge(current: str, reported: str) -> str:
    """What a report of `reported` means for a payment in `current`: applied, duplicate, stale or illegal.

    Height alone decides, never age: times of different sources cannot be compared.
    """
    if current == reported:
        return "duplicate"
    if reported in MOVES[current]:
        return "applied"
    return "stale" if _HEIGHT[reported] < _HEIGHT[current] else "illegal"
