"""Decisions about the money of an order, as data: the snapshot before and after, journals and events. Pure.

A `Draft` is what a decide function works on: it starts at a snapshot, takes changes one at a time, and ends in a
`Decision`, which `write` writes. The changed rows are the difference between its two snapshots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shop.core.actor import Actor
from shop.core.event_types import Event, HistoryEntry
from shop.core.money import Money
from shop.ledger import chart
from shop.orders import states as order_states
from shop.orders.states import OrderState, Reason
from shop.payments.order_money.snapshot import (
    CaptureRow,
    DisputeRow,
    RefundRow,
    Rules,
    Snapshot,
)
from shop.payments.order_money.split_entries import Entries
from shop.payments.providers.types import Outcome


@dataclass(frozen=True)
class Context:
    """Input of a decision besides the snapshot: the time, who causes it (a person, or the source of an update), the
    rules, and ids for the refunds that it creates.
    """

    now: datetime
    actor: Actor
    rules: Rules
    new_id: Callable[[], str]


@dataclass(frozen=True)
class Posting:
    """A journal of `money`; `key` identifies the fact. With `customer` the credited account is that customer's store
    credit, whose balance grows too.

    Where it is about the price of an order, `split` replaces the entry on the account of refunds: with the parts that
    are tax, delivery and discount.
    """

    key: str
    kind: str
    money: Money
    debit: str
    credit: str
    customer: int | None = None
    split: Entries = ()

    @property
    def entries(self) -> Entries:
        debits, credits = ((self.debit, self.money),), ((self.credit, self.money * -1),)
        if not self.split:
            return debits + credits
        return self.split + credits if self.debit == chart.REFUNDS else debits + self.split


@dataclass(frozen=True)
class Transition:
    """A transition of the order, written as a conditional UPDATE. `refunded` is the refunded sum in minor units."""

    source: str
    target: str
    because: str
    actor: Actor
    refunded: int


@dataclass(frozen=True)
class Decision:
    """Outcome of an update or request, with its changes. `history` are events and transitions in the order of the
    order's history.
    """

    outcome: Outcome
    before: Snapshot
    after: Snapshot
    postings: tuple[Posting, ...] = ()
    history: tuple[HistoryEntry | Transition, ...] = ()

    @property
    def new_refunds(self) -> list[RefundRow]:
        return [row for row in self.after.refunds if self.before.refund(row.id) is None]


class Draft:
    """A decision in the making: `after` is the snapshot as changed so far."""

    def __init__(self, before: Snapshot, context: Context) -> None:
        self.before = self.after = before
        self.context = context
        self._postings: list[Posting] = []
        self._history: list[HistoryEntry | Transition] = []

    @property
    def now(self) -> datetime:
        return self.context.now

    def decided(self, outcome: Outcome) -> Decision:
        return Decision(outcome, self.before, self.after, tuple(self._postings), tuple(self._history))

    def change_order(self, **fields: Any) -> None:
        self.after = self.after.with_order(replace(self.after.order, **fields))

    def change_refund(self, refund_id: str, **fields: Any) -> RefundRow:
        refund = self.after.refund(refund_id)
        if refund is None:
            raise KeyError(refund_id)
        changed = replace(refund, **fields)
        self.after = self.after.with_refund(changed)
        return changed

    def add_refund(self, refund: RefundRow) -> None:
        self.after = self.after.with_refund(refund)

    def put_dispute(self, dispute: DisputeRow) -> None:
        self.after = self.after.with_dispute(dispute)

    def set_refunded(self, capture: CaptureRow, amount: int) -> None:
        self.after = self.after.with_capture(replace(self.after.capture(capture.id), refunded_amount=amount))

    def refund_credit(self, amount: int) -> None:
        """Set store credit that paid the order aside for a refund; a negative amount is left to the order again."""
        credit = self.after.credit
        if credit is not None:
            changed = replace(credit, refunded_amount=credit.refunded_amount + amount)
            self.after = replace(self.after, credit=changed)

    def poll(self, payment_id: str, at: datetime) -> None:
        """Have the payment queried at `at`, if not before."""
        payment = self.after.payment(payment_id)
        soonest = min(payment.next_check_at or at, at)
        self.after = self.after.with_payment(replace(payment, next_check_at=soonest))

    def note_not_booked(self, refund_id: str) -> None:
        """Record that the history has an event for a refund that cannot be booked."""
        self.after = replace(self.after, not_booked=self.after.not_booked | {refund_id})

    def post(self, postings: Iterable[Posting]) -> None:
        """Post journals; those about refunds count as booked from here on."""
        for posting in postings:
            self._postings.append(posting)
            self.after = replace(self.after, booked=self.after.booked | {posting.key})

    def record_event(self, event: Event, *, actor: Actor | None = None) -> None:
        """Add an event to the order's history."""
        self._history.append(HistoryEntry(event, actor or self.context.actor))

    def move_order(self, target: OrderState, because: Reason, *, refunded: int) -> None:
        """Move the order to `target`, if the table of transitions allows it from its state."""
        source = self.after.order.state
        if target != source and source in order_states.sources(target, because):
            self.change_order(state=target)
            self._history.append(Transition(source, target, because, self.context.actor, refunded))
