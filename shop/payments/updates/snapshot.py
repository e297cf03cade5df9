"""The input of `decide`: a payment, its order and the related rows that an update may change, as frozen values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from shop.core.actor import Actor
from shop.core.money import Money
from shop.inventory.states import ReservationState
from shop.ledger.hold_states import HoldState
from shop.orders.states import OrderState
from shop.payments.providers.interface import Facts
from shop.payments.providers.types import ActionKind, PaymentState
from shop.payments.records import states
from shop.payments.records.types import Source


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """Query of an update that answers one: the payment's state when the query was sent."""

    state_before: PaymentState


@dataclass(frozen=True, slots=True)
class PaymentUpdate:
    """An update from a source about a payment.

    `provider`, when given, must be the one that runs the payment. `answer` is set when the update answers a query of
    ours.
    """

    payment_id: str
    facts: Facts
    source: Source
    provider: str | None = None
    answer: QueryAnswer | None = None

    @property
    def actor(self) -> Actor:
        """The actor of the changes that this update brings."""
        return Actor.of_source(self.source)

    def without_captures(self, capture_ids: Collection[str]) -> PaymentUpdate:
        """The update without these captures."""
        others = tuple(capture for capture in self.facts.captures if capture.id not in capture_ids)
        return replace(self, facts=replace(self.facts, captures=others))


@dataclass(frozen=True, slots=True)
class OrderSeen:
    """The columns of an order that decisions depend on. The name of a field is the name of its column."""

    id: int
    number: str
    state: OrderState
    currency: str
    total_amount: int
    credit_amount: int
    accepted_amount: int | None
    placed_at: datetime
    pay_by: datetime
    cancel_requested_at: datetime | None
    review_since: datetime | None
    ended_at: datetime | None
    paid_at: datetime | None
    paid_by: str | None
    event_seq: int
    user_id: int | None = None
    tax_amount: int = 0
    delivery_amount: int = 0
    discount_amount: int = 0

    @property
    def to_pay(self) -> Money:
        """The amount that is left to pay after store credit."""
        return Money(self.total_amount - self.credit_amount, self.currency)


@dataclass(frozen=True, slots=True)
class PaymentSeen:
    """The columns of a payment that decisions depend on or change."""

    id: str
    order_id: int
    provider: str
    state: PaymentState
    amount: int
    currency: str
    opened_at: datetime | None
    expires_at: datetime | None
    ended_at: datetime | None
    end_reason: str | None
    polled_at: datetime | None
    answered_at: datetime | None
    returned_at: datetime | None
    cancel_requested_at: datetime | None
    next_check_at: datetime | None
    checks: int
    unavailable_since: datetime | None
    confirmed_at: datetime | None
    confirm_misses: int
    provider_data: Mapping[str, Any]
    action: Mapping[str, Any] | None
    last_decline: Mapping[str, Any] | None
    instrument: Mapping[str, str] | None

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)

    def contradicts(self, theirs: Mapping[str, Any]) -> bool:
        """True if the acquirer's ids in `theirs` are those of another payment than ours."""
        return any(name in self.provider_data and self.provider_data[name] != one for name, one in theirs.items())

    @property
    def is_open(self) -> bool:
        return self.state in states.STILL_OPEN

    @property
    def shows_code(self) -> bool:
        """True if the customer was given a code to pay at a store."""
        return self.action is not None and self.action["kind"] == ActionKind.STORE_CODE


@dataclass(frozen=True, slots=True)
class ReservationSeen:
    """Units of one SKU of the order. `free` is what can be sold of the SKU; it is known (and locked) only for released
    reservations of an ended order that may be paid after all.
    """

    sku: str
    quantity: int
    state: ReservationState
    free: int | None = None


@dataclass(frozen=True, slots=True)
class CreditSeen:
    """Store credit of the order. `free` is what the customer can spend, known as in `ReservationSeen`."""

    user_id: int
    currency: str
    amount: int
    state: HoldState
    free: int | None = None


@dataclass(frozen=True, slots=True)
class CodeSeen:
    """Discount code that an ended order has released. `is_free` says that the order can use it again; its rows are
    locked.
    """

    code: str
    currency: str
    amount: int
    is_free: bool


@dataclass(frozen=True, slots=True)
class Share:
    """A product of an order: the units it reserves, the units that other orders hold for long, the units on hand."""

    units: int
    held_long: int
    on_hand: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An order and its payments. `booked` are the acquirer's ids of the captures that the updated payment has.

    `of_others` are ids of captures in the update that are booked for other payments. `event_known` says that the
    webhook event has been stored before.
    `released_code` is read for an ended order that may be paid after all.
    """

    order: OrderSeen
    payments: tuple[PaymentSeen, ...]
    booked: frozenset[str] = frozenset()
    reservations: tuple[ReservationSeen, ...] = ()
    credit: CreditSeen | None = None
    released_code: CodeSeen | None = None
    shares: tuple[Share, ...] = ()
    event_known: bool = False
    of_others: frozenset[str] = frozenset()

    def payment(self, payment_id: str) -> PaymentSeen:
        """The payment with this id. Raises StopIteration for one of another order."""
        return next(one for one in self.payments if one.id == payment_id)


@dataclass(frozen=True, slots=True)
class Rules:
    """Settings that a decision depends on, and the source of ids for new refunds."""

    consistency_window: timedelta
    pay_within: timedelta
    pay_within_store: timedelta
    pay_within_store_large: timedelta
    store_code_share: int
    new_refund_id: Callable[[], str] = field(compare=False)
