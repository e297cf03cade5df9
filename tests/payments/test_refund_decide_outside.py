"""Decisions about reports of refunds as tables: refunds of ours, and refunds made at the acquirer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shop.core.money import Money
from shop.payments.providers.types import RefundState
from shop.payments.records import refund_states as states
from shop.payments.records.types import RefundDestination, RefundKind
from shop.payments.refunds import decide, decide_outside, own_or_outside
from tests.payments.order_money import (
    DUPLICATE,
    LATE,
    NOW,
    OURS,
    PAYS_ORDER,
    POLL,
    PROVIDER,
    WEBHOOK,
    Ledger,
    capture,
    context,
    history_of,
    order,
    payment_id,
    refund,
    refund_id,
    reported,
    sent,
    snapshot,
    the,
    with_refunds,
)


@pytest.mark.parametrize(
    ("ours", "fact", "is_own"),
    [
        ({"checks": 1}, {}, True),
        ({"checks": 0}, {}, False),
        ({"checks": 0, "state": "DONE"}, {}, True),
        ({"checks": 1}, {"amount": 999}, False),
        ({"checks": 1}, {"capture": 2}, False),
        ({"checks": 1, "destination": RefundDestination.BANK}, {}, False),
        ({"checks": 1}, {"reference": refund_id(2)}, False),
        ({"checks": 1}, {"reference": "their own"}, False),
    ],
)
def test_a_report_is_matched_to_our_refund(ours: dict[str, Any], fact: dict[str, Any], is_own: bool) -> None:
    report = reported(**({"name": "T1", "amount": 1000, "reference": OURS} | fact))
    known = own_or_outside.known_in(with_refunds(refund(**ours)))
    assert own_or_outside.is_own(known, PROVIDER, report) is is_own
    assert not own_or_outside.is_own(known, "otherpay", report)
    by_payment = replace(report, capture_id="")
    assert own_or_outside.is_own(known, PROVIDER, by_payment) is is_own
    made_there = refund(id=own_or_outside.name_of(PROVIDER, "T1"), kind=RefundKind.OUTSIDE, state="DONE", reason=OURS)
    assert not own_or_outside.is_own(
        own_or_outside.known_in(with_refunds(refund(**ours), made_there)), PROVIDER, report
    )


# --- made at the acquirer ---


def take(ledger: Ledger, fact: Any) -> str:
    of = payment_id(int(fact.capture_id.removeprefix("cap-")))
    decision = ledger.take(lambda seen: decide_outside.reported(seen, of, fact, context(WEBHOOK)))
    assert decision is not None
    return decision.outcome


def test_a_refund_made_there_is_booked_once_and_followed() -> None:
    ledger = Ledger(snapshot(capture(1)))
    assert [take(ledger, reported("X1", 4000, state)) for state in ("PENDING", "PENDING", "DONE", "DONE")] == [
        "applied",
        "duplicate",
        "applied",
        "duplicate",
    ]
    assert (ledger.seen.order.state, ledger.seen.capture(1).refunded_amount) == ("PARTIALLY_REFUNDED", 4000)
    assert [one.key for one in ledger.postings] == [f"refund:{PROVIDER}:X1"]


@pytest.mark.parametrize(
    ("fact", "outcome"),
    [
        (reported("X1", 100, "REJECTED"), "duplicate"),
        (reported("", 100, reference="theirs"), "orphan"),
        (replace(reported("X1", 100), money=None), "orphan"),
        (replace(reported("X1", 100), money=Money(100, "JPY")), "illegal"),
        (replace(reported("X1", 100), capture_id="cap-9"), "orphan"),
        (reported("TAKEN", 100), "duplicate"),
    ],
)
def test_a_report_that_books_nothing(fact: Any, outcome: str) -> None:
    seen = snapshot(capture(1), used_ids=frozenset({own_or_outside.name_of(PROVIDER, "TAKEN")}))
    decision = decide_outside.reported(seen, payment_id(1), fact, context(WEBHOOK))
    assert (decision.outcome, decision.postings, decision.new_refunds) == (outcome, (), [])
    assert history_of(decision) == (["refund.not_booked"] if outcome == "illegal" else [])
    again = decide_outside.reported(decision.after, payment_id(1), fact, context(WEBHOOK))
    assert history_of(again) == []


def test_a_refund_of_an_unknown_capture_has_the_payment_queried_now() -> None:
    decision = decide_outside.reported(
        snapshot(capture(1)), payment_id(1), replace(reported("X1", 5), capture_id="cap-9"), context(WEBHOOK)
    )
    assert decision.after.payment(payment_id(1)).next_check_at == NOW


@pytest.mark.parametrize(
    ("ours", "withdrawn"),
    [
        ({}, True),
        ({"checks": 1}, False),
        ({"destination": RefundDestination.BANK}, False),
        ({"destination": RefundDestination.STORE_CREDIT}, True),
        ({"amount": 4000}, False),
    ],
)
def test_refunds_of_ours_that_are_not_sent_make_room(ours: dict[str, Any], withdrawn: bool) -> None:
    ledger = Ledger(with_refunds(refund(**({"amount": 8000} | ours))))
    assert take(ledger, reported("X1", 6000)) == "applied"
    row = the(ledger.seen, OURS)
    assert (row.state, row.rejected_code) == (("REJECTED", "made_there") if withdrawn else ("REQUESTED", None))
    promised = ledger.seen.promised(ledger.seen.capture(1))
    assert ledger.seen.capture(1).refunded_amount == min(10_000, promised)


def test_the_rest_of_late_money_is_refunded_when_a_part_was_refunded_there() -> None:
    ours = refund(10_000, requested_by=states.AUTOMATIC, kind=LATE)
    ledger = Ledger(with_refunds(ours, allocation=LATE, order=order(state="EXPIRED")))
    take(ledger, reported("X1", 3000))
    made = sorted((row.kind, row.amount, row.state) for row in ledger.seen.refunds)
    assert made == [("late", 7000, "REQUESTED"), ("late", 10_000, "REJECTED"), ("outside", 3000, "DONE")]


@pytest.mark.parametrize("first", ["refused", "reported"])
def test_in_either_order_a_refused_automatic_refund_leaves_the_rest_to_another(first: str) -> None:
    ours = refund(10_000, requested_by=states.AUTOMATIC, kind=LATE)
    ledger = Ledger(sent(with_refunds(ours, allocation=LATE, order=order(state="EXPIRED")), OURS))

    def refused() -> None:
        ledger.take(lambda seen: decide.result(seen, OURS, RefundState.REJECTED, context(POLL), code="too much"))

    if first == "refused":
        refused()
    take(ledger, reported("X1", 3000))
    if first == "reported":
        refused()
    open_ones = [(row.kind, row.amount) for row in ledger.seen.refunds if row.state == RefundState.REQUESTED]
    assert open_ones == [("late", 7000)]


def test_a_refund_without_a_capture_id_is_of_one_that_pays_nothing_and_has_enough_left() -> None:
    rows = [capture(number, 1000, allocation) for number, allocation in ((1, PAYS_ORDER), (2, DUPLICATE))]
    both = [replace(row, payment_id=payment_id(1)) for row in rows]
    seen = snapshot(*both)
    fact = replace(reported("X1", 1000), capture_id="")
    ledger = Ledger(seen)
    for number in (1, 2, 2):
        ledger.take(
            lambda now, n=number: decide_outside.reported(
                now, payment_id(1), replace(fact, id=f"X{n}"), context(WEBHOOK)
            )
        )
    assert [(row.id, row.capture_id) for row in ledger.seen.refunds] == [("fakepay:X1", 2), ("fakepay:X2", 1)]


def test_of_listed_refunds_those_of_ours_are_left_to_their_own_query() -> None:
    seen = with_refunds(refund(checks=1))
    facts = [reported("T1", 1000, reference=OURS), reported("X1", 500), reported("X1", 500)]
    decision, outcomes = decide_outside.listed(seen, payment_id(1), facts, context(POLL))
    assert [outcome for _, outcome in outcomes] == ["applied", "duplicate"]
    assert the(decision.after, OURS).state == RefundState.REQUESTED
