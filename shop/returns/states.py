"""State table of returns, and the reasons of customers. The values are stored and must not change."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class ReturnState(StrEnum):
    """State of a return.

    REQUESTED waits for the shop, ACCEPTED for the parcel, RECEIVED for the refund. The others are final.
    """

    REQUESTED = "REQUESTED"
    ACCEPTED = "ACCEPTED"
    RECEIVED = "RECEIVED"
    CLOSED = "CLOSED"
    DECLINED = "DECLINED"
    WITHDRAWN = "WITHDRAWN"


class ReturnReason(StrEnum):
    """Reason of a customer for a return."""

    CHANGED_MIND = "changed_mind"
    DAMAGED = "damaged"
    FAULTY = "faulty"
    WRONG_ITEM = "wrong_item"
    NOT_AS_DESCRIBED = "not_as_described"
    OTHER = "other"


_S = ReturnState
SOURCES: Mapping[ReturnState, frozenset[ReturnState]] = {
    _S.ACCEPTED: frozenset({_S.REQUESTED}),
    _S.DECLINED: frozenset({_S.REQUESTED, _S.ACCEPTED}),
    _S.WITHDRAWN: frozenset({_S.REQUESTED, _S.ACCEPTED}),
    _S.RECEIVED: frozenset({_S.ACCEPTED}),
    _S.CLOSED: frozenset({_S.RECEIVED}),
}
"""The states from which a return may move to each state. One that never arrives is declined."""
ENDED_WITHOUT = frozenset({_S.DECLINED, _S.WITHDRAWN})
"""The units of these returns can be returned again."""
ARRIVED = frozenset({_S.RECEIVED, _S.CLOSED})
"""The units that arrived are known."""
WAITING_FOR_STAFF = frozenset({_S.REQUESTED, _S.RECEIVED})
