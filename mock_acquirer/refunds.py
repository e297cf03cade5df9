"""Refunds: at most the captured amount, one per reference of the merchant, succeeding at once or later on the run's
clock.

Events: refund.pending, refund.succeeded and refund.failed, and payment.refunded when everything has been refunded.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update

from mock_acquirer import clock, deliveries, moves, states, timeline
from mock_acquirer.db import db, insert_once, unit
from mock_acquirer.errors import Refused, conflict
from mock_acquirer.models import Capture, Payment, Refund, new_id
from mock_acquirer.money import show

AT_ONCE = timedelta()
LATER: dict[tuple[str | None, str], tuple[timedelta, str]] = {
    # (card, state): (its duration, the next state)
    ("refund_pending", "pending"): (timedelta(minutes=1), "succeeded"),
    ("refund_fails", "succeeded"): (timedelta(minutes=1), "failed"),
}


@unit
def refund(
    payment: Payment,
    amount: int | None,
    reference: str = "",
    *,
    capture_id: str | None = None,
    reason: str = "",
    wait: timedelta = AT_ONCE,
    wire: dict[str, Any] | None = None,
) -> Refund:
    """Refund `amount` (minor units; None: the remaining amount of the capture) to the customer.

    `reference` is the merchant's id of the refund: a second call with it returns the first refund; empty generates one.
    Without `capture_id` the oldest capture with a sufficient remaining amount is used. `wait` is how long the dialect
    keeps
    every refund pending; some cards keep it pending or let it fail later. Refuses with 409 when nothing was captured,
    nothing is left or the reference belongs to another refund, with 422 when the amount exceeds the remaining one.
    """
    position = moves.lock(payment)
    known = by_reference(payment, reference) if reference else None
    if known is not None:
        return _same(known, amount, capture_id)
    capture, amount = _reserve(payment, amount, capture_id)
    state, now = _first_state(payment, wait), clock.now(payment.run)
    due, due_state = _later(payment, state, wait)
    refund_id = new_id("re")
    insert_once(
        Refund,
        id=refund_id,
        payment_id=payment.id,
        capture_id=capture.id,
        position=position,
        reference=reference or refund_id,
        amount=amount,
        currency=capture.currency,
        state=state,
        reason=reason,
        created_at=now,
        changed_at=now,
        succeeded_at=now if state == "succeeded" else None,
        due_at=now + due if due is not None else None,
        due_state=due_state,
        wire=wire or {},
    )
    made = db.session.get_one(Refund, refund_id)
    _announce(payment, made, f"Refund of {show(amount, capture.currency)} ({made.reference}): {state}")
    return made


def _same(known: Refund, amount: int | None, capture_id: str | None) -> Refund:
    if amount not in (None, known.amount) or capture_id not in (None, known.capture_id):
        raise conflict("refund_reference_reused", "This reference belongs to another refund of the payment.")
    return known


def _reserve(payment: Payment, amount: int | None, capture_id: str | None) -> tuple[Capture, int]:
    """Subtract the amount from the refundable amount; the conditional UPDATE prevents refunding it twice."""
    if payment.state != "captured" or not payment.captures:
        raise conflict("not_captured", f"Only captured money can be refunded; this payment is {payment.state}.")
    mine = [one for one in payment.captures if capture_id in (None, one.id)]
    if not mine:
        raise Refused(422, "invalid_request", "invalid_capture", "There is no such capture.", param="capture")
    for capture in (one for one in mine if left(one) > 0):
        wanted = amount or left(capture)
        taken = update(Capture).where(
            Capture.id == capture.id, Capture.refunded + Capture.disputed + wanted <= Capture.amount
        )
        if moves.won(taken.values(refunded=Capture.refunded + wanted)):
            db.session.refresh(capture)
            return capture, wanted
    most = max(left(one) for one in mine)
    if most > 0:
        sentence = f"At most {show(most, mine[0].currency)} can be refunded."
        raise Refused(422, "invalid_request", "amount_too_large", sentence, param="amount")
    if any(one.disputed for one in mine):
        raise conflict("disputed", "The customer's bank has taken the money back in a dispute.")
    raise conflict("already_refunded", "Everything has been refunded.")


def left(capture: Capture) -> int:
    """The remaining refundable amount of the capture, in minor units."""
    return capture.amount - capture.refunded - capture.disputed


def _first_state(payment: Payment, wait: timedelta) -> str:
    return "pending" if wait > AT_ONCE or (payment.card, "pending") in LATER else "succeeded"


def _later(payment: Payment, state: str, wait: timedelta) -> tuple[timedelta | None, str | None]:
    """(duration of this state, next state)."""
    lasts, follows = LATER.get((payment.card, state), (None, None))
    if state == "pending":
        return max(wait, lasts or AT_ONCE), "succeeded"
    return lasts, follows


def _announce(payment: Payment, refund: Refund, line: str) -> None:
    timeline.note(payment, "state", line)
    db.session.refresh(payment)
    deliveries.tell(payment, f"refund.{refund.state}", refund)
    if refund.state == "succeeded" and refunded(payment) == sum(one.amount for one in payment.captures):
        deliveries.tell(payment, "payment.refunded")


def refunded(payment: Payment) -> int:
    """The succeeded refunds, in minor units of the captures' currency; pending ones are not counted."""
    mine = select(func.sum(Refund.amount)).where(Refund.payment_id == payment.id, Refund.state == "succeeded")
    return int(db.session.scalar(mine) or 0)


