"""Snapshot of the money of one order: frozen copies of its rows, read under its lock. Pure: no database, no clock.

The fields of a row have the names of its columns. Amounts are minor units of the row's currency; times are UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shop.core.actor import Actor
from shop.core.money import Money
from shop.payments.providers.types import DisputeKind, DisputeState, RefundState
from shop.payments.records import refund_states
from shop.payments.records.types import Allocation, RefundDestination, RefundKind, Source


@dataclass(frozen=True)
class OrderRow:
    """The order; `accepted_amount` replaces its total when staff have accepted another amount. `user_id` is the account
    whose store credit can get money; None for a guest, and once the account is deleted.
    """

    id: int
    state: str
    currency: str
    user_id: int | None
    total_amount: int
    accepted_amount: int | None
    pay_by: datetime
    review_since: datetime | None
    tax_amount: int = 0
    delivery_amount: int = 0
    discount_amount: int = 0

    @property
    def price(self) -> int:
        """The amount that the order costs in the end."""
        return self.total_amount if self.accepted_amount is None else self.accepted_amount


@dataclass(frozen=True)
class PaymentRow:
    """A payment of the order; `next_check_at` is when the poller queries it."""

    id: str
    provider: str
    next_check_at: datetime | None


@dataclass(frozen=True)
class CaptureRow:
    """A capture; `capture_id` is the acquirer's id, `refunded_amount` the amount that has been refunded or will be."""

    id: int
    provider: str
    capture_id: str
    payment_id: str
    amount: int
    currency: str
    allocation: Allocation
    refunded_amount: int

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)

    @property
    def pays_order(self) -> bool:
        return self.allocation == Allocation.PAYS_ORDER

    @property
    def waits_for_decision(self) -> bool:
        """It differs from the total, and staff have neither accepted nor refunded it."""
        return self.allocation == Allocation.MISMATCH and not self.refunded_amount


@dataclass(frozen=True)
class RefundRow:
    """A refund of a capture, or of the store credit that paid the order when `capture_id` is None."""

    id: str
    capture_id: int | None
    payment_id: str | None
    order_id: int
    destination: RefundDestination
    amount: int
    currency: str
    kind: RefundKind
    reason: str
    state: RefundState
    requested_by: Actor
    needs_two: bool
    approved_by: Actor | None
    created_at: datetime
    ended_at: datetime | None
    next_check_at: datetime | None
    checks: int
    rejected_code: str | None

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)

    @property
    def is_made_outside(self) -> bool:
        """It was made at the acquirer and not by us."""
        return self.kind == RefundKind.OUTSIDE

    @property
    def is_automatic(self) -> bool:
        return self.requested_by == refund_states.AUTOMATIC

    @property
    def is_rejected(self) -> bool:
        return self.state == RefundState.REJECTED

    @property
    def is_begun(self) -> bool:
        return refund_states.is_begun(self.state, self.checks)

    @property
    def is_unsent(self) -> bool:
        """True if sending has not begun, so that the refund can be withdrawn."""
        return self.state == RefundState.REQUESTED and self.checks == 0

    @property
    def awaits_approval(self) -> bool:
        return refund_states.awaits_approval(self.state, self.approved_by, needs_two=self.needs_two)


@dataclass(frozen=True)
class DisputeRow:
    """A dispute about a capture; `dispute_id` is the acquirer's id."""

    provider: str
    dispute_id: str
    capture_id: int
    order_id: int
    kind: DisputeKind
    reason: str
    state: DisputeState
    amount: int
    currency: str
    opened_at: datetime
    respond_by: datetime | None
    received_at: datetime
    source: Source
    closed_at: datetime | None

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)

    @property
    def is_chargeback(self) -> bool:
        return self.kind == DisputeKind.CHARGEBACK


@dataclass(frozen=True)
class CreditRow:
    """Store credit that paid the order, and how much of it has been refunded or will be."""

    amount: int
    refunded_amount: int
    currency: str

    @property
    def left(self) -> int:
        return self.amount - self.refunded_amount


