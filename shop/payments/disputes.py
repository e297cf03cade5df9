"""Disputes: a customer's bank wants a capture back. Written down and booked; no order changes its state for one.

A chargeback takes the money away when it opens and gives it back when it is won. An inquiry only asks, but may become
one. What a bank has, or may keep, we do not send back as well; what it keeps of money that paid nothing has gone back.
"""

from __future__ import annotations

from sqlalchemy import select

from shop.core import clock, outbox
from shop.core.db import db, retried, writing
from shop.ledger import book, chart
from shop.orders import events
from shop.orders.models import Order
from shop.payments import review
from shop.payments.lock import order_with_payments
from shop.payments.models import Capture, Payment
from shop.payments.provider import DisputeFact
from shop.payments.settlement_models import Dispute

OPEN, WON, LOST = "OPEN", "WON", "LOST"
MOVES: dict[str, frozenset[str]] = {OPEN: frozenset({WON, LOST}), WON: frozenset(), LOST: frozenset()}
CHARGEBACK = "chargeback"


def key_of(provider: str, dispute_id: str, *, won: bool = False) -> str:
    """The journal of a chargeback, or of the money that came back when it was won."""
    return f"dispute:{provider}:{dispute_id}" + (":won" if won else "")


def hear(provider: str, fact: DisputeFact, heard_from: str) -> str:
    """Apply what was heard about a dispute and return the verdict: applied, duplicate, stale, or orphan when we do not
    have its capture. Joins the caller's unit if there is one.
    """
    if db.session().info.get("writing"):
        return _hear(provider, fact, heard_from)

    def unit() -> str:
        with writing():
            return _hear(provider, fact, heard_from)

    return retried(unit)


def _hear(provider: str, fact: DisputeFact, heard_from: str) -> str:
    capture = _capture(provider, fact)
    if capture is None:
        return "orphan"
    order_id = db.session.get_one(Payment, capture.payment_id).order_id
    order, _ = order_with_payments(order_id)  # one at a time for each order, in the order in which everybody locks
    known = select(Dispute).where(Dispute.provider == provider, Dispute.dispute_id == fact.id)
    dispute = db.session.scalars(known.execution_options(populate_existing=True)).one_or_none()
    if dispute is None:
        dispute = _write(capture, order_id, fact, heard_from)
        if dispute.kind == CHARGEBACK:
            _book_taken(dispute)
        _close(dispute, order)
        return "applied"
    verdict = "duplicate" if fact.state == dispute.state else "stale"
    if fact.kind == CHARGEBACK != dispute.kind and dispute.state == OPEN:
        dispute.kind, dispute.reason, dispute.respond_by = CHARGEBACK, fact.reason or dispute.reason, fact.respond_by
        dispute.amount, dispute.currency = fact.money.amount, fact.money.currency
        _book_taken(dispute)
        verdict = "applied"
    if fact.state in MOVES[dispute.state]:
        dispute.state, dispute.closed_at = fact.state, clock.now()
        _close(dispute, order)
        verdict = "applied"
    if verdict == "applied":
        _tell(dispute, heard_from)
    return verdict


def _capture(provider: str, fact: DisputeFact) -> Capture | None:
    """The capture that is disputed; a later word about a dispute that we know need not name it."""
    if fact.capture_id:
        ours = select(Capture).where(Capture.provider == provider, Capture.capture_id == fact.capture_id)
    else:
        ours = select(Capture).join(Dispute, Dispute.capture_id == Capture.id)
        ours = ours.where(Dispute.provider == provider, Dispute.dispute_id == fact.id)
    return db.session.scalars(ours).one_or_none()


def _write(capture: Capture, order_id: int, fact: DisputeFact, heard_from: str) -> Dispute:
    at = clock.now()
    dispute = Dispute(
        provider=capture.provider,
        dispute_id=fact.id,
        capture_id=capture.id,
        order_id=order_id,
        kind=fact.kind,
        reason=fact.reason,
        state=fact.state,
        amount=fact.money.amount,
        currency=fact.money.currency,
        opened_at=fact.at,
        respond_by=fact.respond_by,
        heard_at=at,
        heard_from=heard_from,
        closed_at=None if fact.state == OPEN else at,
    )
    db.session.add(dispute)
    _tell(dispute, heard_from)
    return dispute


def _book_taken(dispute: Dispute) -> None:
    book.transfer(
        key_of(dispute.provider, dispute.dispute_id),
        "dispute",
        dispute.money,
        debit=chart.DISPUTES,
        credit=chart.receivable(dispute.provider),
        order_id=dispute.order_id,
    )


def _close(dispute: Dispute, order: Order) -> None:
    """What its end means, once it has one."""
    if dispute.state == WON:
        _book_won(dispute)
    elif dispute.state == LOST:
        review.end(order)


def _book_won(dispute: Dispute) -> None:
    """The money of a chargeback comes back; an inquiry never took it."""
    if dispute.kind == CHARGEBACK:
        book.transfer(
            key_of(dispute.provider, dispute.dispute_id, won=True),
            "dispute_won",
            dispute.money,
            debit=chart.receivable(dispute.provider),
            credit=chart.DISPUTES,
            order_id=dispute.order_id,
        )


def _tell(dispute: Dispute, actor: str) -> None:
    events.record(
        dispute.order_id,
        f"dispute.{dispute.state.lower()}",
        actor=actor,
        stream=outbox.PAYMENTS,
        dispute=dispute.dispute_id,
        disputed=dispute.kind,
        amount=dispute.amount,
        currency=dispute.currency,
        reason=dispute.reason,
    )
