"""Snapshots of an order's money for tests of decisions, without a database: built from a few arguments, and changed by
each decision as the database would be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from shop.core.actor import Actor
from shop.core.errors import Refusal
from shop.core.event_types import HistoryEntry
from shop.core.money import Money
from shop.orders.states import OrderState
from shop.payments.order_money.decision import Context, Decision, Posting, Transition
from shop.payments.order_money.snapshot import (
    CaptureRow,
    CreditRow,
    DisputeRow,
    OrderRow,
    PaymentRow,
    RefundRow,
    Rules,
    Snapshot,
)
from shop.payments.providers.interface import DisputeFact, RefundFact
from shop.payments.providers.types import RefundState
from shop.payments.records import refund_states as states
from shop.payments.records.types import Allocation, RefundDestination

PAYS_ORDER, DUPLICATE = Allocation.PAYS_ORDER, Allocation.DUPLICATE
LATE, MISMATCH = Allocation.LATE, Allocation.MISMATCH
NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
PROVIDER = "fakepay"
SAM, ADA, KIM = (Actor.staff(number) for number in (1, 2, 3))
WEBHOOK, POLL, FILE = (Actor.of_source(source) for source in ("webhook", "poll", "settlement file"))
LIMIT = 5000
RULES = Rules(
    two_person_limits={"TWD": LIMIT},
    refund_steps={("steppay", "TWD"): 100},
    windows={PROVIDER: timedelta(seconds=20)},
    labels={"steppay": "Steppay"},
)


def refund_id(number: int) -> str:
    """An id in the format of ours."""
    return f"R{number:019d}"


def payment_id(number: int) -> str:
    return f"P{number:019d}"


def context(actor: Actor = SAM, *, now: datetime = NOW, numbers: Any = None, rules: Rules = RULES) -> Context:
    numbers = numbers or count(900)
    return Context(now, actor, rules, lambda: refund_id(next(numbers)))


def order(**fields: Any) -> OrderRow:
    row = OrderRow(1, OrderState.PAID, "TWD", 7, 10_000, None, NOW + timedelta(minutes=30), None)
    return replace(row, **fields)


def capture(number: int = 1, amount: int = 10_000, allocation: Allocation = PAYS_ORDER, **fields: Any) -> CaptureRow:
    row = CaptureRow(number, PROVIDER, f"cap-{number}", payment_id(number), amount, "TWD", allocation, 0)
    return replace(row, **fields)


OURS = refund_id(1)


def refund(amount: int = 1000, state: str = RefundState.REQUESTED, **fields: Any) -> RefundRow:
    """A refund of capture 1, requested by sam."""
    row = RefundRow(
        id=OURS,
        capture_id=1,
        payment_id=payment_id(1),
        order_id=1,
        destination=RefundDestination.PROVIDER,
        amount=amount,
        currency="TWD",
        kind="customer",
        reason="",
        state=state,
        requested_by=SAM,
        needs_two=False,
        approved_by=None,
        created_at=NOW,
        ended_at=None,
        next_check_at=NOW,
        checks=0,
        rejected_code=None,
    )
    return replace(row, **fields)


def snapshot(*captures: CaptureRow, credit: int = 0, **fields: Any) -> Snapshot:
    """An order with these captures, each of its own payment, and store credit that paid a part of it."""
    payments = {one.payment_id: PaymentRow(one.payment_id, one.provider, None) for one in captures}
    paid = sum(one.amount for one in captures if one.pays_order) + credit
    row = fields.pop("order", None) or order(total_amount=paid)
    used = CreditRow(credit, 0, "TWD") if credit else None
    return Snapshot(row, tuple(payments.values()), captures, credit=used, **fields)


def sent(seen: Snapshot, refund: str) -> Snapshot:
    """The snapshot after sending of a refund has begun."""
    row = the(seen, refund)
    return seen.with_refund(replace(row, checks=row.checks + 1))


def the(seen: Snapshot, refund: str) -> RefundRow:
    row = seen.refund(refund)
    assert row is not None
    return row


def reported(name: str, amount: int, state: str = "DONE", *, capture: int = 1, reference: str = "") -> RefundFact:
    """The acquirer's report about a refund."""
    where = {"capture_id": f"cap-{capture}", "payment": payment_id(capture)}
    return RefundFact(reference, state, id=name, money=Money(amount, "TWD"), **where)


def disputed(state: str = "OPEN", amount: int = 10_000, *, kind: str = "chargeback", name: str = "dp-1") -> DisputeFact:
    return DisputeFact(name, "cap-1", kind, state, Money(amount, "TWD"), NOW, "fraudulent")


def balances(postings: list[Posting]) -> dict[str, int]:
    """The balance of each account, debits less credits."""
    total: Counter[str] = Counter()
    for posting in postings:
        total[posting.debit] += posting.money.amount
        total[posting.credit] -= posting.money.amount
    return {account: amount for account, amount in total.items() if amount}


def history_of(decided: Decision | Ledger) -> list[str]:
    """Kinds of events, and targets of the order's transitions."""
    return [str(one.event.KIND) if isinstance(one, HistoryEntry) else f"to {one.target}" for one in decided.history]


@dataclass
class Ledger:
    """An order's money over many decisions, as the database would have it, checked after each."""

    seen: Snapshot
    postings: list[Posting] = field(default_factory=list)
    history: list[HistoryEntry | Transition] = field(default_factory=list)

    def take(self, decide: Callable[[Snapshot], Decision]) -> Decision | None:
        """Decide and apply; None when the request was refused, and then nothing has changed."""
        try:
            decision = decide(self.seen)
        except Refusal:
            return None
        assert decision.before is self.seen
        self.seen = decision.after
        self.postings += decision.postings
        self.history += decision.history
        return decision


def unchanged_but_for_polls(decision: Decision) -> bool:
    """True when a decision changes nothing but the times of the next polls."""
    refunds = [replace(row, next_check_at=None) for row in decision.before.refunds]
    after = [replace(row, next_check_at=None) for row in decision.after.refunds]
    payments = [(row.id, row.provider) for row in decision.before.payments]
    same = replace(decision.after, refunds=(), payments=()) == replace(decision.before, refunds=(), payments=())
    there = [(row.id, row.provider) for row in decision.after.payments]
    return same and refunds == after and payments == there and not (decision.postings or decision.history)


def refund_states_of(seen: Snapshot) -> list[tuple[str, int, str]]:
    """Kind, amount and state of each refund, sorted."""
    return sorted((row.kind, row.amount, row.state) for row in seen.refunds if row.state in states.STATES)


def chargeback(amount: int, state: str) -> DisputeRow:
    return DisputeRow(PROVIDER, "dp", 1, 1, "chargeback", "", state, amount, "TWD", NOW, None, NOW, "webhook", None)


def with_refunds(*refunds: RefundRow, allocation: str = PAYS_ORDER, **fields: Any) -> Snapshot:
    """A snapshot of one capture with these refunds of it."""
    promised = [row.amount for row in refunds if row.state != RefundState.REJECTED]
    row = capture(1, allocation=allocation, refunded_amount=min(10_000, sum(promised)))
    return snapshot(row, refunds=refunds, **fields)
