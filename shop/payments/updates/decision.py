"""Decision on a payment update: its outcome, changed columns, new rows and events. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from shop.core.event_types import HistoryEntry
from shop.core.money import Money
from shop.inventory.states import ReservationState
from shop.ledger.hold_states import HoldState
from shop.payments.order_money.decision import Decision as MoneyDecision
from shop.payments.providers.types import Outcome, RefundState
from shop.payments.records import refund_states
from shop.payments.records.types import Allocation, RefundDestination, RefundKind
from shop.payments.updates.snapshot import CodeSeen


@dataclass(frozen=True, slots=True)
class NewCapture:
    """A capture to be booked, with its allocation."""

    provider: str
    payment_id: str
    id: str
    money: Money
    captured_at: datetime
    allocation: Allocation
    refunded: int = 0


@dataclass(frozen=True, slots=True)
class NewRefund:
    """An automatic refund of a whole new capture."""

    id: str
    provider: str
    payment_id: str
    capture_id: str
    money: Money
    allocation: Allocation

    def columns(self, order_id: int, now: datetime) -> dict[str, Any]:
        """The columns of its row, without the id of its capture."""
        return {
            "id": self.id,
            "payment_id": self.payment_id,
            "order_id": order_id,
            "destination": RefundDestination.PROVIDER,
            "amount": self.money.amount,
            "currency": self.money.currency,
            "kind": RefundKind(str(self.allocation)),
            "reason": "",
            "state": RefundState.REQUESTED,
            "requested_by": refund_states.AUTOMATIC,
            "needs_two": False,
            "approved_by": None,
            "created_at": now,
            "ended_at": None,
            "next_check_at": now,
            "checks": 0,
            "rejected_code": None,
        }


@dataclass(frozen=True, slots=True)
class NewJournal:
    """A journal; positive amounts debit their account. The amounts of each currency sum to zero."""

    key: str
    kind: str
    entries: tuple[tuple[str, Money], ...]


@dataclass(frozen=True, slots=True)
class StockChange:
    """A reservation that becomes SOLD: its units leave the stock."""

    sku: str
    quantity: int
    source: ReservationState


@dataclass(frozen=True, slots=True)
class CreditChange:
    """Store credit of the order that becomes USED."""

    user_id: int
    currency: str
    amount: int
    source: HoldState


@dataclass(frozen=True, slots=True)
class Decision:
    """Outcome and changes of an update. `order` and `payments` map columns (by payment id) to new values."""

    outcome: Outcome
    reasons: tuple[str, ...] = ()
    order: Mapping[str, Any] = field(default_factory=dict)
    payments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    captures: tuple[NewCapture, ...] = ()
    accepted: int | None = None
    """Id of the mismatch that staff accept."""
    refunds: tuple[NewRefund, ...] = ()
    journals: tuple[NewJournal, ...] = ()
    stock: tuple[StockChange, ...] = ()
    credit: CreditChange | None = None
    code: CodeSeen | None = None
    """Released discount code that the order uses again."""
    events: tuple[HistoryEntry, ...] = ()
    listed: MoneyDecision | None = None
    """Changes by listed refunds that were made at the acquirer."""
    is_recorded: bool = False
    paid_after: timedelta | None = None
    """Time from the capture to the order's payment, for the metric."""
