"""Properties of decisions about refunds and disputes, over generated histories of one order, without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count, permutations
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shop.core.actor import Actor
from shop.core.money import Money
from shop.ledger import chart
from shop.orders import states as order_states
from shop.orders.states import OrderState
from shop.payments.disputes import decide as disputes
from shop.payments.order_money import review
from shop.payments.order_money.decision import Decision, Transition
from shop.payments.order_money.snapshot import CaptureRow, RefundRow, Snapshot
from shop.payments.providers.types import DisputeKind, DisputeState, RefundState
from shop.payments.records import dispute_states
from shop.payments.records import refund_states as states
from shop.payments.records.types import RefundDestination, RefundKind
from shop.payments.refunds import decide, decide_outside
from tests.parts.selection import sampled
from tests.payments.order_money import (
    ADA,
    DUPLICATE,
    FILE,
    KIM,
    LATE,
    LIMIT,
    MISMATCH,
    NOW,
    PAYS_ORDER,
    POLL,
    PROVIDER,
    SAM,
    WEBHOOK,
    Ledger,
    balances,
    capture,
    context,
    disputed,
    payment_id,
    refund,
    refund_id,
    reported,
    sent,
    snapshot,
    unchanged_but_for_polls,
)

MANY = settings(max_examples=sampled(400, 5000, quick=200), deadline=None)
PEOPLE = (SAM, ADA, KIM)
RESULTS = (RefundState.PENDING, RefundState.DONE, RefundState.REJECTED)
DESTINATIONS = (RefundDestination.PROVIDER, RefundDestination.STORE_CREDIT, RefundDestination.BANK)
STEPS = (
    "request",
    "request_credit",
    "request_all",
    "approve",
    "decline",
    "bounce",
    "send",
    "result",
    "failed_later",
    "reported",
    "outside",
    "dispute",
)
Step = tuple[str, int, int, int]
step = st.tuples(st.sampled_from(STEPS), st.integers(0, 5), st.integers(1, 12_000), st.integers(0, 5))
captures = st.lists(
    st.tuples(st.integers(1, 10_000), st.sampled_from([LATE, DUPLICATE, MISMATCH])), min_size=0, max_size=2
)


def start(paid: int, others: list[tuple[int, str]], credit: int) -> Snapshot:
    """A paid order, beside it captures that pay for nothing; of late and duplicate ones automatic refunds are
    requested, a mismatch is under review.
    """
    rows = [capture(1, paid)]
    rows += [capture(number, amount, allocation) for number, (amount, allocation) in enumerate(others, start=2)]
    rows = [replace(row, refunded_amount=row.amount if row.allocation in (LATE, DUPLICATE) else 0) for row in rows]
    seen = snapshot(*rows, credit=credit)
    refunds = [automatic_refund(row) for row in rows if row.refunded_amount]
    return replace(seen.with_order(replace(seen.order, review_since=mismatch_since(rows))), refunds=tuple(refunds))


def automatic_refund(of: CaptureRow) -> RefundRow:
    """The refund of a whole capture that an update requests."""
    return refund(
        of.amount,
        id=refund_id(100 + of.id),
        capture_id=of.id,
        payment_id=of.payment_id,
        kind=RefundKind(str(of.allocation)),
        requested_by=states.AUTOMATIC,
    )


def mismatch_since(rows: list[CaptureRow]) -> datetime | None:
    return NOW if any(row.allocation == MISMATCH for row in rows) else None


class History:
    """Executes generated steps; each changes the ledger or is refused."""

    def __init__(self, seen: Snapshot) -> None:
        self.ledger = Ledger(seen)
        self.numbers = count(1)
        self.clock = count(1)
        check(self.ledger)

    def _context(self, actor: Actor) -> Any:
        return context(actor, now=NOW + timedelta(seconds=next(self.clock)), numbers=self.numbers)

    def _apply(self, how: Any) -> Decision | None:
        before = self.ledger.seen
        decision = self.ledger.take(how)
        if decision is not None:
            check_transitions(before, decision)
            check_new_refunds(decision)
        check(self.ledger)
        return decision

    def do(self, what: Step) -> None:
        name, which, amount, choice = what
        getattr(self, f"_{name}")(which, amount, choice)

    def _capture(self, which: int) -> CaptureRow:
        rows = self.ledger.seen.captures
        return rows[which % len(rows)]

    def _refund(self, which: int) -> str:
        rows = self.ledger.seen.refunds
        return rows[which % len(rows)].id if rows else "R"

    def _request(self, which: int, amount: int, choice: int) -> None:
        money = Money(amount, "TWD") if choice < 5 else None
        requested = decide.Request(self._capture(which).id, money, "", DESTINATIONS[choice % 3])
        self._apply(lambda seen: decide.request(seen, requested, self._context(PEOPLE[choice % 3])))

    def _request_credit(self, which: int, amount: int, choice: int) -> None:
        requested = decide.Request(None, Money(amount, "TWD"), "", RefundDestination.STORE_CREDIT)
        self._apply(lambda seen: decide.request(seen, requested, self._context(PEOPLE[choice % 3])))

    def _request_all(self, which: int, amount: int, choice: int) -> None:
        to = DESTINATIONS[choice % 3]
        self._apply(lambda seen: decide.request_all(seen, "", to, self._context(PEOPLE[which % 3])))

    def _approve(self, which: int, amount: int, choice: int) -> None:
        refund = self._refund(which)
        self._apply(lambda seen: decide.approve(seen, refund, self._context(PEOPLE[choice % 3])))

    def _decline(self, which: int, amount: int, choice: int) -> None:
        refund = self._refund(which)
        self._apply(lambda seen: decide.decline(seen, refund, self._context(PEOPLE[choice % 3])))

    def _bounce(self, which: int, amount: int, choice: int) -> None:
        refund = self._refund(which)
        self._apply(lambda seen: decide.bounce(seen, refund, self._context(SAM)))

    def _send(self, which: int, amount: int, choice: int) -> None:
        row = self.ledger.seen.refund(self._refund(which))
        if row is None or row.next_check_at is None:
            return
        if row.is_made_outside or row.destination == RefundDestination.PROVIDER:
            self.ledger.seen = sent(self.ledger.seen, row.id)
        else:
            self._apply(lambda seen: decide.result(seen, row.id, RefundState.DONE, self._context(SAM)))

    def _result(self, which: int, amount: int, choice: int) -> None:
        """A result of a refund that was sent."""
        row = self.ledger.seen.refund(self._refund(which))
        if row is not None and row.is_begun and row.destination == RefundDestination.PROVIDER:
            state = RESULTS[choice % 3]
            self._twice(lambda seen: decide.result(seen, row.id, state, self._context(POLL), code="refused"))

    def _failed_later(self, which: int, amount: int, choice: int) -> None:
        row = self.ledger.seen.refund(self._refund(which))
        if row is not None and row.is_begun and row.destination == RefundDestination.PROVIDER:
            self._twice(lambda seen: decide.failed_later(seen, row.id, self._context(FILE), code="late"))

    def _reported(self, which: int, amount: int, choice: int) -> None:
        """The acquirer reports a refund under an id of ours."""
        row = self.ledger.seen.refund(self._refund(which))
        if row is None or row.capture_id is None or row.is_made_outside:
            return
        fact = reported(f"T{which}", row.amount, RESULTS[choice % 3], capture=row.capture_id, reference=row.id)
        self._report(row.capture_id, fact)

    def _outside(self, which: int, amount: int, choice: int) -> None:
        """The acquirer reports a refund that was made there."""
        row = self._capture(which)
        self._report(row.id, reported(f"X{choice}", amount, RESULTS[amount % 3], capture=row.id))

    def _report(self, number: int, fact: Any) -> None:
        of = payment_id(number)
        self._twice(lambda seen: decide_outside.reported(seen, of, fact, self._context(WEBHOOK)))

    def _dispute(self, which: int, amount: int, choice: int) -> None:
        kind = (DisputeKind.CHARGEBACK, DisputeKind.INQUIRY)[choice % 2]
        state = (DisputeState.OPEN, DisputeState.WON, DisputeState.LOST)[which % 3]
        fact = disputed(state, min(amount, self._capture(0).amount), kind=kind, name=f"dp-{choice % 3}")
        self._twice(lambda seen: disputes.reported(seen, 1, fact, self._context(WEBHOOK)))

    def _twice(self, how: Any) -> None:
        """Repeating a report changes nothing but the times of polls."""
        self._apply(how)
        again = self._apply(how)
        assert again is not None and again.outcome != "applied" and unchanged_but_for_polls(again), again


def check_transitions(before: Snapshot, decision: Decision) -> None:
    """Every change of a state is in its table."""
    for row in decision.after.refunds:
        was = before.refund(row.id)
        kinds = [one.event.KIND for one in decision.history if not isinstance(one, Transition)]
        if was is not None and was.state != row.state:
            through = states.TRANSITIONS[was.state] | {
                to for one in states.TRANSITIONS[was.state] for to in states.TRANSITIONS[one]
            }
            assert row.state in through and f"refund.{row.state.lower()}" in kinds
    for dispute in decision.after.disputes:
        known = before.dispute(dispute.provider, dispute.dispute_id)
        if known is not None and known.state != dispute.state:
            assert dispute.state in dispute_states.TRANSITIONS[known.state]
    at = before.order.state
    for one in decision.history:
        if isinstance(one, Transition):
            assert one.source == at and at in order_states.sources(one.target, one.because)
            at = one.target
    assert at == decision.after.order.state


def check_new_refunds(decision: Decision) -> None:
    """Requested refunds were refundable, and only late and duplicate captures are refunded automatically."""
    for row in decision.new_refunds:
        of = decision.after.capture_of(row)
        if row.requested_by == states.AUTOMATIC:
            assert of is not None and of.allocation in (LATE, DUPLICATE)
        if row.needs_two and row.state == RefundState.REQUESTED:
            assert row.next_check_at is None


def check(ledger: Ledger) -> None:
    """Conditions after every decision."""
    seen = ledger.seen
    for row in seen.captures:
        assert 0 <= row.refunded_amount <= row.amount
        assert row.refunded_amount == min(row.amount, seen.promised(row))
        ours = [one.amount for one in seen.refunds_of(row) if not (one.is_made_outside or one.is_rejected)]
        assert sum(ours) <= row.amount, "more would be refunded than was captured"
    if seen.credit is not None:
        of_credit = [one.amount for one in seen.refunds if one.capture_id is None and not one.is_rejected]
        assert seen.credit.refunded_amount == sum(of_credit) <= seen.credit.amount
    if seen.order.review_since is None:
        assert not review.is_needed(seen)
    else:
        is_under_way = any(one.state in states.UNDER_WAY for one in seen.refunds)
        assert is_under_way or review.is_needed(seen), "the review ends at the latest when the refunds are done"
    check_ledger(ledger)
    check_approvers(seen)
    pays = {row.id for row in seen.captures if row.pays_order} | {None}
    gone = sum(row.amount for row in seen.refunds if row.state == RefundState.DONE and row.capture_id in pays)
    expected = OrderState.REFUNDED if gone >= seen.order.price else OrderState.PARTIALLY_REFUNDED
    assert seen.order.state == (expected if gone else OrderState.PAID)


def check_ledger(ledger: Ledger) -> None:
    """Each fact is booked once, and the ledger contains exactly the refunds that are done and the open chargebacks."""
    keys = [one.key for one in ledger.postings]
    assert len(keys) == len(set(keys)), "booked twice"
    ledger_after, seen = balances(ledger.postings), ledger.seen
    done = sum(row.amount for row in seen.refunds if row.state == RefundState.DONE)
    assert ledger_after.get(chart.REFUNDS, 0) + ledger_after.get(chart.UNALLOCATED_FUNDS, 0) == done
    banks = [row for row in seen.disputes if row.is_chargeback and row.state != DisputeState.WON]
    assert ledger_after.get(chart.DISPUTES, 0) == sum(row.amount for row in banks)
    by_hand = [
        row for row in seen.refunds if row.state == RefundState.DONE and row.destination == RefundDestination.BANK
    ]
    assert -ledger_after.get(chart.MANUAL_REFUNDS, 0) == sum(row.amount for row in by_hand)
    given = [
        row
        for row in seen.refunds
        if row.state == RefundState.DONE and row.destination == RefundDestination.STORE_CREDIT
    ]
    assert -ledger_after.get(chart.store_credit(7), 0) == sum(row.amount for row in given)
    assert sum(ledger_after.values()) == 0


def check_approvers(seen: Snapshot) -> None:
    """One person alone refunds no more than the limit; one that needs two is not due before the second approves."""
    alone = [row for row in seen.refunds if not (row.needs_two or row.is_rejected or row.is_made_outside)]
    by_people = [row.amount for row in alone if row.requested_by != states.AUTOMATIC]
    assert sum(by_people) <= LIMIT
    for row in seen.refunds:
        if (
            row.needs_two
            and row.state != RefundState.REJECTED
            and (row.next_check_at or row.state != RefundState.REQUESTED)
        ):
            assert row.approved_by not in (None, row.requested_by)


@MANY
@given(st.integers(1, 10_000), captures, st.integers(0, 3000), st.lists(step, max_size=12))
def test_no_sequence_of_events_refunds_more_than_was_captured_and_the_ledger_balances(
    paid: int, others: list[tuple[int, str]], credit: int, steps: list[Step]
) -> None:
    history = History(start(paid, others, credit))
    for each in steps:
        history.do(each)


@MANY
@given(
    st.integers(1, 10_000),
    st.lists(st.tuples(st.integers(1, 10_000), st.sampled_from(RESULTS)), min_size=1, max_size=3),
    st.lists(st.sampled_from(RESULTS), min_size=1, max_size=2),
    st.sampled_from([PAYS_ORDER, MISMATCH]),
    st.randoms(use_true_random=False),
)
def test_the_order_in_which_reports_arrive_makes_no_difference(
    amount: int, outside: list[tuple[int, str]], own: list[str], allocation: str, random: Any
) -> None:
    """Results of a refund of ours that was sent, and refunds made at the acquirer."""
    seen = snapshot(capture(1, amount, allocation), order=None)
    request = decide.Request(1, Money(amount, "TWD"), "")
    seen = decide.request(
        seen, request, context(rules=replace(context().rules, two_person_limits={"TWD": 10**9}))
    ).after
    [ours] = seen.refunds
    facts = [reported("T1", amount, state, reference=ours.id) for state in own]
    facts += [reported(f"X{number}", part, state) for number, (part, state) in enumerate(outside)]
    ends = []
    orders = list(permutations(facts))
    for arrival in [orders[0], orders[-1], random.choice(orders)]:
        ledger = Ledger(sent(seen, ours.id))
        for fact in arrival:
            ledger.take(lambda now, f=fact: decide_outside.reported(now, payment_id(1), f, context(WEBHOOK)))
        ends.append(what_is_left(ledger))
    assert ends[0] == ends[1] == ends[2]


def what_is_left(ledger: Ledger) -> Any:
    """The final state of the order's money, whatever the history."""
    seen = ledger.seen
    return (
        sorted((row.id, row.state) for row in seen.refunds),
        [row.refunded_amount for row in seen.captures],
        seen.order.state,
        seen.order.review_since is None,
        balances(ledger.postings),
    )


@MANY
@given(
    st.sampled_from([DisputeKind.CHARGEBACK, DisputeKind.INQUIRY]),
    st.sampled_from([DisputeState.WON, DisputeState.LOST]),
    st.lists(st.booleans(), min_size=1, max_size=6),
    st.sampled_from([PAYS_ORDER, LATE, MISMATCH]),
)
def test_a_dispute_ends_the_same_whatever_report_comes_first(
    kind: str, end: str, arrival: list[bool], allocation: str
) -> None:
    ledger = Ledger(snapshot(capture(1, allocation=allocation)))
    for is_end in [*arrival, True]:
        fact = disputed(end if is_end else DisputeState.OPEN, kind=kind)
        ledger.take(lambda seen, f=fact: disputes.reported(seen, 1, f, context(WEBHOOK)))
    [dispute] = ledger.seen.disputes
    taken = dispute.amount if (kind, end) == (DisputeKind.CHARGEBACK, DisputeState.LOST) else 0
    assert (dispute.state, balances(ledger.postings).get(chart.DISPUTES, 0)) == (end, taken)
    assert -balances(ledger.postings).get(chart.receivable(PROVIDER), 0) == taken