@unit
def become(refund: Refund, state: str, due_by: datetime | None = None) -> bool:
    """Change the refund's state; False when the current state does not allow it.

    With `due_by` only if it is due by then. A failed refund's amount can be refunded again.
    """
    payment = db.session.get_one(Payment, refund.payment_id)
    now = clock.now(payment.run)
    due, due_state = _later(payment, state, AT_ONCE)
    sources = tuple(source for source, targets in states.REFUND_TRANSITIONS.items() if state in targets)
    mine = update(Refund).where(Refund.id == refund.id, Refund.state.in_(sources))
    if due_by is not None:
        mine = mine.where(Refund.due_at <= due_by, Refund.due_state == state)
    values: dict[str, Any] = {"state": state, "changed_at": now, "due_state": due_state}
    values["due_at"] = now + due if due is not None else None
    if state == "succeeded":
        values["succeeded_at"] = now
    moved = moves.won(mine.values(**values))
    db.session.refresh(refund)
    if not moved:
        return False
    if state == "failed":
        given_up = update(Capture).where(Capture.id == refund.capture_id)
        moves.won(given_up.values(refunded=Capture.refunded - refund.amount))
    _announce(payment, refund, f"Refund {refund.reference} became {state}")
    return True


def step(refund: Refund) -> bool:
    """Perform the due step. True when this call performed it."""
    due_by = clock.now(db.session.get_one(Payment, refund.payment_id).run)
    return bool(refund.due_state) and become(refund, str(refund.due_state), due_by)


def find(payment: Payment, refund_id: str) -> Refund | None:
    """The payment's refund with this id of ours."""
    mine = select(Refund).where(Refund.payment_id == payment.id, Refund.id == refund_id)
    return db.session.scalar(mine.execution_options(populate_existing=True))


def by_reference(payment: Payment, reference: str) -> Refund | None:
    """The payment's refund with this reference of the merchant."""
    mine = select(Refund).where(Refund.payment_id == payment.id, Refund.reference == reference)
    return db.session.scalar(mine.execution_options(populate_existing=True))


def of_merchant(run: str, dialect: str, merchant: str) -> list[tuple[Refund, Payment]]:
    """All refunds of a merchant in a dialect, oldest first."""
    mine = (Payment.run == run, Payment.dialect == dialect, Payment.merchant == merchant)
    rows = select(Refund, Payment).join(Payment, Payment.id == Refund.payment_id).where(*mine)
    return [(one, payment) for one, payment in db.session.execute(rows.order_by(Refund.created_at, Refund.id))]
