"""Decide what requests, approvals and results of refunds change. Pure: no database, no Flask, no clock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shop.core.actor import Actor
from shop.core.errors import BadInput, Refusal
from shop.core.money import Money
from shop.orders.states import OrderState, Reason
from shop.payments.order_money import review
from shop.payments.order_money.decision import Context, Decision, Draft
from shop.payments.order_money.snapshot import (
    CaptureRow,
    RefundRow,
    Rules,
    Snapshot,
)
from shop.payments.providers.types import Outcome, RefundState
from shop.payments.records import refund_states as states
from shop.payments.records.types import REFUNDED_AUTOMATICALLY, RefundDestination, RefundKind
from shop.payments.refunds import journals, refundable, second_person

WHILE_PENDING = (5, 15, 30, 60, 300)
"""Seconds between queries about a refund; the last one repeats."""
WATCHED_AFTER_DONE = timedelta(days=1)
"""Delay of a last query of a completed refund: some fail later, and not every acquirer reports it."""


@dataclass(frozen=True)
class Request:
    """A request to refund `money` of one capture, or all of its refundable amount for None.

    Without `capture_id` it refunds store credit that paid the order. `expected` is the refundable amount in minor units
    that the requester saw.
    """

    capture_id: int | None
    money: Money | None
    reason: str
    destination: str = RefundDestination.PROVIDER
    expected: int | None = None


# --- requests --------------------------------------------------------------------------------------------------------


def request(seen: Snapshot, requested: Request, context: Context) -> Decision:
    """Create a refund. Raises Refusal or BadInput as `requests.request` describes."""
    draft = Draft(seen, context)
    _request(draft, requested)
    return draft.decided(Outcome.APPLIED)


def request_all(seen: Snapshot, reason: str, destination: str, context: Context) -> Decision:
    """Create refunds of everything refundable: of captures to `destination`, of store credit as `_request_credit`.

    Raises Refusal `not_refundable` when nothing is refundable.
    """
    draft = Draft(seen, context)
    for capture in seen.captures:
        if seen.refundable(capture) > 0:
            _request(draft, Request(capture.id, None, reason, destination))
    credit = Money(seen.credit.left if seen.credit else 0, seen.order.currency)
    if credit.amount:
        _request(draft, Request(None, credit, reason, RefundDestination.STORE_CREDIT))
    decision = draft.decided(Outcome.APPLIED)
    if not decision.new_refunds:
        raise refundable.refusal(seen, seen.captures) if seen.captures else refundable.only(credit)
    return decision


def refund_rest(draft: Draft, capture: CaptureRow) -> None:
    """Refund the refundable amount of a late or duplicate capture. An amount in an open dispute goes under review."""
    if capture.allocation not in REFUNDED_AUTOMATICALLY:
        return
    rest = draft.after.refundable(draft.after.capture(capture.id))
    if rest > 0:
        _add_automatic(draft, capture, rest)
    review.begin(draft)


def _request(draft: Draft, requested: Request) -> None:
    seen = draft.after
    if requested.capture_id is None:
        _request_credit(draft, requested)
        return
    capture = seen.capture(requested.capture_id)
    left = seen.refundable(capture)
    money = requested.money or Money(left, capture.currency)
    if requested.money is None and left <= 0:
        raise refundable.refusal(seen, [capture])
    _check(money, capture.currency, seen, requested.destination)
    if requested.destination == RefundDestination.PROVIDER:
        _check_sendable(capture, money, draft.context.rules)
    if money.amount > left or requested.expected not in (None, left):
        raise refundable.refusal(seen, [capture])
    _add(draft, requested, money, capture, _kind(capture), needs_two=_needs_two(draft, money, requested.destination))


def _request_credit(draft: Draft, requested: Request) -> None:
    """Refund store credit that paid the order to store credit, and to a bank account if the account is deleted."""
    seen = draft.after
    money = requested.money or Money(0, seen.order.currency)
    to = RefundDestination.BANK if seen.order.user_id is None else RefundDestination.STORE_CREDIT
    _check(money, seen.order.currency, seen, to)
    left = seen.credit.left if seen.credit else 0
    if money.amount > left or requested.expected not in (None, left):
        raise refundable.only(Money(left, seen.order.currency))
    needs_two = _needs_two(draft, money, to)
    _add(draft, replace(requested, destination=to), money, None, RefundKind.CUSTOMER, needs_two=needs_two)


def _kind(capture: CaptureRow) -> RefundKind:
    """Kind of a refund by the allocation of its capture."""
    return RefundKind.CUSTOMER if capture.pays_order else RefundKind(str(capture.allocation))


def _needs_two(draft: Draft, money: Money, destination: str) -> bool:
    return second_person.needs_two(draft.after, money, destination, draft.context.rules.two_person_limits)


def _check(money: Money, currency: str, seen: Snapshot, destination: str) -> None:
    if money.currency != currency or money.amount <= 0:
        raise BadInput("bad_amount", f"Enter an amount in {currency} greater than zero.")
    if destination not in (RefundDestination.PROVIDER, RefundDestination.STORE_CREDIT, RefundDestination.BANK):
        raise BadInput(
            "bad_destination", "A refund goes to the original payment method, to store credit or to a bank account."
        )
    if destination == RefundDestination.STORE_CREDIT and seen.order.user_id is None:
        message = "This customer has no account, or has deleted it, so there is no store credit to refund to."
        raise Refusal("no_account", message)


def _check_sendable(capture: CaptureRow, money: Money, rules: Rules) -> None:
    """Raises BadInput for an amount that the acquirer of a capture cannot refund."""
    step = rules.refund_steps.get((capture.provider, money.currency), 1)
    if money.amount % step:
        label = rules.labels.get(capture.provider, capture.provider)
        multiple = Money(step, money.currency).with_code()
        raise BadInput("bad_amount", f"{label} refunds only multiples of {multiple}.")


def _add_automatic(draft: Draft, capture: CaptureRow, amount: int) -> None:
    money = Money(amount, capture.currency)
    requested = Request(capture.id, money, "", RefundDestination.PROVIDER)
    _add(draft, requested, money, capture, _kind(capture), needs_two=False, by=states.AUTOMATIC)


def _add(
    draft: Draft,
    requested: Request,
    money: Money,
    capture: CaptureRow | None,
    kind: RefundKind,
    *,
    needs_two: bool,
    by: Actor | None = None,
) -> None:
    """Deduct the money from the refundable amount, and add the refund."""
    if capture is None:
        draft.refund_credit(money.amount)
    else:
        draft.set_refunded(capture, draft.after.capture(capture.id).refunded_amount + money.amount)
    refund = RefundRow(
        id=draft.context.new_id(),
        capture_id=capture.id if capture else None,
        payment_id=capture.payment_id if capture else None,
        order_id=draft.after.order.id,
        destination=RefundDestination(requested.destination),
        amount=money.amount,
        currency=money.currency,
        kind=kind,
        reason=requested.reason,
        state=RefundState.REQUESTED,
        requested_by=by or draft.context.actor,
        needs_two=needs_two,
        approved_by=None,
        created_at=draft.now,
        ended_at=None,
        next_check_at=None if needs_two else draft.now,
        checks=0,
        rejected_code=None,
    )
    draft.add_refund(refund)
    record_event(draft, refund, actor=by)


# --- approval --------------------------------------------------------------------------------------------------------


def approve(seen: Snapshot, refund_id: str, context: Context) -> Decision:
    """Approve a refund. Raises Refusal `not_to_approve` or `disputed`."""
    draft = Draft(seen, context)
    refund = seen.refund(refund_id)
    if refund is None or not refund.awaits_approval or not context.actor.may_approve(refund.requested_by):
        raise Refusal(
            "not_to_approve", "A refund must be approved once, by another person than the one who requested it."
        )
    draft.change_refund(refund_id, approved_by=context.actor, next_check_at=context.now)
    capture = seen.capture_of(refund)
    if refund.destination != RefundDestination.BANK and capture is not None and seen.refundable(capture) < 0:
        raise Refusal(
            "disputed", "The bank has taken this money back or has opened a dispute. The refund can only be declined."
        )
    return draft.decided(Outcome.APPLIED)


def decline(seen: Snapshot, refund_id: str, context: Context) -> Decision:
    """Decline a refund that awaits approval. Raises Refusal `not_to_decline`."""
    draft = Draft(seen, context)
    refund = seen.refund(refund_id)
    if refund is None or not refund.awaits_approval:
        raise Refusal("not_to_decline", "No such refund is waiting for approval.")
    declined = draft.change_refund(
        refund_id, state=RefundState.REJECTED, rejected_code=states.DECLINED, ended_at=context.now
    )
    _undo(draft, declined, was_done=False)
    record_event(draft, declined)
    return draft.decided(Outcome.APPLIED)


def bounce(seen: Snapshot, refund_id: str, context: Context) -> Decision:
    """Undo a bank transfer that was returned. Raises Refusal `not_sent_by_hand`."""
    refund = seen.refund(refund_id)
    if refund is None or refund.destination != RefundDestination.BANK or refund.state != RefundState.DONE:
        raise Refusal("not_sent_by_hand", "No such refund has been booked as sent to a bank.")
    return result(seen, refund_id, RefundState.REJECTED, context, code=states.BOUNCED)


# --- results ---------------------------------------------------------------------------------------------------------


def result(
    seen: Snapshot, refund_id: str, state: RefundState, context: Context, *, code: str | None = None
) -> Decision:
    """Apply a result of a refund: applied, duplicate or stale."""
    draft = Draft(seen, context)
    return draft.decided(apply_result(draft, refund_id, state, code))


def failed_later(seen: Snapshot, refund_id: str, context: Context, *, code: str) -> Decision:
    """Apply that a refund was done and failed afterwards; return the outcome of the failure.

    A refund that we know only as rejected, because no query saw it done, is booked as both now.
    """
    draft = Draft(seen, context)
    if apply_result(draft, refund_id, RefundState.DONE, None) == Outcome.STALE:
        _book_unseen(draft, refund_id)
    return draft.decided(apply_result(draft, refund_id, RefundState.REJECTED, code))


def apply_result(draft: Draft, refund_id: str, state: RefundState, code: str | None) -> Outcome:
    """Apply a result as `result` does, as a part of another decision."""
    refund = draft.after.refund(refund_id)
    if refund is None:
        return Outcome.ORPHAN
    before = refund.state
    has_no_account = refund.destination == RefundDestination.STORE_CREDIT and draft.after.order.user_id is None
    if has_no_account and state == RefundState.DONE and before in states.UNDER_WAY:
        state, code = RefundState.REJECTED, states.NO_ACCOUNT
    if state not in states.TRANSITIONS[before]:
        draft.change_refund(refund_id, next_check_at=next_check(refund, draft.now))
        return Outcome.DUPLICATE if state == before else Outcome.STALE
    ended_at = draft.now if state in (RefundState.DONE, RefundState.REJECTED) else refund.ended_at
    refund = draft.change_refund(refund_id, state=state, rejected_code=code, ended_at=ended_at)
    refund = draft.change_refund(refund_id, next_check_at=next_check(refund, draft.now))
    if state == RefundState.DONE:
        _book_done(draft, refund)
    elif state == RefundState.REJECTED:
        _undo(draft, refund, was_done=before == RefundState.DONE)
        if before != RefundState.DONE:
            _poll_payment(draft, refund)
    record_event(draft, refund)
    return Outcome.APPLIED


def next_check(refund: RefundRow, now: datetime) -> datetime | None:
    """Time of the next query of a refund; None when no query is needed."""
    if refund.state in (RefundState.PENDING, RefundState.UNKNOWN):
        return now + timedelta(seconds=WHILE_PENDING[min(refund.checks, len(WHILE_PENDING) - 1)])
    if refund.destination == RefundDestination.PROVIDER and refund.state == RefundState.DONE and refund.ended_at:
        until = refund.ended_at + WATCHED_AFTER_DONE
        return until if now < until else None
    return None


def _book_done(draft: Draft, refund: RefundRow) -> None:
    capture = draft.after.capture_of(refund)
    before = draft.after.refunded_of_price - (refund.amount if capture is None or capture.pays_order else 0)
    draft.post(journals.done(refund, capture, draft.after.order, before=before))
    if capture is None or capture.pays_order:
        _move_order(draft, Reason.REFUND_DONE)
    else:
        review.end(draft)


def _book_unseen(draft: Draft, refund_id: str) -> None:
    """Book a rejected refund as done and failed later, if it was not."""
    refund = draft.after.refund(refund_id)
    capture = draft.after.capture_of(refund) if refund else None
    if refund is None or capture is None or refund.rejected_code == states.DECLINED:
        return
    if journals.key_of(refund_id) not in draft.after.booked:
        order, before = draft.after.order, draft.after.refunded_of_price
        draft.post(journals.done(refund, capture, order, before=before))
        draft.post(journals.failed(refund, capture, order, before=before))


def _undo(draft: Draft, refund: RefundRow, *, was_done: bool) -> None:
    """Make the money of a rejected refund refundable again.

    A capture that pays for nothing goes under review, unless its automatic refund was refused because a part was
    refunded at the acquirer: then the rest is refunded automatically.
    """
    capture = draft.after.capture_of(refund)
    if capture is None:
        draft.refund_credit(-refund.amount)
    else:
        count_again(draft, capture)
    if was_done:
        before = draft.after.refunded_of_price
        draft.post(journals.failed(refund, capture, draft.after.order, before=before))
        if capture is None or capture.pays_order:
            _move_order(draft, Reason.REFUND_FAILED_LATER)
    elif capture is not None and is_refused_for_outside(draft.after, capture):
        refund_rest(draft, capture)
    if capture is not None and not capture.pays_order:
        review.begin(draft)


def count_again(draft: Draft, capture: CaptureRow) -> None:
    """Recompute the refunded amount of a capture, including pending refunds: at most all of it, as a refund made at the
    acquirer may overlap with a pending one.
    """
    draft.set_refunded(capture, min(capture.amount, draft.after.promised(capture)))


def is_refused_for_outside(seen: Snapshot, capture: CaptureRow) -> bool:
    """True if the last automatic refund of a capture was refused because it exceeded the rest after refunds made at the
    acquirer. A refund that was done and failed later was not refused.
    """
    mine = seen.refunds_of(capture)
    automatic = [row for row in mine if row.is_automatic]
    last = max(automatic, key=lambda row: (row.created_at, row.id), default=None)
    if last is None or not last.is_rejected or last.rejected_code in states.CALLED_OFF:
        return False
    outside = sum(row.amount for row in mine if row.is_made_outside and not row.is_rejected)
    return last.amount + outside > capture.amount and journals.key_of(last.id) not in seen.booked


def _poll_payment(draft: Draft, refund: RefundRow) -> None:
    """Poll the payment after a refused refund: the acquirer may have refunded the money already."""
    if refund.payment_id is None or refund.destination != RefundDestination.PROVIDER or refund.is_made_outside:
        return
    window = draft.context.rules.windows.get(draft.after.payment(refund.payment_id).provider, timedelta(0))
    draft.poll(refund.payment_id, draft.now + window)


def _move_order(draft: Draft, because: Reason) -> None:
    """Move the order to REFUNDED or PARTIALLY_REFUNDED, by the refunds of the money that paid it."""
    seen = draft.after
    refunded = seen.refunded_of_price
    if not refunded:
        target = OrderState.PAID
    else:
        target = OrderState.REFUNDED if refunded >= seen.order.price else OrderState.PARTIALLY_REFUNDED
    draft.move_order(target, because, refunded=refunded)


def record_event(draft: Draft, refund: RefundRow, *, actor: Actor | None = None) -> None:
    """Add the state of a refund to the order's history."""
    draft.record_event(states.EVENTS[refund.state](refund.id, refund.amount, refund.currency, refund.kind), actor=actor)
