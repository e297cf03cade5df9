"""Decide about refunds that an acquirer reports: match them to our refunds, and book those made at the acquirer. Pure.

The acquirer's id identifies a refund that was made there, in its dashboard or through its API, so several reports of it
are booked once. The capture decides whether it is booked, not the shape of its reference.
"""

from __future__ import annotations

from collections.abc import Iterable

from shop.core.actor import Actor
from shop.core.event_types import RefundNotBooked
from shop.core.money import Money
from shop.payments.order_money.decision import Context, Decision, Draft
from shop.payments.order_money.snapshot import CaptureRow, RefundRow, Snapshot
from shop.payments.providers.interface import RefundFact
from shop.payments.providers.storable import is_our_refund
from shop.payments.providers.types import Outcome, RefundState
from shop.payments.records import refund_states as states
from shop.payments.records.types import RefundDestination, RefundKind
from shop.payments.refunds import decide, own_or_outside


def reported(seen: Snapshot, payment_id: str, fact: RefundFact, context: Context) -> Decision:
    """Apply a reported refund of a payment: ours, or one made at the acquirer.

    The outcome is applied, duplicate, stale, orphan when its capture is not known yet (the payment is then queried
    now), or illegal in another currency than its capture.
    """
    draft = Draft(seen, context)
    if _is_own(seen, payment_id, fact):
        return draft.decided(decide.apply_result(draft, fact.reference, fact.state, None))
    if not fact.id or fact.money is None:
        return draft.decided(Outcome.ORPHAN)
    capture = capture_of(seen, payment_id, fact)
    if capture is None:  # its webhook overtook that of the capture
        draft.poll(payment_id, context.now)
        return draft.decided(Outcome.ORPHAN)
    return draft.decided(_apply(draft, capture, fact))


def listed(
    seen: Snapshot, payment_id: str, facts: Iterable[RefundFact], context: Context
) -> tuple[Decision, list[tuple[RefundFact, Outcome]]]:
    """Apply the refunds listed in a query result that are not ours; return each with its outcome."""
    draft = Draft(seen, context)
    outcomes: list[tuple[RefundFact, Outcome]] = []
    for fact in facts:
        if _is_own(draft.after, payment_id, fact):
            continue
        capture = capture_of(draft.after, payment_id, fact)
        outcomes.append((fact, Outcome.DUPLICATE if capture is None else _apply(draft, capture, fact)))
    is_applied = any(outcome == Outcome.APPLIED for _, outcome in outcomes)
    return draft.decided(Outcome.APPLIED if is_applied else Outcome.DUPLICATE), outcomes


def _is_own(seen: Snapshot, payment_id: str, fact: RefundFact) -> bool:
    return own_or_outside.is_own(own_or_outside.known_in(seen), seen.payment(payment_id).provider, fact)


def capture_of(seen: Snapshot, payment_id: str, fact: RefundFact) -> CaptureRow | None:
    """The refunded capture. Where the acquirer does not name it: one that pays for nothing and is refundable in full,
    else the one that pays the order.
    """
    captures = [row for row in seen.captures if row.payment_id == payment_id]
    if fact.capture_id:
        return next((row for row in captures if row.capture_id == fact.capture_id), None)
    if len(captures) < 2 or fact.money is None:
        return captures[0] if captures else None
    known = seen.refund(own_or_outside.name_of(captures[0].provider, fact.id)) if fact.id else None
    if known is not None:
        return seen.capture_of(known)
    wanted = fact.money.amount
    in_order = sorted(captures, key=lambda row: row.pays_order)
    fits = (row for row in in_order if row.amount - seen.promised(row, begun_only=True) >= wanted)
    return next(fits, in_order[-1])


def _apply(draft: Draft, capture: CaptureRow, fact: RefundFact) -> Outcome:
    """Book the refund, or apply its result."""
    if not fact.id or fact.money is None:
        return Outcome.DUPLICATE
    refund_id = own_or_outside.name_of(capture.provider, fact.id)
    if draft.after.refund(refund_id) is not None:
        return decide.apply_result(draft, refund_id, fact.state, None)
    if refund_id in draft.after.used_ids or fact.state == RefundState.REJECTED:
        return Outcome.DUPLICATE
    if fact.money.currency != capture.currency:
        _record_not_booked(draft, refund_id, fact.money)
        return Outcome.ILLEGAL
    has_room_made = _make_room(draft, capture, fact.money.amount)
    refund = _add(draft, refund_id, capture, fact.money, fact.reference)
    decide.count_again(draft, capture)
    if fact.state == RefundState.DONE:
        decide.apply_result(draft, refund_id, RefundState.DONE, None)
    else:
        draft.change_refund(refund_id, next_check_at=decide.next_check(refund, draft.now))
        decide.record_event(draft, refund)
    if has_room_made or decide.is_refused_for_outside(draft.after, capture):
        decide.refund_rest(draft, capture)
    return Outcome.APPLIED


def _make_room(draft: Draft, capture: CaptureRow, amount: int) -> bool:
    """Withdraw unsent refunds of ours, the newest first, until all fit into the capture; return True if any was
    withdrawn. The acquirer refuses a refund under way that does not fit. A manual bank transfer is kept, as staff may
    have sent it.
    """
    over = draft.after.promised(capture) + amount - capture.amount
    mine = (
        row for row in draft.after.refunds_of(capture) if row.is_unsent and row.destination != RefundDestination.BANK
    )
    withdrawn = 0
    for refund in sorted(mine, key=lambda row: (row.created_at, row.id), reverse=True):
        if over > withdrawn and not refund.is_made_outside:
            _withdraw(draft, refund)
            withdrawn += refund.amount
    return withdrawn > 0


def _withdraw(draft: Draft, refund: RefundRow) -> None:
    """Reject an unsent refund, because its money was refunded at the acquirer."""
    ended = {"state": RefundState.REJECTED, "rejected_code": states.MADE_THERE, "ended_at": draft.now}
    decide.record_event(draft, draft.change_refund(refund.id, next_check_at=None, **ended))


def _add(draft: Draft, refund_id: str, capture: CaptureRow, money: Money, reference: str) -> RefundRow:
    """Add the row. A reference in the format of our ids is stored as its reason: no refund of ours can be sent under
    that id.
    """
    refund = RefundRow(
        id=refund_id,
        capture_id=capture.id,
        payment_id=capture.payment_id,
        order_id=draft.after.order.id,
        destination=RefundDestination.PROVIDER,
        amount=money.amount,
        currency=money.currency,
        kind=RefundKind.OUTSIDE,
        reason=reference if is_our_refund(reference) else "",
        state=RefundState.PENDING,
        requested_by=Actor.acquirer(capture.provider),
        needs_two=False,
        approved_by=None,
        created_at=draft.now,
        ended_at=None,
        next_check_at=None,
        checks=0,
        rejected_code=None,
    )
    draft.add_refund(refund)
    return refund


def _record_not_booked(draft: Draft, refund_id: str, money: Money) -> None:
    """Add a refund in another currency than its capture to the order's history, once."""
    if draft.after.not_booked.isdisjoint({refund_id}):
        draft.note_not_booked(refund_id)
        draft.record_event(RefundNotBooked(refund_id, money.amount, money.currency, why="other_currency"))
