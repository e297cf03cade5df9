"""Decision how an order ends, as a table and in every combination. No database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from shop.checkout.ending.decide import (
    ClosePayments,
    End,
    Ended,
    PaymentState,
    RequestCancellation,
    Snapshot,
    Wait,
    Waiting,
    decide,
    decide_cancellation,
)
from shop.core.errors import Refusal
from shop.orders import states
from shop.orders.states import OrderState, Reason

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER, BEFORE = NOW + timedelta(minutes=1), NOW - timedelta(minutes=1)
OPEN, CLOSED = PaymentState("P1", is_open=True), PaymentState("P2", is_open=False)
CLOSING = PaymentState("P3", is_open=True, cancel_requested_at=BEFORE)
WAITING = OrderState.WAITING_PAYMENT
EXPIRED, CANCELLED = End(OrderState.EXPIRED, Reason.TIME_OVER), End(OrderState.CANCELLED, Reason.CANCELLED)

TABLE = {
    "in time": (Snapshot(WAITING, LATER, [OPEN]), Wait(Waiting.NOT_DUE)),
    "at the deadline, payment open": (Snapshot(WAITING, NOW, [OPEN]), ClosePayments(("P1",))),
    "at the deadline, payment being closed": (Snapshot(WAITING, NOW, [CLOSING]), ClosePayments(("P3",))),
    "at the deadline, payment closed": (Snapshot(WAITING, NOW, [CLOSED]), EXPIRED),
    "at the deadline, no payment": (Snapshot(OrderState.PENDING, BEFORE), EXPIRED),
    "at the deadline, payment failed": (Snapshot(OrderState.FAILED, BEFORE, [CLOSED, CLOSED]), EXPIRED),
    "cancelled, payment open": (Snapshot(WAITING, LATER, [CLOSED, OPEN], BEFORE), ClosePayments(("P1",))),
    "cancelled, payment closed": (Snapshot(WAITING, LATER, [CLOSED], BEFORE), CANCELLED),
    "cancelled before the deadline, ends after it": (Snapshot(WAITING, BEFORE, [], BEFORE), CANCELLED),
    "under review at the deadline": (
        Snapshot(WAITING, BEFORE, [CLOSED], review_since=BEFORE),
        Wait(Waiting.UNDER_REVIEW),
    ),
    "under review and cancelled, payment open": (
        Snapshot(WAITING, LATER, [OPEN], BEFORE, BEFORE),
        ClosePayments(("P1",)),
    ),
    "under review at the deadline, payment open": (
        Snapshot(WAITING, BEFORE, [OPEN], review_since=BEFORE),
        Wait(Waiting.UNDER_REVIEW),
    ),
    "under review and cancelled": (Snapshot(WAITING, LATER, [], BEFORE, BEFORE), Wait(Waiting.UNDER_REVIEW)),
    **{f"{state} already": (Snapshot(state, BEFORE, [OPEN], BEFORE), Ended()) for state in sorted(states.ENDED)},
}


@pytest.mark.parametrize(("seen", "decision"), TABLE.values(), ids=TABLE)
def test_an_order_that_is(seen: Snapshot, decision: object) -> None:
    assert decide(seen, NOW) == decision


def test_a_request_to_cancel_is_noted_once_and_makes_open_payments_due() -> None:
    seen = Snapshot(WAITING, LATER, [OPEN, CLOSED, CLOSING])
    first = decide_cancellation(seen, NOW)
    assert first == RequestCancellation(True, NOW, ("P1",))
    again = decide_cancellation(replace(seen, cancel_requested_at=BEFORE), NOW)
    assert again == RequestCancellation(False, BEFORE, ("P1",)), "the time of the first request stays"


def test_a_request_to_cancel_is_refused_while_money_is_reviewed_and_harmless_after_the_end() -> None:
    under_review = Snapshot(WAITING, LATER, [OPEN], review_since=BEFORE)
    refused = decide_cancellation(under_review, NOW)
    assert isinstance(refused, Refusal) and refused.code == "under_review"
    assert decide_cancellation(under_review, NOW, even_under_review=True) == RequestCancellation(True, NOW, ("P1",))
    for state in states.ENDED:
        assert decide_cancellation(replace(under_review, state=state), NOW) == Ended()


# --- every combination ---

PAYMENTS = [PaymentState("P", is_open, requested) for is_open in (True, False) for requested in (None, BEFORE)]
MINUTES = (0, 1, 5)
ORDERS = [
    Snapshot(state, pay_by, [replace(one, id=f"P{number}") for number, one in enumerate(payments)], cancelled, reviewed)
    for state in states.STATES
    for pay_by in (BEFORE, NOW, LATER)
    for size in range(4)
    for payments in product(PAYMENTS, repeat=size)
    for cancelled in (None, BEFORE, NOW)
    for reviewed in (None, BEFORE)
]
"""Orders in every state, before, at and after the deadline, with every combination of at most three payments."""


def test_an_order_ends_only_when_due_unpaid_not_reviewed_and_without_an_open_payment() -> None:
    for seen in ORDERS:
        decision = decide(seen, NOW)
        due = seen.cancel_requested_at is not None or seen.pay_by <= NOW
        if isinstance(decision, End):
            assert due and seen.review_since is None and not any(payment.is_open for payment in seen.payments)
            assert seen.state in states.sources(decision.target, decision.because), "the transition table allows it"
            assert (decision.target == OrderState.CANCELLED) == (seen.cancel_requested_at is not None)
        elif isinstance(decision, ClosePayments):
            assert due and seen.state in states.PAYABLE
            assert decision.payment_ids == tuple(payment.id for payment in seen.payments if payment.is_open) != ()
        elif isinstance(decision, Wait):
            assert seen.state in states.PAYABLE and (seen.review_since is not None or not due)
        else:
            assert seen.state in states.ENDED


def test_an_order_that_has_to_end_still_has_to_end_later() -> None:
    for seen in ORDERS:
        decision = decide(seen, NOW)
        if isinstance(decision, End | ClosePayments | Ended):
            assert all(decide(seen, NOW + timedelta(minutes=minutes)) == decision for minutes in MINUTES)


def test_what_is_decided_leads_to_the_end() -> None:
    """Cancelled, with every payment closed and the review over, the order ends at once."""
    for seen in ORDERS:
        requested = decide_cancellation(seen, NOW, even_under_review=True)
        if isinstance(requested, RequestCancellation):
            closed = [replace(payment, is_open=False) for payment in seen.payments]
            after = replace(seen, cancel_requested_at=requested.requested_at, payments=closed, review_since=None)
            assert decide(after, NOW) == CANCELLED
            assert decide(replace(after, state=OrderState.CANCELLED), NOW) == Ended(), "and only once"


def test_a_request_to_cancel_is_idempotent() -> None:
    for seen in ORDERS:
        first = decide_cancellation(seen, NOW)
        if isinstance(first, RequestCancellation):
            requested = [replace(p, cancel_requested_at=NOW) if p.id in first.payment_ids else p for p in seen.payments]
            noted = replace(seen, cancel_requested_at=first.requested_at, payments=requested)
            assert decide_cancellation(noted, LATER) == RequestCancellation(False, first.requested_at, ())
