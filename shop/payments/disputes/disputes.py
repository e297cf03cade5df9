"""Apply disputes that an acquirer reports."""

from __future__ import annotations

from sqlalchemy import select

from shop.core.actor import Actor
from shop.core.db import db, transactional
from shop.payments.disputes import decide
from shop.payments.order_money import load
from shop.payments.order_money.decision import Decision
from shop.payments.order_money.write import write
from shop.payments.providers.interface import DisputeFact
from shop.payments.providers.types import Outcome
from shop.payments.records.models import Capture, Payment
from shop.payments.records.settlement_models import Dispute
from shop.payments.records.types import Source


@transactional
def apply(provider: str, fact: DisputeFact, source: Source) -> Outcome:
    """Apply a reported dispute and return the outcome: applied, duplicate, stale, or orphan when we do not have its
    capture.
    """
    decision = _decide(provider, fact, source, lock=True)
    return decision if isinstance(decision, Outcome) else write(decision)


def dry_run(provider: str, fact: DisputeFact, source: Source) -> Decision | Outcome:
    """The decision of `apply`, which is not written, or `orphan`. Ends the transaction that it is in."""
    try:
        return _decide(provider, fact, source, lock=False)
    finally:
        db.session.rollback()


def _decide(provider: str, fact: DisputeFact, source: Source, *, lock: bool) -> Decision | Outcome:
    found = _capture(provider, fact)
    if found is None:
        return Outcome.ORPHAN
    order_id, capture_id = found
    seen = load.locked(order_id) if lock else load.snapshot(order_id, lock=False)
    return decide.reported(seen, capture_id, fact, load.context(Actor.of_source(source)))


def _capture(provider: str, fact: DisputeFact) -> tuple[int, int] | None:
    """Order and capture of a dispute; a later report about a known dispute need not name the capture."""
    known = select(Dispute.order_id, Dispute.capture_id)
    known = known.where(Dispute.provider == provider, Dispute.dispute_id == fact.id)
    ours = select(Payment.order_id, Capture.id).join(Capture, Capture.payment_id == Payment.id)
    ours = ours.where(Capture.provider == provider, Capture.capture_id == fact.capture_id)
    found = db.session.execute(known).one_or_none() or db.session.execute(ours).one_or_none()
    return (found[0], found[1]) if found else None
