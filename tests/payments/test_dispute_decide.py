"""Decisions about disputes as tables, without a database."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shop.core.money import Money
from shop.ledger import chart
from shop.payments.disputes import decide
from shop.payments.providers.interface import DisputeFact
from tests.payments.order_money import (
    MISMATCH,
    NOW,
    PROVIDER,
    WEBHOOK,
    Ledger,
    balances,
    capture,
    context,
    disputed,
    history_of,
    order,
    snapshot,
)


def outcomes(ledger: Ledger, *facts: DisputeFact) -> list[str]:
    found = []
    for fact in facts:
        decision = ledger.take(lambda seen, f=fact: decide.reported(seen, 1, f, context(WEBHOOK)))
        assert decision is not None
        found.append(decision.outcome)
    return found


@pytest.mark.parametrize(
    ("kind", "states", "expected", "taken"),
    [
        ("chargeback", ["OPEN"], ["applied"], 10_000),
        ("chargeback", ["OPEN", "OPEN"], ["applied", "duplicate"], 10_000),
        ("chargeback", ["OPEN", "WON", "OPEN"], ["applied", "applied", "stale"], 0),
        ("chargeback", ["OPEN", "LOST", "WON"], ["applied", "applied", "stale"], 10_000),
        ("chargeback", ["WON", "OPEN"], ["applied", "stale"], 0),
        ("chargeback", ["LOST"], ["applied"], 10_000),
        ("inquiry", ["OPEN", "WON"], ["applied", "applied"], 0),
        ("inquiry", ["LOST"], ["applied"], 0),
    ],
)
def test_the_journals_of_reports_of_a_dispute(kind: str, states: list[str], expected: list[str], taken: int) -> None:
    ledger = Ledger(snapshot(capture(1)))
    assert outcomes(ledger, *(disputed(state, kind=kind) for state in states)) == expected
    ledger_after = balances(ledger.postings)
    assert ledger_after.get(chart.DISPUTES, 0) == -ledger_after.get(chart.receivable(PROVIDER), 0) == taken
    assert history_of(ledger) == [
        f"dispute.{state.lower()}" for state, outcome in zip(states, expected, strict=True) if outcome == "applied"
    ]
    assert ledger.seen.order.state == "PAID", "no order changes its state for a dispute"


def test_an_inquiry_becomes_a_chargeback_of_the_amount_that_is_then_reported() -> None:
    ledger = Ledger(snapshot(capture(1)))
    later = replace(disputed(), money=Money(4000, "TWD"), reason="", respond_by=NOW)
    assert outcomes(ledger, disputed(kind="inquiry"), later) == ["applied", "applied"]
    [dispute] = ledger.seen.disputes
    assert (dispute.kind, dispute.amount, dispute.reason, dispute.respond_by) == ("chargeback", 4000, "fraudulent", NOW)
    assert balances(ledger.postings)[chart.DISPUTES] == 4000
    assert outcomes(ledger, disputed("WON")) == ["applied"] and balances(ledger.postings) == {}


@pytest.mark.parametrize(("end", "is_over"), [("LOST", True), ("WON", False)])
def test_a_lost_chargeback_of_a_mismatch_ends_the_review(end: str, is_over: bool) -> None:
    waits = order(state="WAITING_PAYMENT", review_since=NOW, pay_by=NOW)
    ledger = Ledger(snapshot(capture(1, allocation=MISMATCH), order=waits))
    outcomes(ledger, disputed(), disputed(end))
    assert (ledger.seen.order.review_since is None) is is_over
    assert (ledger.seen.order.pay_by > NOW) is is_over
