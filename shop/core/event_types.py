"""Typed events: one frozen dataclass per payload schema.

Keys are in snake_case. A field whose default is None is left out while it is None. An incompatible change raises the
kind's `SCHEMA_VERSION`; new fields do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, ClassVar


class EventKind(StrEnum):
    """Kind of an event of an order, a payment, a refund, a dispute or a settlement. The values are stored."""

    ORDER_PLACED = "order.placed"
    ORDER_MOVED = "order.moved"
    ORDER_CANCEL_REQUESTED = "order.cancel_requested"
    ORDER_REVIEW_ENDED = "order.review_ended"
    PAYMENT_VISITED = "payment.visited"
    PAYMENT_UNKNOWN = "payment.unknown"
    PAYMENT_OPEN = "payment.open"
    PAYMENT_AUTHORIZED = "payment.authorized"
    PAYMENT_FAILED = "payment.failed"
    PAYMENT_CANCELLED = "payment.cancelled"
    PAYMENT_EXPIRED = "payment.expired"
    PAYMENT_DECLINED = "payment.declined"
    PAYMENT_CODE_SHOWN = "payment.code_shown"
    PAYMENT_CAPTURED = "payment.captured"
    REFUND_REQUESTED = "refund.requested"
    REFUND_PENDING = "refund.pending"
    REFUND_UNKNOWN = "refund.unknown"
    REFUND_DONE = "refund.done"
    REFUND_REJECTED = "refund.rejected"
    REFUND_NOT_BOOKED = "refund.not_booked"
    DISPUTE_OPEN = "dispute.open"
    DISPUTE_WON = "dispute.won"
    DISPUTE_LOST = "dispute.lost"
    SETTLEMENT_DISAGREES = "settlement.disagrees"


@dataclass(frozen=True)
class Event:
    """Base of all events."""

    SCHEMA_VERSION: ClassVar[int] = 1

    def payload(self) -> dict[str, Any]:
        """Return the payload for a stream."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if not self._is_left_out(one.name)}
        return {"schema_version": self.SCHEMA_VERSION, **values}

    def _is_left_out(self, name: str) -> bool:
        return getattr(self, name) is None and getattr(type(self), name, "required") is None


@dataclass(frozen=True)
class OrderPlaced(Event):
    target: str


@dataclass(frozen=True)
class OrderMoved(Event):
    """`refunded` is the refunded sum in minor units; `amount` is the total that was accepted instead of the price."""

    source: str
    target: str
    because: str
    payment: str | None = None
    refunded: int | None = None
    amount: int | None = None
    note: str | None = None


@dataclass(frozen=True)
class OrderCancelRequested(Event):
    pass


@dataclass(frozen=True)
class OrderReviewEnded(Event):
    pass


@dataclass(frozen=True)
class PaymentVisited(Event):
    payment: str


@dataclass(frozen=True)
class PaymentMoved(Event):
    """A payment changed its state; `before` is the earlier one. `pay_by` is the order's new deadline."""

    payment: str
    before: str
    pay_by: str | None = None


@dataclass(frozen=True)
class PaymentDeclined(Event):
    payment: str
    code: str


@dataclass(frozen=True)
class PaymentCodeShown(Event):
    """`pay_by` is the order's new deadline."""

    payment: str
    deadline: str
    pay_by: str | None = None


@dataclass(frozen=True)
class PaymentCaptured(Event):
    SCHEMA_VERSION = 2

    payment: str
    amount: int
    currency: str
    allocation: str


@dataclass(frozen=True)
class RefundChanged(Event):
    """`why` is the kind of the refund; for a refund that is not booked, the reason."""

    SCHEMA_VERSION = 2

    refund: str
    amount: int
    currency: str
    why: str


@dataclass(frozen=True)
class DisputeChanged(Event):
    """`dispute` is the acquirer's id; `disputed` is chargeback or inquiry."""

    dispute: str
    disputed: str
    amount: int
    currency: str
    reason: str


@dataclass(frozen=True)
class SettlementDisagrees(Event):
    """`ours` and `theirs` are minor units; None on the side that has no amount."""

    provider: str
    day: str
    cause: str
    about: str
    ours: int | None
    theirs: int | None
    currency: str


TYPES: Mapping[EventKind, type[Event]] = {
    EventKind.ORDER_PLACED: OrderPlaced,
    EventKind.ORDER_MOVED: OrderMoved,
    EventKind.ORDER_CANCEL_REQUESTED: OrderCancelRequested,
    EventKind.ORDER_REVIEW_ENDED: OrderReviewEnded,
    **dict.fromkeys((kind for kind in EventKind if kind.startswith("payment.")), PaymentMoved),
    EventKind.PAYMENT_VISITED: PaymentVisited,
    EventKind.PAYMENT_DECLINED: PaymentDeclined,
    EventKind.PAYMENT_CODE_SHOWN: PaymentCodeShown,
    EventKind.PAYMENT_CAPTURED: PaymentCaptured,
    **dict.fromkeys((kind for kind in EventKind if kind.startswith("refund.")), RefundChanged),
    **dict.fromkeys((kind for kind in EventKind if kind.startswith("dispute.")), DisputeChanged),
    EventKind.SETTLEMENT_DISAGREES: SettlementDisagrees,
}


def typed(kind: str, data: Mapping[str, Any]) -> Event:
    """The event of this kind. Raises ValueError for an unknown kind, TypeError for unknown data."""
    return TYPES[EventKind(kind)](**data)
