"""The states of a refund and every legal move between them, as data."""

from __future__ import annotations

REQUESTED = "REQUESTED"
PENDING = "PENDING"
UNKNOWN = "UNKNOWN"
DONE = "DONE"
REJECTED = "REJECTED"

STATES = (REQUESTED, PENDING, UNKNOWN, DONE, REJECTED)
UNDER_WAY = frozenset({REQUESTED, PENDING, UNKNOWN})
"""The money may still go either way."""
MOVES: dict[str, frozenset[str]] = {
    REQUESTED: frozenset({PENDING, UNKNOWN, DONE, REJECTED}),
    UNKNOWN: frozenset({PENDING, DONE, REJECTED}),
    PENDING: frozenset({DONE, REJECTED}),
    DONE: frozenset({REJECTED}),
    REJECTED: frozenset(),
}
"""DONE → REJECTED is a refund that fails later: the money came back to us."""

DECLINED = "declined"
"""The code of a refund that a second person did not agree to: called off, not refused."""

BOUNCED = "bounced"
"""The code of a refund that was sent to a bank by hand and came back."""


def sources_of(target: str) -> frozenset[str]:
    """The states from which a refund may become `target`."""
    return frozenset(source for source, targets in MOVES.items() if target in targets)
