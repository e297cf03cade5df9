"""State table of orders: the states and every legal transition, as data. Diagrams and tests are made from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class OrderState(StrEnum):
    """State of an order. The values are stored and must not change."""

    PENDING = "PENDING"
    WAITING_PAYMENT = "WAITING_PAYMENT"
    FAILED = "FAILED"
    PAID = "PAID"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"
    REFUNDED = "REFUNDED"


class Reason(StrEnum):
    """Reason for a change of an order's state. The values are stored and must not change."""

    PAYMENT_OPENED = "payment_opened"
    CAPTURED = "captured"
    NOTHING_LEFT_TO_PAY = "nothing_left_to_pay"
    OPENING_REFUSED = "opening_refused"
    PAYMENT_ENDED = "payment_ended"
    TIME_OVER = "time_over"
    CANCELLED = "cancelled"
    PAID_IN_TIME_SEEN_LATE = "paid_in_time_seen_late"
    MISMATCH_ACCEPTED = "mismatch_accepted"
    REFUND_DONE = "refund_done"
    REFUND_FAILED_LATER = "refund_failed_later"


STORE_CREDIT = "store_credit"
"""Value of `Order.paid_by` when store credit paid for all of the order."""
NOTHING_DUE = "nothing_due"
"""Value of `Order.paid_by` when a discount left nothing to pay."""
_S = OrderState
STATES = tuple(OrderState)
PAYABLE = frozenset({_S.PENDING, _S.WAITING_PAYMENT, _S.FAILED})
"""Stock is reserved, and a matching capture makes the order PAID."""
UNPAID_END = frozenset({_S.EXPIRED, _S.CANCELLED})
ENDED = frozenset({_S.PAID, _S.EXPIRED, _S.CANCELLED, _S.PARTIALLY_REFUNDED, _S.REFUNDED})


@dataclass(frozen=True)
class Transition:
    """A transition from any of `sources` to `target`, for one reason. A correction revises an earlier state."""

    sources: frozenset[OrderState]
    target: OrderState
    because: Reason
    description: str
    correction: bool = False


def _transition(
    sources: tuple[OrderState, ...], target: OrderState, because: Reason, description: str, *, correction: bool = False
) -> Transition:
    return Transition(frozenset(sources), target, because, description, correction)


TRANSITIONS: tuple[Transition, ...] = (
    _transition(
        (_S.PENDING, _S.FAILED), _S.WAITING_PAYMENT, Reason.PAYMENT_OPENED, "a payment was initiated at a provider"
    ),
    _transition(
        (_S.PENDING, _S.WAITING_PAYMENT, _S.FAILED), _S.PAID, Reason.CAPTURED, "captured; amount and currency match"
    ),
    _transition((_S.PENDING,), _S.PAID, Reason.NOTHING_LEFT_TO_PAY, "store credit or a discount covered the total"),
    _transition(
        (_S.PENDING, _S.WAITING_PAYMENT), _S.FAILED, Reason.OPENING_REFUSED, "the provider refused the initiation"
    ),
    _transition(
        (_S.PENDING, _S.WAITING_PAYMENT), _S.FAILED, Reason.PAYMENT_ENDED, "the payment ended without a capture"
    ),
    _transition(
        (_S.PENDING, _S.WAITING_PAYMENT, _S.FAILED),
        _S.EXPIRED,
        Reason.TIME_OVER,
        "pay_by passed, and the acquirer was queried",
    ),
    _transition(
        (_S.PENDING, _S.WAITING_PAYMENT, _S.FAILED),
        _S.CANCELLED,
        Reason.CANCELLED,
        "customer or staff cancelled, and the acquirer was queried",
    ),
    _transition(
        (_S.EXPIRED, _S.CANCELLED),
        _S.PAID,
        Reason.PAID_IN_TIME_SEEN_LATE,
        "captured in time, reported late",
        correction=True,
    ),
    _transition(
        (_S.PENDING, _S.WAITING_PAYMENT, _S.FAILED, _S.EXPIRED, _S.CANCELLED),
        _S.PAID,
        Reason.MISMATCH_ACCEPTED,
        "staff accepted another amount",
        correction=True,
    ),
    _transition((_S.PAID,), _S.PARTIALLY_REFUNDED, Reason.REFUND_DONE, "part of the money was refunded"),
    _transition((_S.PAID, _S.PARTIALLY_REFUNDED), _S.REFUNDED, Reason.REFUND_DONE, "all of the money was refunded"),
    _transition(
        (_S.PARTIALLY_REFUNDED, _S.REFUNDED),
        _S.PAID,
        Reason.REFUND_FAILED_LATER,
        "a refund failed after it had succeeded",
        correction=True,
    ),
    _transition(
        (_S.REFUNDED,),
        _S.PARTIALLY_REFUNDED,
        Reason.REFUND_FAILED_LATER,
        "a refund failed after it had succeeded",
        correction=True,
    ),
)


def sources(target: str, because: str) -> frozenset[OrderState]:
    """The states from which `because` may lead to `target`. Raises KeyError if the table has no such transition."""
    found = [
        transition.sources for transition in TRANSITIONS if (transition.target, transition.because) == (target, because)
    ]
    if not found:
        raise KeyError(f"no move to {target} because of {because}")
    return frozenset[OrderState]().union(*found)


def is_legal(source: str, target: str) -> bool:
    """True if any transition leads from `source` to `target`."""
    return any(source in transition.sources and target == transition.target for transition in TRANSITIONS)