@dataclass(frozen=True)
class Snapshot:
    """The money of one order at one moment.

    Captures are sorted by id, refunds by (created_at, id). `booked` are the keys of journals about its refunds,
    `not_booked` the ids of refunds that its history already reports as not bookable, `used_ids` refund ids that other
    orders have.
    """

    order: OrderRow
    payments: tuple[PaymentRow, ...] = ()
    captures: tuple[CaptureRow, ...] = ()
    refunds: tuple[RefundRow, ...] = ()
    disputes: tuple[DisputeRow, ...] = ()
    credit: CreditRow | None = None
    booked: frozenset[str] = frozenset()
    not_booked: frozenset[str] = frozenset()
    used_ids: frozenset[str] = frozenset()

    def payment(self, payment_id: str) -> PaymentRow:
        return next(row for row in self.payments if row.id == payment_id)

    def capture(self, capture_id: int) -> CaptureRow:
        return next(row for row in self.captures if row.id == capture_id)

    def refund(self, refund_id: str) -> RefundRow | None:
        return next((row for row in self.refunds if row.id == refund_id), None)

    def refunds_of(self, capture: CaptureRow) -> list[RefundRow]:
        return [row for row in self.refunds if row.capture_id == capture.id]

    def capture_of(self, refund: RefundRow) -> CaptureRow | None:
        return None if refund.capture_id is None else self.capture(refund.capture_id)

    @property
    def refunded_of_price(self) -> int:
        """Sum of the refunds that are done of the money that paid the order."""
        pays = {capture.id for capture in self.captures if capture.pays_order} | {None}
        return sum(row.amount for row in self.refunds if row.state == RefundState.DONE and row.capture_id in pays)

    def dispute(self, provider: str, dispute_id: str) -> DisputeRow | None:
        found = (row for row in self.disputes if (row.provider, row.dispute_id) == (provider, dispute_id))
        return next(found, None)

    # --- amounts ---

    def charged_back(self, capture: CaptureRow, *states: DisputeState) -> int:
        """Sum of the chargebacks of a capture that are in any of `states`."""
        mine = (row for row in self.disputes if row.capture_id == capture.id and row.is_chargeback)
        return sum(row.amount for row in mine if row.state in states)

    def refundable(self, capture: CaptureRow) -> int:
        """Refundable amount, without chargebacks that are open or lost. Negative when a bank has charged back refunded
        money.
        """
        banks = self.charged_back(capture, DisputeState.OPEN, DisputeState.LOST)
        return capture.amount - capture.refunded_amount - banks

    def promised(self, capture: CaptureRow, *, begun_only: bool = False) -> int:
        """Sum of the refunds of a capture that are not rejected; `begun_only` leaves out those not yet sent."""
        mine = (row for row in self.refunds_of(capture) if not row.is_rejected)
        return sum(row.amount for row in mine if not begun_only or not row.is_unsent)

    def refunded_for_good(self, capture: CaptureRow) -> int:
        """Sum of the refunds of a capture that are done."""
        return sum(row.amount for row in self.refunds_of(capture) if row.state == RefundState.DONE)

    # --- copies with one change ---

    def with_order(self, order: OrderRow) -> Snapshot:
        return replace(self, order=order)

    def with_payment(self, payment: PaymentRow) -> Snapshot:
        return replace(self, payments=tuple(payment if row.id == payment.id else row for row in self.payments))

    def with_capture(self, capture: CaptureRow) -> Snapshot:
        return replace(self, captures=tuple(capture if row.id == capture.id else row for row in self.captures))

    def with_refund(self, refund: RefundRow) -> Snapshot:
        """Replace the refund of that id, or add it."""
        if self.refund(refund.id) is None:
            return replace(self, refunds=(*self.refunds, refund))
        return replace(self, refunds=tuple(refund if row.id == refund.id else row for row in self.refunds))

    def with_dispute(self, dispute: DisputeRow) -> Snapshot:
        """Replace the dispute of that id, or add it."""
        key = (dispute.provider, dispute.dispute_id)
        if self.dispute(*key) is None:
            return replace(self, disputes=(*self.disputes, dispute))
        rows = (dispute if (row.provider, row.dispute_id) == key else row for row in self.disputes)
        return replace(self, disputes=tuple(rows))


@dataclass(frozen=True)
class Rules:
    """Settings and provider capabilities that decisions need.

    `two_person_limits` are minor units by currency. `refund_steps` are the multiples that a provider can refund, by
    provider and currency; `windows` say how long a provider's query may lag behind, `labels` are display names.
    """

    two_person_limits: Mapping[str, int] = field(default_factory=dict)
    refund_steps: Mapping[tuple[str, str], int] = field(default_factory=dict)
    windows: Mapping[str, timedelta] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
