"""Apply refunds that an acquirer reports: ours, and those made at the acquirer in its dashboard or through its API."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import partial

from sqlalchemy import select, update

from shop.core import logs
from shop.core.actor import Actor
from shop.core.db import after_commit, db, transactional
from shop.core.event_types import HistoryEntry, RefundNotBooked
from shop.payments.order_money import load
from shop.payments.order_money.decision import Decision
from shop.payments.order_money.snapshot import Snapshot
from shop.payments.order_money.write import write
from shop.payments.providers.interface import RefundFact
from shop.payments.providers.storable import is_our_payment, is_our_refund
from shop.payments.providers.types import Outcome, RefundState
from shop.payments.records.models import Capture, Payment, Refund
from shop.payments.records.refund_states import is_begun
from shop.payments.records.types import RefundDestination, RefundKind, Source
from shop.payments.refunds import apply, decide_outside, own_or_outside
from shop.payments.refunds.own_or_outside import KnownRefunds, OwnRefund

log = logs.get()


@transactional
def apply_reported(provider: str, fact: RefundFact, source: Source) -> Outcome:
    """Apply any reported refund and return the outcome.

    For our refund, or one of our payment made at the acquirer: applied, duplicate or stale. Otherwise: orphan when it
    has the format of our ids and we do not have it, illegal in another currency than its capture, else foreign.
    """
    decision = _decide(provider, fact, source, lock=True)
    if isinstance(decision, Outcome):
        return decision
    store_ids(decision.before, provider, [fact])
    if decision.outcome == Outcome.ILLEGAL:
        _log_not_booked(decision, own_or_outside.name_of(provider, fact.id), fact)
    return write(decision)


def store_ids(seen: Snapshot, provider: str, facts: Iterable[RefundFact]) -> None:
    """Store the acquirer's ids of those of our refunds that it reports, for the search."""
    known = own_or_outside.known_in(seen)
    for fact in facts:
        if fact.id and own_or_outside.is_own(known, provider, fact):
            unnamed = (Refund.id == fact.reference, Refund.acquirer_id.is_(None))
            db.session.execute(update(Refund).where(*unnamed).values(acquirer_id=fact.id))


def dry_run(provider: str, fact: RefundFact, source: Source) -> Decision | Outcome:
    """The decision of `apply_reported`, which is not written, or the outcome of a refund without an order of ours. Ends
    the transaction that it is in.
    """
    try:
        return _decide(provider, fact, source, lock=False)
    finally:
        db.session.rollback()


def _decide(provider: str, fact: RefundFact, source: Source, *, lock: bool) -> Decision | Outcome:
    name = own_or_outside.name_of(provider, fact.id)
    found = _booked(name) or _payment(provider, fact)
    if found is None:
        return Outcome.ORPHAN if is_our_payment(fact.payment) or is_our_refund(fact.reference) else Outcome.FOREIGN
    order_id, payment_id = found
    seen = load.locked(order_id, reported=[name]) if lock else load.snapshot(order_id, reported=[name], lock=False)
    return decide_outside.reported(seen, payment_id, fact, load.context(Actor.of_source(source)))


def apply_failed_later(provider: str, fact: RefundFact, source: Source, *, code: str) -> Outcome:
    """Apply that any refund was done and failed afterwards; return the outcome as `apply_reported` does."""
    outcome = apply_reported(provider, replace(fact, state=RefundState.DONE), source)
    if outcome in (Outcome.ORPHAN, Outcome.FOREIGN, Outcome.ILLEGAL):
        return outcome
    is_own = own_or_outside.is_own(known(provider, [fact]), provider, fact)
    db.session.rollback()
    refund_id = fact.reference if is_own else own_or_outside.name_of(provider, fact.id)
    return apply.failed_later(refund_id, Actor.of_source(source), code=code, provider=provider)


def known(provider: str, facts: Collection[RefundFact]) -> KnownRefunds:
    """The refunds that these reports may be about. Reads only, without locks."""
    references = {fact.reference for fact in facts if is_our_refund(fact.reference)}
    ours = (
        select(Refund, Payment.provider, Capture.capture_id)
        .join(Payment, Payment.id == Refund.payment_id)
        .join(Capture, Capture.id == Refund.capture_id)
        .where(
            Refund.id.in_(references),
            Refund.destination == RefundDestination.PROVIDER,
            Refund.kind != RefundKind.OUTSIDE,
        )
    )
    own = {
        refund.id: OwnRefund(
            through, capture_id, str(refund.payment_id), refund.money, is_begun(refund.state, refund.checks)
        )
        for refund, through, capture_id in db.session.execute(ours, execution_options={"populate_existing": True})
    }
    names = {own_or_outside.name_of(provider, fact.id) for fact in facts if fact.id}
    return KnownRefunds(own, set(db.session.scalars(select(Refund.id).where(Refund.id.in_(names)))))


def _booked(name: str) -> tuple[int, str] | None:
    """Order and payment of a refund that was made at the acquirer and is booked."""
    row = db.session.execute(select(Refund.order_id, Refund.payment_id).where(Refund.id == name)).one_or_none()
    return (row[0], row[1]) if row and row[1] else None


def _payment(provider: str, fact: RefundFact) -> tuple[int, str] | None:
    """Order and payment of a refund, by its capture, else by our payment id."""
    ours = select(Payment.order_id, Payment.id).where(Payment.provider == provider)
    found = None
    if fact.capture_id:
        by_capture = ours.join(Capture, Capture.payment_id == Payment.id)
        found = db.session.execute(by_capture.where(Capture.capture_id == fact.capture_id)).one_or_none()
    found = found or db.session.execute(ours.where(Payment.id == fact.payment)).one_or_none()
    return (found[0], found[1]) if found else None


def log_not_booked(decision: Decision, provider: str, facts: Iterable[RefundFact]) -> None:
    """Log those of the refunds of an update that are in another currency than their capture."""
    for name, fact in {own_or_outside.name_of(provider, fact.id): fact for fact in facts}.items():
        if name in decision.after.not_booked:
            _log_not_booked(decision, name, fact)


def _log_not_booked(decision: Decision, refund: str, fact: RefundFact) -> None:
    """Log a refund in another currency than its capture: as an error the first time."""
    recorded = [one.event for one in decision.history if isinstance(one, HistoryEntry)]
    is_new = any(isinstance(event, RefundNotBooked) and event.refund == refund for event in recorded)
    currency = fact.money.currency if fact.money else ""
    after_commit(partial(log.error if is_new else log.info, "refund.other_currency", refund=refund, currency=currency))
