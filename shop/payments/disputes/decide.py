"""Decide what a reported dispute changes. Pure: no database, no Flask, no clock.

A chargeback withdraws the money when it opens and returns it when it is won. An inquiry withdraws no money, but may
become a chargeback. A dispute never changes the state of an order. Money in an open or lost chargeback cannot be
refunded. A lost chargeback of unallocated funds ends their review.
"""

from __future__ import annotations

from dataclasses import replace

from shop.ledger import chart
from shop.payments.order_money import review
from shop.payments.order_money.decision import Context, Decision, Draft, Posting
from shop.payments.order_money.snapshot import CaptureRow, DisputeRow, Snapshot
from shop.payments.providers.interface import DisputeFact
from shop.payments.providers.types import DisputeKind, DisputeState, Outcome
from shop.payments.records.dispute_states import EVENTS, TRANSITIONS
from shop.payments.records.types import Source


def key_of(provider: str, dispute_id: str, *, won: bool = False) -> str:
    """Key of the journal of a chargeback, or of the return of its money after it was won."""
    return f"dispute:{provider}:{dispute_id}" + (":won" if won else "")


def reported(seen: Snapshot, capture_id: int, fact: DisputeFact, context: Context) -> Decision:
    """Apply a reported dispute about a capture of the order: applied, duplicate or stale."""
    draft = Draft(seen, context)
    capture = seen.capture(capture_id)
    known = seen.dispute(capture.provider, fact.id)
    if known is None:
        _open(draft, _new(draft, capture, fact))
        return draft.decided(Outcome.APPLIED)
    dispute, outcome = known, Outcome.DUPLICATE if fact.state == known.state else Outcome.STALE
    if fact.kind == DisputeKind.CHARGEBACK != dispute.kind and dispute.state == DisputeState.OPEN:
        dispute = _become_chargeback(draft, dispute, fact)
        outcome = Outcome.APPLIED
    if fact.state in TRANSITIONS[dispute.state]:
        dispute = replace(dispute, state=fact.state, closed_at=context.now)
        draft.put_dispute(dispute)
        _close(draft, dispute)
        outcome = Outcome.APPLIED
    if outcome == Outcome.APPLIED:
        _record_event(draft, dispute)
    return draft.decided(outcome)


def _new(draft: Draft, capture: CaptureRow, fact: DisputeFact) -> DisputeRow:
    return DisputeRow(
        provider=capture.provider,
        dispute_id=fact.id,
        capture_id=capture.id,
        order_id=draft.after.order.id,
        kind=fact.kind,
        reason=fact.reason,
        state=fact.state,
        amount=fact.money.amount,
        currency=fact.money.currency,
        opened_at=fact.at,
        respond_by=fact.respond_by,
        received_at=draft.now,
        source=Source(draft.context.actor.kind),
        closed_at=None if fact.state == DisputeState.OPEN else draft.now,
    )


def _open(draft: Draft, dispute: DisputeRow) -> None:
    """Add a dispute; the first report of a dispute may already report its end."""
    draft.put_dispute(dispute)
    _record_event(draft, dispute)
    if dispute.is_chargeback:
        _book_chargeback(draft, dispute)
    _close(draft, dispute)


def _become_chargeback(draft: Draft, inquiry: DisputeRow, fact: DisputeFact) -> DisputeRow:
    dispute = replace(
        inquiry,
        kind=DisputeKind.CHARGEBACK,
        reason=fact.reason or inquiry.reason,
        respond_by=fact.respond_by,
        amount=fact.money.amount,
        currency=fact.money.currency,
    )
    draft.put_dispute(dispute)
    _book_chargeback(draft, dispute)
    return dispute


def _close(draft: Draft, dispute: DisputeRow) -> None:
    """Book the returned money of a won chargeback; end the review of the order if no money needs it any more."""
    if dispute.state == DisputeState.WON and dispute.is_chargeback:
        _book_won(draft, dispute)
    elif dispute.state == DisputeState.LOST:
        review.end(draft)


def _book_chargeback(draft: Draft, dispute: DisputeRow) -> None:
    key, receivable = key_of(dispute.provider, dispute.dispute_id), chart.receivable(dispute.provider)
    draft.post([Posting(key, "dispute", dispute.money, chart.DISPUTES, receivable)])


def _book_won(draft: Draft, dispute: DisputeRow) -> None:
    key, receivable = key_of(dispute.provider, dispute.dispute_id, won=True), chart.receivable(dispute.provider)
    draft.post([Posting(key, "dispute_won", dispute.money, receivable, chart.DISPUTES)])


def _record_event(draft: Draft, dispute: DisputeRow) -> None:
    event = EVENTS[dispute.state]
    draft.record_event(event(dispute.dispute_id, dispute.kind, dispute.amount, dispute.currency, dispute.reason))
