"""The states of a payment and every legal transition between them, as data. Diagrams and tests are generated from this
table.
"""

from __future__ import annotations

from collections.abc import Mapping

from shop.core import event_types
from shop.payments.providers.types import EndReason, Outcome, PaymentState

_S = PaymentState
STATES = tuple(PaymentState)
STILL_OPEN = frozenset({_S.CREATED, _S.OPEN, _S.UNKNOWN, _S.AUTHORIZED})
"""States in which a payment may still capture money. At most one payment of an order is in one of them."""
ENDED_WITHOUT_MONEY = frozenset({_S.FAILED, _S.CANCELLED, _S.EXPIRED})
NEVER_OPENED: frozenset[str] = frozenset({EndReason.REFUSED, EndReason.UNAVAILABLE, EndReason.NEVER_ARRIVED})
"""End reasons of payments that, as far as we know, the acquirer has never had."""

TRANSITIONS: dict[str, frozenset[PaymentState]] = {
    _S.CREATED: frozenset({_S.OPEN, _S.UNKNOWN, _S.AUTHORIZED, _S.FAILED, _S.CANCELLED, _S.EXPIRED, _S.CAPTURED}),
    _S.UNKNOWN: frozenset({_S.OPEN, _S.AUTHORIZED, _S.FAILED, _S.CANCELLED, _S.EXPIRED, _S.CAPTURED}),
    _S.OPEN: frozenset({_S.AUTHORIZED, _S.FAILED, _S.CANCELLED, _S.EXPIRED, _S.CAPTURED}),
    _S.AUTHORIZED: frozenset({_S.FAILED, _S.CANCELLED, _S.EXPIRED, _S.CAPTURED}),
    _S.FAILED: frozenset({_S.CAPTURED}),
    _S.CANCELLED: frozenset({_S.CAPTURED}),
    _S.EXPIRED: frozenset({_S.CAPTURED}),
    _S.CAPTURED: frozenset(),
}
EVENTS: Mapping[str, type[event_types.PaymentMoved]] = {
    _S.UNKNOWN: event_types.PaymentUnknown,
    _S.OPEN: event_types.PaymentOpen,
    _S.AUTHORIZED: event_types.PaymentAuthorized,
}
"""The events of moves, by the new state. Captures have an event of their own."""
END_EVENTS: Mapping[str, type[event_types.PaymentEnded]] = {
    _S.FAILED: event_types.PaymentFailed,
    _S.CANCELLED: event_types.PaymentCancelled,
    _S.EXPIRED: event_types.PaymentExpired,
}
_HEIGHT: dict[str, int] = {
    _S.CREATED: 0,
    _S.UNKNOWN: 1,
    _S.OPEN: 2,
    _S.AUTHORIZED: 3,
    _S.FAILED: 4,
    _S.CANCELLED: 4,
    _S.EXPIRED: 4,
    _S.CAPTURED: 5,
}


def judge(current: str, reported: str) -> Outcome:
    """Outcome of the state `reported` for a payment in `current`: applied, duplicate, stale or illegal.

    The rank of the states alone decides, never age: times of different sources cannot be compared.
    """
    if current == reported:
        return Outcome.DUPLICATE
    if reported in TRANSITIONS[current]:
        return Outcome.APPLIED
    return Outcome.STALE if _HEIGHT[reported] < _HEIGHT[current] else Outcome.ILLEGAL
