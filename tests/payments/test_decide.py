"""Decisions about payment updates: tables of cases, and properties for every snapshot and update."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shop.core.actor import Actor
from shop.core.event_types import OrderMoved
from shop.core.money import Money
from shop.ledger import chart
from shop.orders import states as order_states
from shop.orders.states import OrderState
from shop.payments.order_money.snapshot import CaptureRow, DisputeRow
from shop.payments.providers.interface import CaptureFact, Decline, Facts, Show
from shop.payments.providers.types import DisputeKind, DisputeState, PaymentState
from shop.payments.records import states
from shop.payments.records.types import Allocation, Source
from shop.payments.updates import decide, decision, snapshot
from shop.payments.updates.decision import Decision
from shop.payments.updates.snapshot import (
    CreditSeen,
    OrderSeen,
    PaymentSeen,
    PaymentUpdate,
    ReservationSeen,
    Rules,
    Snapshot,
)
from tests.parts.selection import sampled
from tests.payments import order_money

PAYS_ORDER, DUPLICATE, LATE, MISMATCH = Allocation
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PRICE = 1000
_ids = itertools.count(1)
RULES = Rules(5 * MINUTE, 30 * MINUTE, timedelta(days=3), timedelta(hours=6), 50, lambda: f"R{next(_ids)}")


def order(state: str = "WAITING_PAYMENT", **values: Any) -> OrderSeen:
    made = OrderSeen(
        id=7,
        number="7K3M-9QXT-2F",
        state=state,
        currency="TWD",
        total_amount=PRICE,
        credit_amount=0,
        accepted_amount=None,
        placed_at=NOW - 10 * MINUTE,
        pay_by=NOW + 20 * MINUTE,
        cancel_requested_at=None,
        review_since=None,
        ended_at=None,
        paid_at=None,
        paid_by=None,
        event_seq=3,
    )
    if state in ("PAID", "PARTIALLY_REFUNDED", "REFUNDED"):
        made = replace(made, paid_by="P0", paid_at=NOW - MINUTE)
    return replace(made, **values)


def payment(state: str = "OPEN", payment_id: str = "P1", **values: Any) -> PaymentSeen:
    made = PaymentSeen(
        id=payment_id,
        order_id=7,
        provider="fakepay",
        state=state,
        amount=PRICE,
        currency="TWD",
        opened_at=NOW - 9 * MINUTE,
        expires_at=None,
        ended_at=None if state in states.STILL_OPEN else NOW - MINUTE,
        end_reason=None,
        polled_at=None,
        answered_at=None,
        returned_at=None,
        cancel_requested_at=None,
        next_check_at=NOW + MINUTE,
        checks=1,
        unavailable_since=None,
        confirmed_at=None,
        confirm_misses=0,
        provider_data={"theirs": "pay_1"},
        action={"kind": "redirect", "url": "https://pay.test", "fields": {}},
        last_decline=None,
        instrument=None,
    )
    return replace(made, **values)


def seen(of_order: OrderSeen, *payments: PaymentSeen, free: int = 9, **values: Any) -> Snapshot:
    held = {"PAID": "SOLD", "PARTIALLY_REFUNDED": "SOLD", "REFUNDED": "SOLD"}
    ended = of_order.state in order_states.UNPAID_END
    reservation = "RELEASED" if ended else held.get(of_order.state, "HELD")
    reserved = tuple(ReservationSeen(sku, 2, reservation, free if ended else None) for sku in ("PEN", "KETTLE"))
    return replace(Snapshot(of_order, payments or (payment(),), reservations=reserved), **values)


def captured(
    capture_id: str = "cap_1", amount: int = PRICE, currency: str = "TWD", *, at: datetime = NOW - MINUTE
) -> CaptureFact:
    return CaptureFact(capture_id, Money(amount, currency), at)


def update(
    *captures: CaptureFact, state: str | None = "CAPTURED", source: str = "webhook", **more: Any
) -> PaymentUpdate:
    return PaymentUpdate("P1", Facts(state=state, captures=captures, **more), source)


def decided(before: Snapshot, message: PaymentUpdate) -> Decision:
    return decide.decide(before, message, NOW, RULES)


def after(before: Snapshot, made: Decision) -> Snapshot:
    """The snapshot after `made` was written."""
    sold = {one.sku for one in made.stock}
    return replace(
        before,
        order=replace(before.order, **made.order, event_seq=before.order.event_seq + len(made.events)),
        payments=tuple(replace(one, **made.payments.get(one.id, {})) for one in before.payments),
        booked=before.booked | {one.id for one in made.captures},
        reservations=tuple(replace(one, state="SOLD") if one.sku in sold else one for one in before.reservations),
        credit=replace(before.credit, state="USED") if made.credit and before.credit else before.credit,
    )


# --- tables ----------------------------------------------------------------------------------------------------------

ENDED_AT = {"pay_by": NOW - 2 * MINUTE}
ALLOCATIONS = [
    ("in time", order(), captured(), 9, PAYS_ORDER, "PAID"),
    ("after a failure", order("FAILED"), captured(), 9, PAYS_ORDER, "PAID"),
    ("before the answer to the initiation", order("PENDING"), captured(), 9, PAYS_ORDER, "PAID"),
    ("after pay_by, not ended yet", order(**ENDED_AT), captured(), 9, PAYS_ORDER, "PAID"),
    ("too little", order(), captured(amount=PRICE - 1), 9, MISMATCH, None),
    ("too much", order(), captured(amount=PRICE + 1), 9, MISMATCH, None),
    ("other currency", order(), captured(currency="JPY"), 9, MISMATCH, None),
    ("wrong and late", order("EXPIRED", **ENDED_AT), captured(amount=1), 9, MISMATCH, None),
    ("wrong and second", order("PAID"), captured(amount=1), 9, MISMATCH, None),
    ("paid already", order("PAID"), captured(), 9, DUPLICATE, None),
    ("refunded already", order("REFUNDED"), captured(), 9, DUPLICATE, None),
    ("expired, captured after", order("EXPIRED", **ENDED_AT), captured(), 9, LATE, None),
    ("expired, captured in time", order("EXPIRED", **ENDED_AT), captured(at=NOW - 3 * MINUTE), 9, PAYS_ORDER, "PAID"),
    ("expired, stock is gone", order("EXPIRED", **ENDED_AT), captured(at=NOW - 3 * MINUTE), 1, LATE, None),
    (
        "cancelled, captured before the wish",
        order("CANCELLED", cancel_requested_at=NOW - MINUTE),
        captured(at=NOW - 2 * MINUTE),
        9,
        PAYS_ORDER,
        "PAID",
    ),
    (
        "cancelled, captured after the wish",
        order("CANCELLED", cancel_requested_at=NOW - 2 * MINUTE),
        captured(),
        9,
        LATE,
        None,
    ),
]


@pytest.mark.parametrize(
    ("of_order", "fact", "free", "allocation", "target"),
    [case[1:] for case in ALLOCATIONS],
    ids=[case[0] for case in ALLOCATIONS],
)
def test_the_allocation_of_a_capture(
    of_order: OrderSeen, fact: CaptureFact, free: int, allocation: str, target: str | None
) -> None:
    made = decided(seen(of_order, free=free), update(fact))
    assert [one.allocation for one in made.captures] == [allocation]
    assert made.order.get("state") == target
    assert made.order.get("paid_by") == ("P1" if target else None)
    assert made.outcome == ("mismatch" if allocation == MISMATCH else "applied")
    assert ("review_since" in made.order) == (allocation == MISMATCH)
    assert [one.allocation for one in made.refunds] == ([allocation] if allocation in (LATE, DUPLICATE) else [])
    assert [one.sku for one in made.stock] == (["KETTLE", "PEN"] if target else [])


def test_the_payment_of_an_order_closes_its_other_payments() -> None:
    other = payment("UNKNOWN", "P2")
    made = decided(seen(order(), payment("FAILED"), other), update(captured()))
    assert made.payments["P2"] == {"cancel_requested_at": NOW, "next_check_at": NOW}
    assert [one.event.KIND for one in made.events] == ["payment.captured", "order.moved"]
    assert made.paid_after == MINUTE


def test_of_two_captures_in_one_update_the_second_is_refunded() -> None:
    made = decided(seen(order()), update(captured("cap_1"), captured("cap_2")))
    assert [(one.id, one.allocation, one.refunded) for one in made.captures] == [
        ("cap_1", PAYS_ORDER, 0),
        ("cap_2", DUPLICATE, PRICE),
    ]
    assert [one.capture_id for one in made.refunds] == ["cap_2"]
    assert [one.event.KIND for one in made.events] == [
        "payment.captured",
        "order.moved",
        "payment.captured",
        "refund.requested",
    ]


def test_store_credit_is_used_with_the_payment_and_a_spent_one_makes_the_money_late() -> None:
    paying = order(credit_amount=400)
    credit = CreditSeen(5, "TWD", 400, "HELD")
    made = decided(seen(paying, payment(amount=600), credit=credit), update(captured(amount=600)))
    assert made.credit == decision.CreditChange(5, "TWD", 400, "HELD")
    assert [one.kind for one in made.journals] == ["capture", "credit_used"]
    ended = order("EXPIRED", credit_amount=400, pay_by=NOW)
    for free, allocation in ((400, PAYS_ORDER), (399, LATE)):
        released = CreditSeen(5, "TWD", 400, "RELEASED", free)
        made = decided(seen(ended, payment(amount=600), credit=released), update(captured(amount=600)))
        assert [one.allocation for one in made.captures] == [allocation]


def test_an_update_about_another_payment_of_the_acquirer_changes_nothing() -> None:
    made = decided(seen(order()), update(captured(), provider_data={"theirs": "pay_2"}))
    assert made == Decision("foreign", reasons=made.reasons)


def test_of_an_update_that_names_a_capture_of_another_payment_only_its_own_captures_are_booked() -> None:
    before = seen(order(), of_others=frozenset({"theirs"}))
    made = decided(before, update(captured("theirs"), captured()))
    assert (made.outcome, [one.id for one in made.captures], made.order["state"]) == ("foreign", ["cap_1"], "PAID")
    made = decided(before, update(captured("theirs")))
    assert (made.outcome, made.captures, made.order) == ("foreign", (), {})


def test_an_answer_with_nothing_but_a_capture_of_another_payment_confirms_no_capture() -> None:
    paid = seen(order("PAID", paid_by="P1"), payment("CAPTURED"), booked=frozenset({"cap_1"}))
    before = replace(paid, of_others=frozenset({"theirs"}))
    query = replace(update(captured("theirs"), source="poll"), answer=snapshot.QueryAnswer(PaymentState.CAPTURED))
    changed = decided(before, query).payments["P1"]
    assert (changed.get("confirmed_at"), changed["confirm_misses"]) == (None, 1)


def test_a_report_of_a_capture_without_the_capture_is_a_hint() -> None:
    made = decided(seen(order()), update())
    assert (made.outcome, made.captures, made.order, made.is_recorded) == ("hint", (), {}, True)


def test_a_duplicate_of_a_query_is_not_recorded() -> None:
    before = seen(order(), payment("OPEN"))
    assert decided(before, update(state="OPEN", source="poll")).is_recorded is False
    assert decided(before, update(state="OPEN")).is_recorded is True


def test_a_query_that_does_not_show_the_capture_is_counted() -> None:
    before = seen(order("PAID", paid_by="P1"), payment("CAPTURED", polled_at=NOW), booked=frozenset({"cap_1"}))
    answer = snapshot.QueryAnswer("CAPTURED")
    missing = decided(before, replace(update(state="OPEN", source="poll"), answer=answer))
    assert (missing.outcome, missing.payments["P1"]["confirm_misses"]) == ("stale", 1)
    shown = decided(before, replace(update(captured(), source="poll"), answer=answer))
    assert shown.payments["P1"] == {"confirmed_at": NOW, "answered_at": NOW, "next_check_at": None}


def test_a_store_code_moves_the_time_to_pay_once() -> None:
    show = Show("store_code", "123", "", NOW + timedelta(days=2))
    made = decided(seen(order()), update(state=None, show=show))
    assert made.order == {"pay_by": show.deadline}
    assert made.payments["P1"]["action"]["fields"]["code"] == "123"
    assert decided(after(seen(order()), made), update(state=None, show=show)).order == {}
    large = replace(seen(order()), shares=(snapshot.Share(9, 0, 10),))
    assert decided(large, update(state=None, show=show)).order == {"pay_by": NOW + timedelta(hours=6)}


def test_nothing_left_to_pay_pays_a_pending_order_once() -> None:
    free = order("PENDING", credit_amount=PRICE, user_id=5)
    credit = CreditSeen(5, "TWD", PRICE, "HELD")
    made = decide.decide_nothing_left(seen(free, credit=credit), NOW)
    assert made is not None
    assert {entry.actor for entry in made.events} == {Actor.customer(5)}
    assert (made.order["state"], made.order["paid_by"]) == ("PAID", "store_credit")
    for other in (replace(free, cancel_requested_at=NOW), order("PENDING"), order("EXPIRED", credit_amount=PRICE)):
        assert decide.decide_nothing_left(seen(other, credit=credit), NOW) is None


def mismatch(number: int = 1, **fields: Any) -> CaptureRow:
    return order_money.capture(number, 900, MISMATCH, **fields)


@pytest.mark.parametrize(
    ("of_order", "free", "fields", "code"),
    [
        (order("PAID"), 9, {}, "not_to_accept"),
        (order(), 9, {"currency": "JPY"}, "not_to_accept"),
        (order(), 9, {"refunded_amount": 1}, "not_to_accept"),
        (order(), 9, {"allocation": LATE}, "not_to_accept"),
        (order("EXPIRED"), 1, {}, "nothing_to_hold"),
        (order("CANCELLED"), 1, {}, "nothing_to_hold"),
    ],
)
def test_what_staff_cannot_accept(of_order: OrderSeen, free: int, fields: dict[str, Any], code: str) -> None:
    money = order_money.snapshot(replace(mismatch(), **fields))
    with pytest.raises(decide.NotAcceptable) as refused:
        decide.decide_accept(seen(of_order, free=free), money, 1, order_money.SAM, "", NOW)
    assert refused.value.code == code


@pytest.mark.parametrize(("state", "is_acceptable"), [("OPEN", False), ("LOST", False), ("WON", True)])
def test_staff_cannot_accept_disputed_money(state: str, is_acceptable: bool) -> None:
    dispute = DisputeRow(
        "fakepay", "dp", 1, 1, DisputeKind.CHARGEBACK, "", DisputeState(state), 1, "TWD", NOW, None, NOW,
        Source.WEBHOOK, None,
    )  # fmt: skip
    money = order_money.snapshot(mismatch(), disputes=(dispute,))
    if is_acceptable:
        assert decide.decide_accept(seen(order()), money, 1, order_money.SAM, "", NOW).order["state"] == "PAID"
        return
    with pytest.raises(decide.NotAcceptable):
        decide.decide_accept(seen(order()), money, 1, order_money.SAM, "", NOW)


@pytest.mark.parametrize("others_wait", [False, True])
def test_an_accepted_mismatch_pays_and_the_difference_is_booked(others_wait: bool) -> None:
    money = order_money.snapshot(mismatch(), mismatch(2, refunded_amount=0 if others_wait else 900))
    if not others_wait:
        money = money.with_capture(replace(money.capture(2), allocation=LATE))
    made = decide.decide_accept(seen(order(review_since=NOW)), money, 1, order_money.SAM, "close", NOW)
    assert made.accepted == 1
    assert (made.order["state"], made.order["accepted_amount"]) == ("PAID", 900)
    assert ("review_since" in made.order) is not others_wait
    entries = {account: money.amount for account, money in made.journals[0].entries}
    assert entries == {chart.UNALLOCATED_FUNDS: 900, chart.SALES: -PRICE, chart.DIFFERENCES: 100}


# --- properties ------------------------------------------------------------------------------------------------------

TIMES = (NOW - 30 * MINUTE, NOW - 5 * MINUTE, NOW - MINUTE, NOW)
CAPTURES = [captured(f"cap_{n}", amount, at=at) for n in (1, 2, 3) for amount in (PRICE, 1) for at in TIMES]
PAIRS = [pair for pair in itertools.permutations(CAPTURES, 2) if pair[0].id != pair[1].id]
IS_PAYABLE = (PaymentState.OPEN, PaymentState.AUTHORIZED)
HAS_NO_PAYMENT = (OrderState.PENDING, OrderState.FAILED)
"""An update that opens a payment moves its order out of these."""
SNAPSHOTS = [
    seen(order(of_order, pay_by=pay_by, cancel_requested_at=wished), payment(of_payment), free=free)
    for of_order in order_states.STATES
    for pay_by in (NOW - 4 * MINUTE, NOW + 20 * MINUTE)
    for wished in (None, NOW - 3 * MINUTE)
    for of_payment in states.STATES
    if of_payment != PaymentState.CAPTURED
    if not (of_payment in IS_PAYABLE and of_order in HAS_NO_PAYMENT)
    for free in (0, 9)
]
snapshots = st.sampled_from(SNAPSHOTS)
updates = st.builds(
    lambda state, found, source, declined: update(*found, state=state, source=source, decline=declined),
    st.sampled_from([None, *states.STATES]),
    st.sampled_from([(), *((one,) for one in CAPTURES), *PAIRS]),
    st.sampled_from(["webhook", "poll", "return", "start", "settlement file"]),
    st.sampled_from([None, Decline("no_funds", "other_method")]),
)


@settings(max_examples=sampled(1500, 5000, quick=200), deadline=None)
@given(snapshots, updates)
def test_one_decision_conserves_money_and_keeps_to_the_tables(before: Snapshot, message: PaymentUpdate) -> None:
    made = decided(before, message)
    assert [one.key for one in made.journals] == [f"capture:fakepay:{one.id}" for one in made.captures]
    for journal, capture in zip(made.journals, made.captures, strict=True):
        credit = chart.SALES if capture.allocation == PAYS_ORDER else chart.UNALLOCATED_FUNDS
        assert journal.entries == (("receivable:fakepay", capture.money), (credit, capture.money * -1))
    paying = [one for one in made.captures if one.allocation == PAYS_ORDER]
    assert len(paying) <= (before.order.paid_by is None)
    assert all(one.money == before.order.to_pay for one in paying)
    assert (made.order.get("paid_by") is not None) == bool(paying) == (made.order.get("state") == "PAID")
    automatic = {one.id: one.money.amount for one in made.captures if one.allocation in (LATE, DUPLICATE)}
    assert {one.capture_id: one.money.amount for one in made.refunds} == automatic
    assert {one.id: one.refunded for one in made.captures if one.refunded} == automatic
    assert bool(made.stock) == bool(paying)
    history = [one.event for one in made.events]
    steps = [(event.source, event.target) for event in history if isinstance(event, OrderMoved)]
    assert all(order_states.is_legal(*step) for step in steps)
    assert [before.order.state, *(target for _, target in steps)][-1] == made.order.get("state", before.order.state)
    moved = made.payments.get("P1", {}).get("state")
    assert moved is None or moved in states.TRANSITIONS[before.payments[0].state]


@settings(max_examples=sampled(1500, 5000, quick=200), deadline=None)
@given(snapshots, updates)
def test_repeating_an_update_changes_nothing(before: Snapshot, message: PaymentUpdate) -> None:
    then = after(before, decided(before, message))
    again = decided(then, message)
    assert again.outcome in ("duplicate", "hint", "stale", "illegal")
    assert (again.captures, again.refunds, again.journals, again.stock, again.credit, again.events) == ((),) * 4 + (
        None,
        (),
    )
    assert again.order == {}
    assert set(again.payments.get("P1", {})) <= {"next_check_at"}


def result(before: Snapshot, reported: Iterable[PaymentUpdate]) -> tuple[Any, ...]:
    """The parts of the final state that must not depend on the order of the updates."""
    refunded: Counter[str] = Counter()
    wrong = set()
    for one in reported:
        made = decided(before, one)
        refunded.update({"all": sum(refund.money.amount for refund in made.refunds)})
        wrong |= {capture.id for capture in made.captures if capture.allocation == MISMATCH}
        before = after(before, made)
    state = before.payments[0].state
    return (
        before.order.state,
        before.order.paid_by,
        "ended" if state in states.ENDED_WITHOUT_MONEY else state,
        before.booked,
        refunded,
        wrong,
        {one.state for one in before.reservations},
    )


@settings(max_examples=sampled(600, 5000, quick=100), deadline=None)
@given(snapshots, st.lists(updates, min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(before: Snapshot, message: list[PaymentUpdate], chance: Any) -> None:
    same_ids = {fact.id: fact for one in message for fact in one.facts.captures}  # an id identifies one capture
    message = [
        replace(one, facts=replace(one.facts, captures=tuple(same_ids[fact.id] for fact in one.facts.captures)))
        for one in message
    ]
    mixed = list(message)
    chance.shuffle(mixed)
    assert result(before, message) == result(before, mixed)
