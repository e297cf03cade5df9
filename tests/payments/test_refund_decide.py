"""Decisions about refunds as tables: effects of a request, an approval or a result, without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shop.core.actor import Actor, ActorKind
from shop.core.errors import BadInput, Refusal
from shop.core.money import Money
from shop.ledger import chart
from shop.payments.order_money.decision import Draft, Transition
from shop.payments.order_money.snapshot import (
    DisputeRow,
    RefundRow,
)
from shop.payments.providers.interface import NotFound, Unavailable
from shop.payments.providers.types import RefundState
from shop.payments.records import refund_states as states
from shop.payments.records.types import RefundDestination, RefundKind
from shop.payments.refunds import decide, second_person, send
from tests.payments.order_money import (
    ADA,
    DUPLICATE,
    FILE,
    KIM,
    LATE,
    LIMIT,
    MISMATCH,
    NOW,
    OURS,
    PAYS_ORDER,
    POLL,
    PROVIDER,
    SAM,
    WEBHOOK,
    Ledger,
    balances,
    capture,
    chargeback,
    context,
    history_of,
    order,
    payment_id,
    refund,
    snapshot,
    the,
    with_refunds,
)


@pytest.mark.parametrize(
    ("refunded", "disputes", "left", "output"),
    [
        (0, [], 10_000, "Only NT$100"),
        (4000, [], 6000, "Only NT$60"),
        (10_000, [], 0, "Nothing can be refunded any more."),
        (0, [chargeback(3000, "OPEN")], 7000, "is in dispute and cannot be refunded while the dispute is open. Only"),
        (0, [chargeback(3000, "LOST")], 7000, "bank has taken back NT$30"),
        (0, [chargeback(3000, "WON")], 10_000, "Only NT$100"),
        (8000, [chargeback(3000, "LOST")], -1000, "Nothing else can be refunded."),
    ],
)
def test_how_much_can_be_refunded_and_why_not_more(
    refunded: int, disputes: list[DisputeRow], left: int, output: str
) -> None:
    seen = snapshot(capture(1, refunded_amount=refunded), disputes=tuple(disputes))
    assert seen.refundable(seen.capture(1)) == left
    with pytest.raises(Refusal) as refused:
        decide.request(seen, decide.Request(1, Money(10_001, "TWD"), ""), context())
    assert output in refused.value.message and refused.value.details["refundable"] == max(0, left)


@pytest.mark.parametrize(
    ("before", "amount", "destination", "needed"),
    [
        ([], LIMIT, RefundDestination.PROVIDER, False),
        ([], LIMIT + 1, RefundDestination.PROVIDER, True),
        ([refund(4000)], 1001, RefundDestination.PROVIDER, True),
        ([refund(4000, RefundState.REJECTED)], 1001, RefundDestination.PROVIDER, False),
        ([refund(4000, needs_two=True)], 1001, RefundDestination.PROVIDER, False),
        ([refund(4000, requested_by=states.AUTOMATIC)], 1001, RefundDestination.PROVIDER, False),
        ([refund(4000, kind=RefundKind.OUTSIDE)], 1001, RefundDestination.PROVIDER, False),
        ([refund(4000, currency="JPY")], 1001, RefundDestination.PROVIDER, False),
        ([], 1, RefundDestination.BANK, True),
        ([], LIMIT, RefundDestination.STORE_CREDIT, False),
    ],
)
def test_how_many_people_a_refund_needs(before: list[RefundRow], amount: int, destination: str, needed: bool) -> None:
    seen = snapshot(capture(1), refunds=tuple(before))
    assert second_person.needs_two(seen, Money(amount, "TWD"), destination, {"TWD": LIMIT}) is needed
    assert second_person.needs_two(seen, Money(1, "USD"), RefundDestination.PROVIDER, {"TWD": LIMIT}), (
        "no limit is a limit of zero"
    )


# --- requests ---


@pytest.mark.parametrize(
    ("requested", "code"),
    [
        (decide.Request(1, Money(0, "TWD"), ""), "bad_amount"),
        (decide.Request(1, Money(100, "JPY"), ""), "bad_amount"),
        (decide.Request(1, Money(100, "TWD"), "", "moon"), "bad_destination"),
        (decide.Request(1, Money(10_001, "TWD"), ""), "not_refundable"),
        (decide.Request(1, Money(100, "TWD"), "", expected=9999), "not_refundable"),
        (decide.Request(1, Money(100, "TWD"), "", RefundDestination.STORE_CREDIT), "no_account"),
        (decide.Request(None, Money(100, "TWD"), "", RefundDestination.STORE_CREDIT), "not_refundable"),
    ],
)
def test_a_request_that_cannot_be_is_refused(requested: decide.Request, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        decide.request(snapshot(capture(1), order=order(user_id=None)), requested, context())
    assert refused.value.code == code


def test_an_amount_that_the_provider_cannot_refund_is_refused() -> None:
    seen = snapshot(capture(1, provider="steppay"))
    with pytest.raises(BadInput, match="Steppay refunds only multiples of NT\\$1\\."):
        decide.request(seen, decide.Request(1, Money(150, "TWD"), ""), context())
    assert decide.request(seen, decide.Request(1, Money(150, "TWD"), "", RefundDestination.BANK), context()).new_refunds


def test_a_request_takes_its_money_and_is_due_at_once_or_awaits_a_second_person() -> None:
    small = decide.request(snapshot(capture(1)), decide.Request(1, Money(1000, "TWD"), "sorry"), context())
    [row] = small.new_refunds
    assert (row.state, row.next_check_at, row.kind, row.reason, row.requested_by) == (
        RefundState.REQUESTED,
        NOW,
        "customer",
        "sorry",
        SAM,
    )
    assert (small.after.capture(1).refunded_amount, history_of(small), small.postings) == (
        1000,
        ["refund.requested"],
        (),
    )
    large = decide.request(snapshot(capture(1)), decide.Request(1, None, ""), context())
    [row] = large.new_refunds
    assert (row.amount, row.needs_two, row.next_check_at) == (10_000, True, None)


@pytest.mark.parametrize("allocation", [PAYS_ORDER, LATE, DUPLICATE, MISMATCH])
def test_only_of_late_and_duplicate_captures_the_rest_is_refunded_automatically(allocation: str) -> None:
    draft = Draft(snapshot(capture(1, allocation=allocation, refunded_amount=4000)), context(WEBHOOK))
    decide.refund_rest(draft, draft.before.capture(1))
    made = [(row.kind, row.amount, row.requested_by, row.needs_two) for row in draft.after.refunds]
    pays_nothing = allocation in (LATE, DUPLICATE)
    assert made == ([(allocation, 6000, states.AUTOMATIC, False)] if pays_nothing else [])


def test_a_request_for_everything_takes_each_capture_and_the_store_credit() -> None:
    seen = snapshot(capture(1, 3000), capture(2, 2000, MISMATCH), capture(3, 5, refunded_amount=5), credit=400)
    decision = decide.request_all(seen, "", RefundDestination.PROVIDER, context())
    made = [(row.capture_id, row.amount, row.destination, row.kind) for row in decision.new_refunds]
    assert made == [
        (1, 3000, RefundDestination.PROVIDER, "customer"),
        (2, 2000, RefundDestination.PROVIDER, MISMATCH),
        (None, 400, RefundDestination.STORE_CREDIT, "customer"),
    ]
    with pytest.raises(Refusal) as refused:
        decide.request_all(decision.after, "", RefundDestination.PROVIDER, context())
    assert refused.value.code == "not_refundable"


# --- approval ---


@pytest.mark.parametrize(
    ("fields", "by", "code"),
    [
        ({}, ADA, None),
        ({}, SAM, "not_to_approve"),
        ({"approved_by": KIM}, ADA, "not_to_approve"),
        ({"requested_by": Actor(ActorKind.STAFF, name="sam")}, ADA, "not_to_approve"),
        ({}, Actor.customer(SAM.user_id), "not_to_approve"),
        ({"needs_two": False}, ADA, "not_to_approve"),
        ({"state": RefundState.REJECTED}, ADA, "not_to_approve"),
    ],
)
def test_who_may_approve_a_refund(fields: dict[str, Any], by: Actor, code: str | None) -> None:
    seen = with_refunds(refund(**({"needs_two": True, "next_check_at": None} | fields)))
    if code is None:
        row = the(decide.approve(seen, OURS, context(by)).after, OURS)
        assert (row.approved_by, row.next_check_at) == (by, NOW)
        return
    with pytest.raises(Refusal) as refused:
        decide.approve(seen, OURS, context(by))
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("destination", "is_refused"),
    [(RefundDestination.PROVIDER, True), (RefundDestination.STORE_CREDIT, True), (RefundDestination.BANK, False)],
)
def test_a_refund_of_a_disputed_capture_is_approved_only_if_it_was_sent_by_hand(
    destination: str, is_refused: bool
) -> None:
    waits = refund(10_000, needs_two=True, destination=destination)
    seen = with_refunds(waits, disputes=(chargeback(10_000, "OPEN"),))
    if not is_refused:
        assert decide.approve(seen, OURS, context(ADA)).outcome == "applied"
        return
    with pytest.raises(Refusal) as refused:
        decide.approve(seen, OURS, context(ADA))
    assert refused.value.code == "disputed"


def test_a_declined_refund_leaves_its_money_refundable() -> None:
    decision = decide.decline(with_refunds(refund(needs_two=True)), OURS, context(SAM))
    row = the(decision.after, OURS)
    assert (row.state, row.rejected_code, decision.after.capture(1).refunded_amount) == ("REJECTED", "declined", 0)
    assert (history_of(decision), decision.postings) == (["refund.rejected"], ())
    with pytest.raises(Refusal, match="No such refund is waiting for approval"):
        decide.decline(decision.after, OURS, context(ADA))


def test_a_declined_refund_of_store_credit_leaves_the_credit() -> None:
    seen = snapshot(credit=6000)
    requested = decide.request(
        seen, decide.Request(None, Money(6000, "TWD"), "", RefundDestination.STORE_CREDIT), context()
    )
    [row] = requested.new_refunds
    declined = decide.decline(requested.after, row.id, context(ADA)).after
    assert (requested.after.credit, declined.credit) == (replace(seen.credit, refunded_amount=6000), seen.credit)  # type: ignore[type-var]


def test_only_a_bank_transfer_that_is_booked_can_bounce() -> None:
    by_hand = refund(state=RefundState.DONE, destination=RefundDestination.BANK, needs_two=True, approved_by=ADA)
    decision = decide.bounce(with_refunds(by_hand, order=order(state="PARTIALLY_REFUNDED")), OURS, context(ADA))
    assert history_of(decision) == ["to PAID", "refund.rejected"]
    assert balances(list(decision.postings)) == {chart.MANUAL_REFUNDS: 1000, chart.REFUNDS: -1000}
    for row in (replace(by_hand, state=RefundState.REQUESTED), refund(state=RefundState.DONE)):
        with pytest.raises(Refusal) as refused:
            decide.bounce(with_refunds(row), OURS, context(ADA))
        assert refused.value.code == "not_sent_by_hand"


# --- results ---


@pytest.mark.parametrize("before", states.STATES)
@pytest.mark.parametrize(
    "reported_state", [RefundState.PENDING, RefundState.UNKNOWN, RefundState.DONE, RefundState.REJECTED]
)
def test_a_result_is_applied_exactly_where_the_table_has_the_transition(before: str, reported_state: str) -> None:
    ended = NOW if before in (RefundState.DONE, RefundState.REJECTED) else None
    started = "PARTIALLY_REFUNDED" if before == RefundState.DONE else "PAID"
    seen = with_refunds(refund(state=before, checks=1, ended_at=ended), order=order(state=started))
    decision = decide.result(seen, OURS, reported_state, context(POLL))
    is_legal = reported_state in states.TRANSITIONS[before]
    assert decision.outcome == ("applied" if is_legal else "duplicate" if before == reported_state else "stale")
    assert the(decision.after, OURS).state == (reported_state if is_legal else before)
    assert history_of(decision)[-1:] == ([f"refund.{reported_state.lower()}"] if is_legal else [])
    assert decide.result(snapshot(capture(1)), OURS, reported_state, context(POLL)).outcome == "orphan"


@pytest.mark.parametrize(
    ("allocation", "destination", "accounts"),
    [
        (PAYS_ORDER, RefundDestination.PROVIDER, (chart.REFUNDS, chart.receivable(PROVIDER))),
        (LATE, RefundDestination.PROVIDER, (chart.UNALLOCATED_FUNDS, chart.receivable(PROVIDER))),
        (PAYS_ORDER, RefundDestination.STORE_CREDIT, (chart.REFUNDS, chart.store_credit(7))),
        (MISMATCH, RefundDestination.BANK, (chart.UNALLOCATED_FUNDS, chart.MANUAL_REFUNDS)),
    ],
)
def test_the_accounts_of_a_refund(allocation: str, destination: str, accounts: tuple[str, str]) -> None:
    seen = with_refunds(refund(destination=destination, checks=1), allocation=allocation)
    [posting] = decide.result(seen, OURS, RefundState.DONE, context(POLL)).postings
    assert (posting.key, posting.debit, posting.credit, posting.money) == (
        f"refund:{OURS}",
        *accounts,
        Money(1000, "TWD"),
    )
    assert posting.customer == (7 if destination == RefundDestination.STORE_CREDIT else None)


@pytest.mark.parametrize(("amount", "state"), [(9999, "PARTIALLY_REFUNDED"), (10_000, "REFUNDED")])
def test_the_order_follows_what_has_been_refunded_and_what_fails_later(amount: int, state: str) -> None:
    ledger = Ledger(with_refunds(refund(amount, checks=1)))
    ledger.take(lambda seen: decide.result(seen, OURS, RefundState.DONE, context(WEBHOOK)))
    assert ledger.seen.order.state == state
    ledger.take(lambda seen: decide.result(seen, OURS, RefundState.REJECTED, context(WEBHOOK), code="bounced"))
    moves = [(one.target, one.because, one.refunded) for one in ledger.history if isinstance(one, Transition)]
    assert moves == [(state, "refund_done", amount), ("PAID", "refund_failed_later", 0)]
    assert balances(ledger.postings) == {} and ledger.seen.capture(1).refunded_amount == 0


def test_a_refused_refund_has_its_payment_queried_after_the_window() -> None:
    decision = decide.result(with_refunds(refund(checks=1)), OURS, RefundState.REJECTED, context(POLL), code="no")
    assert decision.after.payment(payment_id(1)).next_check_at == NOW + timedelta(seconds=20)
    done = decide.result(with_refunds(refund(checks=1)), OURS, RefundState.DONE, context(POLL))
    assert done.after.payment(payment_id(1)).next_check_at is None


def test_a_refund_that_failed_before_any_query_is_booked_as_done_and_failed() -> None:
    seen = with_refunds(refund(state=RefundState.REJECTED, checks=1, rejected_code="refused"))
    decision = decide.failed_later(seen, OURS, context(FILE), code="refund_failed")
    assert [one.key for one in decision.postings] == [f"refund:{OURS}", f"refund:{OURS}:failed"]
    assert decide.failed_later(decision.after, OURS, context(FILE), code="refund_failed").postings == ()
    declined = with_refunds(refund(state=RefundState.REJECTED, rejected_code=states.DECLINED))
    assert decide.failed_later(declined, OURS, context(FILE), code="refund_failed").postings == ()


def test_a_refused_automatic_refund_puts_the_order_under_review_until_the_money_is_refunded() -> None:
    ours = refund(10_000, checks=1, requested_by=states.AUTOMATIC, kind=LATE)
    seen = with_refunds(ours, allocation=LATE, order=order(state="EXPIRED"))
    refused = decide.result(seen, OURS, RefundState.REJECTED, context(POLL), code="no").after
    assert refused.order.review_since == NOW
    again = decide.request(refused, decide.Request(1, Money(10_000, "TWD"), ""), context())
    [second] = again.new_refunds
    done = decide.result(again.after, second.id, RefundState.DONE, context(POLL))
    assert (done.after.order.review_since, history_of(done)) == (None, ["order.review_ended", "refund.done"])


@pytest.mark.parametrize(
    ("state", "ended", "seconds"),
    [
        (RefundState.PENDING, None, 5),
        (RefundState.UNKNOWN, None, 5),
        (RefundState.DONE, 0, 86_400),
        (RefundState.DONE, 86_400, None),
        (RefundState.REJECTED, 0, None),
        (RefundState.REQUESTED, None, None),
    ],
)
def test_the_time_of_the_next_query_of_a_refund(state: str, ended: int | None, seconds: int | None) -> None:
    ended_at = None if ended is None else NOW - timedelta(seconds=ended)
    at = decide.next_check(refund(state=state, ended_at=ended_at), NOW)
    assert at == (None if seconds is None else NOW + timedelta(seconds=seconds))


# --- sending ---


@pytest.mark.parametrize(
    ("fields", "step"),
    [
        ({"kind": RefundKind.OUTSIDE, "state": "PENDING"}, send.Step.QUERY_PAYMENT),
        ({"destination": RefundDestination.BANK}, send.Step.BOOK),
        ({"destination": RefundDestination.STORE_CREDIT}, send.Step.BOOK),
        ({"is_id_used": True}, send.Step.REJECT),
        ({"is_id_used": True, "state": "UNKNOWN"}, send.Step.CALL_PROVIDER),
        ({}, send.Step.CALL_PROVIDER),
    ],
)
def test_the_next_step_of_a_due_refund(fields: dict[str, Any], step: send.Step) -> None:
    usual = {"kind": "customer", "destination": RefundDestination.PROVIDER, "state": "REQUESTED", "is_id_used": False}
    assert send.step_of(**(usual | fields)) == step


@pytest.mark.parametrize(
    ("state", "checks", "answer", "seconds"),
    [
        ("REQUESTED", 0, Unavailable("away"), 2),
        ("REQUESTED", 9, Unavailable("away"), 30),
        ("REQUESTED", 0, Unavailable("away", retry_after=90), 90),
        ("PENDING", 1, NotFound(), 5),
        ("DONE", 1, NotFound(), None),
        ("DONE", 1, Unavailable("away"), 5),
    ],
)
def test_the_time_of_the_next_attempt_of_a_refund(
    state: str, checks: int, answer: NotFound | Unavailable, seconds: int | None
) -> None:
    at = send.retry_at(state, checks, answer, NOW)
    assert at == (None if seconds is None else NOW + timedelta(seconds=seconds))
