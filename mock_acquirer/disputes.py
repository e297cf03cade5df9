"""Disputes: chargebacks and inquiries of a customer's bank about a capture, at most one per capture.

Events: dispute.created and dispute.closed.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select, update

from mock_acquirer import clock, deliveries, moves, timeline
from mock_acquirer.db import db, insert_once, unit
from mock_acquirer.errors import conflict
from mock_acquirer.models import Capture, Dispute, Payment, new_id
from mock_acquirer.money import show

KINDS = ("chargeback", "inquiry")
REASONS = ("fraudulent", "duplicate", "product_not_received", "unrecognized", "general")
BY_CARD = {"dispute": "chargeback", "dispute_inquiry": "inquiry"}
OPENS_AFTER = timedelta(minutes=1)
RESPOND_WITHIN = timedelta(days=7)


@unit
def schedule(payment: Payment, capture: Capture) -> None:
    """Schedule a dispute for one minute after a capture with a disputing test card."""
    kind = BY_CARD.get(payment.card or "")
    if kind:
        _write(payment, capture, kind, "fraudulent", clock.now(payment.run) + OPENS_AFTER)


def _write(payment: Payment, capture: Capture, kind: str, reason: str, opens: datetime) -> None:
    """Insert a scheduled dispute, unless the capture has one."""
    insert_once(
        Dispute,
        id=new_id("dp"),
        payment_id=payment.id,
        capture_id=capture.id,
        kind=kind,
        reason=reason,
        amount=capture.amount,
        currency=capture.currency,
        state="scheduled",
        opened_at=opens,
        respond_by=opens + RESPOND_WITHIN,
        due_at=opens,
    )


@unit
def dispute(payment: Payment, kind: str = "chargeback", reason: str = "fraudulent") -> Dispute:
    """Open a dispute about the oldest capture without one.

    `kind` is chargeback (the money is withdrawn unless the dispute is won) or inquiry. Refuses with 409 when there is
    no
    capture, nothing is left of it, or every capture has a dispute.
    """
    moves.lock(payment)
    if payment.state != "captured" or not payment.captures:
        raise conflict("not_captured", f"Only captured money can be disputed; this payment is {payment.state}.")
    now = clock.now(payment.run)
    for capture in payment.captures:
        _write(payment, capture, kind, reason, now)
        mine = select(Dispute).where(Dispute.capture_id == capture.id).execution_options(populate_existing=True)
        found = db.session.scalars(mine).one()
        if found.state == "scheduled" and _open(payment, found, kind, reason):
            return found
    if payment.disputes:
        raise conflict("already_disputed", "The payment is already disputed.")
    raise conflict("already_refunded", "Nothing is left to dispute: everything has been refunded.")


def _open(payment: Payment, found: Dispute, kind: str, reason: str) -> bool:
    """Open a scheduled dispute for the amount not refunded; False when nothing is left or its state has changed
    meanwhile.

    Call with the payment's row locked.
    """
    now = clock.now(payment.run)
    capture = next(one for one in payment.captures if one.id == found.capture_id)
    amount = capture.amount - capture.refunded
    opened = update(Dispute).where(Dispute.id == found.id, Dispute.state == "scheduled")
    if amount <= 0:
        moves.won(opened.values(due_at=None))
        return False
    until = now + RESPOND_WITHIN
    values = {"kind": kind, "reason": reason, "amount": amount, "opened_at": now, "respond_by": until, "due_at": until}
    if not moves.won(opened.values(state="open", **values)):
        return False
    if kind == "chargeback":
        moves.won(update(Capture).where(Capture.id == capture.id).values(disputed=amount))
    db.session.refresh(found)
    db.session.refresh(payment)
    timeline.note(payment, "state", f"Disputed as {reason} ({kind}): {show(amount, capture.currency)} ({found.id})")
    deliveries.tell(payment, "dispute.created", found)
    return True


@unit
def close(payment: Payment, won: bool) -> Dispute:
    """Close the oldest open dispute in favour of the merchant (`won`) or the customer. Refuses with 409 when none is
    open.
    """
    mine = select(Dispute).where(Dispute.payment_id == payment.id, Dispute.state == "open")
    found = db.session.scalar(mine.order_by(Dispute.opened_at, Dispute.id).limit(1))
    if found is None or not _close(payment, found, won):
        raise conflict("not_disputed", "No dispute of this payment is open.")
    return found


def _close(payment: Payment, found: Dispute, won: bool) -> bool:
    state = "won" if won else "lost"
    closed = update(Dispute).where(Dispute.id == found.id, Dispute.state == "open")
    moved = moves.won(closed.values(state=state, closed_at=clock.now(payment.run), due_at=None))
    db.session.refresh(found)
    if not moved:
        return False
    if won:
        moves.won(update(Capture).where(Capture.id == found.capture_id).values(disputed=0))
    db.session.refresh(payment)
    timeline.note(payment, "state", f"Dispute {found.id} is {state}")
    deliveries.tell(payment, "dispute.closed", found)
    return True


@unit
def step(found: Dispute) -> bool:
    """Perform the due step: open a scheduled dispute, or close an unanswered one (a chargeback is lost, an inquiry has
    no effect).

    True when this call performed it.
    """
    payment = db.session.get_one(Payment, found.payment_id)
    moves.lock(payment)
    db.session.refresh(found)
    if found.due_at is None or found.due_at > clock.now(payment.run):
        return False
    if found.state == "scheduled":
        return _open(payment, found, found.kind, found.reason)
    return _close(payment, found, won=found.kind == "inquiry")
