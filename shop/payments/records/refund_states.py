"""The states of a refund and every legal move between them, as data."""

from __future__ import annotations

from shop.core.actor import Actor, ActorKind
from shop.payments.providers.types import RefundState

AUTOMATIC = Actor(ActorKind.AUTOMATIC)
"""`asked_by` of automatic refunds."""

STATES = tuple(RefundState)
UNDER_WAY = frozenset({RefundState.REQUESTED, RefundState.PENDING, RefundState.UNKNOWN})
"""The money may still go either way."""
MOVES: dict[str, frozenset[str]] = {
    RefundState.REQUESTED: frozenset(
        {RefundState.PENDING, RefundState.UNKNOWN, RefundState.DONE, RefundState.REJECTED}
    ),
    RefundState.UNKNOWN: frozenset({RefundState.PENDING, RefundState.DONE, RefundState.REJECTED}),
    RefundState.PENDING: frozenset({RefundState.DONE, RefundState.REJECTED}),
    RefundState.DONE: frozenset({RefundState.REJECTED}),
    RefundState.REJECTED: frozenset(),
}
"""DONE → REJECTED is a refund that fails later: the money came back to us."""

DECLINED = "declined"
"""The code of a refund that a second person did not agree to: called off, not refused."""

BOUNCED = "bounced"
"""The code of a refund that was sent to a bank by hand and came back."""

MADE_THERE = "made_there"
"""Code of a refund that was withdrawn before it was sent, because the money was refunded at the acquirer."""
CALLED_OFF = (DECLINED, MADE_THERE)
"""The codes of refunds that we ended ourselves, and that no acquirer refused."""

ID_TAKEN = "id_taken"
"""Code of a refund that was not sent, because a refund made at the acquirer has its id."""


def awaits_approval(state: str, approved_by: Actor | None, *, needs_two: bool) -> bool:
    """True if a second person has to approve the refund, and may still decline it."""
    return needs_two and approved_by is None and state == RefundState.REQUESTED


def is_begun(state: str, checks: int) -> bool:
    """True if the acquirer may have the refund: `checks` is committed before each call."""
    return checks > 0 or state in (RefundState.PENDING, RefundState.UNKNOWN, RefundState.DONE)
