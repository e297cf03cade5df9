"""The states of a refund and every legal transition between them, as data."""

from __future__ import annotations

from collections.abc import Mapping

from shop.core import event_types
from shop.core.actor import Actor, ActorKind
from shop.payments.providers.types import RefundState

AUTOMATIC = Actor(ActorKind.AUTOMATIC)
"""`requested_by` of automatic refunds."""

STATES = tuple(RefundState)
UNDER_WAY = frozenset({RefundState.REQUESTED, RefundState.PENDING, RefundState.UNKNOWN})
"""States of refunds whose result is not known yet."""
TRANSITIONS: dict[str, frozenset[str]] = {
    RefundState.REQUESTED: frozenset(
        {RefundState.PENDING, RefundState.UNKNOWN, RefundState.DONE, RefundState.REJECTED}
    ),
    RefundState.UNKNOWN: frozenset({RefundState.PENDING, RefundState.DONE, RefundState.REJECTED}),
    RefundState.PENDING: frozenset({RefundState.DONE, RefundState.REJECTED}),
    RefundState.DONE: frozenset({RefundState.REJECTED}),
    RefundState.REJECTED: frozenset(),
}
"""DONE → REJECTED is a refund that fails later: the money was returned to us."""

EVENTS: Mapping[RefundState, type[event_types.RefundChanged]] = {
    RefundState.REQUESTED: event_types.RefundRequested,
    RefundState.PENDING: event_types.RefundPending,
    RefundState.UNKNOWN: event_types.RefundUnknown,
    RefundState.DONE: event_types.RefundDone,
    RefundState.REJECTED: event_types.RefundRejected,
}

DECLINED = "declined"
"""Code of a refund that a second person declined: no acquirer refused it."""

BOUNCED = "bounced"
"""Code of a manual bank transfer that was returned."""

MADE_THERE = "made_there"
"""Code of a refund that was withdrawn before it was sent, because the money was refunded at the acquirer."""
CALLED_OFF = (DECLINED, MADE_THERE)
"""Codes of refunds that we ended ourselves, and that no acquirer refused."""

ID_TAKEN = "id_taken"
"""Code of a refund that was not sent, because a refund made at the acquirer has its id."""

NO_ACCOUNT = "no_account"
"""Code of a refund to store credit that was not booked, because the account has been deleted meanwhile."""


def awaits_approval(state: str, approved_by: Actor | None, *, needs_two: bool) -> bool:
    """True if a second person has to approve the refund, and may still decline it."""
    return needs_two and approved_by is None and state == RefundState.REQUESTED


def is_begun(state: str, checks: int) -> bool:
    """True if the acquirer may have the refund: `checks` is committed before each call."""
    return checks > 0 or state in (RefundState.PENDING, RefundState.UNKNOWN, RefundState.DONE)
