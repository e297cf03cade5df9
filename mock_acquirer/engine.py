"""Ledger and state machine behind all dialects, and the only writer of a payment's state.

Each function is one transaction: a conditional UPDATE decides races, the loser gets False or a refusal. Webhook events
are written in the same transaction. Refunds and disputes have their own modules.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update

from mock_acquirer import clock, deliveries, disputes, faults, states, timeline
from mock_acquirer.cards import BY_SLUG, DECLINES, MOST_DECLINES, Card
from mock_acquirer.db import db, unit
from mock_acquirer.dialect_interface import named, setting
from mock_acquirer.disputes import dispute as dispute
from mock_acquirer.errors import Refused, conflict
from mock_acquirer.models import Capture, Payment, Run, new_id
from mock_acquirer.money import other_than, show
from mock_acquirer.moves import due_now, move
from mock_acquirer.refunds import refund as refund
from mock_acquirer.times import parse_duration, rfc3339

REFERENCE = re.compile(r"[A-Za-z0-9_.:@/+=-]{1,64}")
SHOWN_AS = re.compile(r"[a-z_]{1,12}_([0-9a-f]{30})")

CHALLENGE = {
    # the customer's answer: the resulting decline; for an approved one the card decides
    "approve": "",
    "fail": "authentication_failed",
    "timeout": "authentication_required",
}


@dataclass(frozen=True)
class Session:
    """A merchant's request for a payment session: `amount` in minor units, `expires_at` on the run's clock."""

    run: str
    dialect: str
    merchant: str
    reference: str
    amount: int
    currency: str
    return_url: str
    webhook_url: str
    expires_at: datetime
    capture_method: str = "automatic"
    description: str = ""
    locale: str = ""
    wire: dict[str, Any] = field(default_factory=dict)


def next_number(run: str) -> int:
    """The number of the run's next payment."""
    return (db.session.scalar(select(Run.payment_seq).where(Run.name == run)) or 0) + 1


@unit
def open_session(session: Session) -> Payment:
    """Open a payment session."""
    numbered = update(Run).where(Run.name == session.run).values(payment_seq=Run.payment_seq + 1)
    number = db.session.scalar(numbered.returning(Run.payment_seq))
    payment = Payment(
        id=new_id("pay"),
        number=number,
        state="requires_payment",
        created_at=clock.now(session.run),
        **{name: getattr(session, name) for name in Session.__dataclass_fields__},
    )
    db.session.add(payment)
    db.session.flush()
    faults.adopt(payment)
    timeline.note(payment, "state", f"Opened for {show(payment.amount, payment.currency)}")
    return payment


def find(run: str, ref: str) -> Payment | None:
    """The payment with this id, or the newest with this reference, in this run.

    A dialect may show the id under its own prefix, such as `cs_test_`.
    """
    if not REFERENCE.fullmatch(ref):
        return None
    known = SHOWN_AS.fullmatch(ref)
    found = db.session.get(Payment, f"pay_{known[1]}" if known else ref, populate_existing=True)
    if found is not None:
        return found if found.run == run else None
    mine = select(Payment).where(Payment.run == run, Payment.reference == ref)
    return db.session.scalar(mine.order_by(Payment.number.desc()).limit(1))


def by_reference(run: str, merchant: str, reference: str) -> list[Payment]:
    """All payments of the merchant with this reference, oldest first."""
    if not REFERENCE.fullmatch(reference):
        return []
    mine = (Payment.run == run, Payment.merchant == merchant, Payment.reference == reference)
    return list(db.session.scalars(select(Payment).where(*mine).order_by(Payment.number)))


@unit
def pay(payment: Payment, card: Card) -> str:
    """Attempt to pay with the card.

    Returns captured, authorized, challenge, processing (the capture comes late), declined, failed (after the last
    allowed
    decline) or closed (the session has ended; nothing was captured).
    """
    if not _still_open(payment):
        return "closed"
    faults.add(payment, card.plan)
    seen = {"method": "card", "card": card.slug, "brand": card.brand, "last4": card.last4}
    decline = faults.pay(payment, "decline") or card.decline
    if decline:
        return _decline(payment, decline, seen)
    if card.challenge:
        now = clock.now(payment.run)
        if not move(payment, "requires_action", Payment.expires_at > now, sources=("requires_payment",), **seen):
            return "closed"
        deliveries.tell(payment, "payment.requires_action")
        return "challenge"
    return _take(payment, seen)


def _still_open(payment: Payment) -> bool:
    expire_if_due(payment)
    return payment.state in states.OPEN and payment.capture_due_at is None


@unit
def show_code(payment: Payment) -> str:
    """Issue a convenience-store code; the session lasts as long as the code.

    Returns code (also when one exists) or closed. While the code awaits payment the state is requires_action and
    `method`
    is store; the customer may still pay by card instead.
    """
    if not _still_open(payment):
        return "closed"
    if payment.method == "store":
        return "code"
    now = clock.now(payment.run)
    code = f"{payment.number % 10_000:04d}{secrets.randbelow(10**10):010d}"
    until = now + timedelta(seconds=setting("ACQUIRER_STORE_CODE_SECONDS"))
    values = {"method": "store", "store_code": code, "expires_at": until, "last_decline": None}
    if not move(payment, "requires_action", Payment.expires_at > now, sources=("requires_payment",), **values):
        return "closed"
    timeline.note(payment, "state", f"Store code {code}, to be paid by {rfc3339(until)}")
    deliveries.tell(payment, "payment.requires_action")
    return "code"


@unit
def pay_at_counter(payment: Payment) -> str:
    """Pay the code at the store. Returns as `pay` does; refuses with 409 without a code."""
    if payment.method != "store":
        raise conflict("no_store_code", "This payment has no store code.")
    return _take(payment, {}) if _still_open(payment) else "closed"


@unit
def rehearse(payment: Payment) -> None:
    """Notify the merchant of a simulated payment without money. Refuses with 409 where the dialect has none."""
    if not named(payment.dialect).rehearses:
        raise conflict(
            "no_rehearsal", f"{named(payment.dialect).title} has no success notifications without a payment."
        )
    timeline.note(payment, "control", "Success notification without a payment (SimulatePaid)")
    deliveries.tell(payment, "payment.simulated")


def is_challenged(payment: Payment) -> bool:
    """True while the payment awaits the customer's answer to a 3-D Secure challenge."""
    return payment.state == "requires_action" and payment.method == "card"


@unit
def finish_challenge(payment: Payment, answer: str) -> str:
    """Answer the 3-D Secure challenge, or let it time out (`answer` is one of CHALLENGE). Returns as `pay`."""
    if not (_still_open(payment) and is_challenged(payment)):
        return "closed"
    card = BY_SLUG[payment.card or ""]
    decline = CHALLENGE[answer] or card.after
    return _decline(payment, decline, {}) if decline else _take(payment, {})


@unit
def decline(payment: Payment, code: str) -> str:
    """Decline the payment. Returns declined, failed (after the last allowed one), or closed."""
    return _decline(payment, code, {}) if _still_open(payment) else "closed"


def _decline(payment: Payment, code: str, seen: dict[str, Any]) -> str:
    last = payment.declines + 1 >= MOST_DECLINES
    values = seen | {"declines": Payment.declines + 1, "last_decline": code}
    if last:
        values |= {"ended_at": clock.now(payment.run), "ended_by": "declines"}
    same_count = Payment.declines == payment.declines
    to = "failed" if last else "requires_payment"
    if not move(payment, to, same_count, sources=states.OPEN, **values):
        return "closed"
    timeline.note(payment, "state", f"Declined: {code} ({DECLINES[code][0]})")
    deliveries.tell(payment, "payment.failed" if last else "payment.declined")
    return "failed" if last else "declined"


def _take(payment: Payment, seen: dict[str, Any]) -> str:
    """Approve the payment: capture now, capture later, or authorise only."""
    late = faults.pay(payment, "late_after_expiry")
    if late:
        due = payment.expires_at + parse_duration(late)
        values = seen | {"capture_due_at": due, "last_decline": None}
        done = move(payment, "requires_payment", Payment.capture_due_at.is_(None), sources=states.OPEN, **values)
        timeline.note(payment, "state", "The bank delays its answer until the session has expired")
        return "processing" if done else "closed"
    now = clock.now(payment.run)
    kept = seen | {"last_decline": None}
    if payment.capture_method == "manual":
        if not move(payment, "authorized", Payment.expires_at > now, sources=states.OPEN, **kept):
            return "closed"
        deliveries.tell(payment, "payment.authorized")
        return "authorized"
    ended = {"ended_at": now, "ended_by": None}
    if not move(payment, "captured", Payment.expires_at > now, sources=states.OPEN, **kept, **ended):
        return "closed"
    if faults.reversed_for(payment):
        deliveries.tell(payment, "payment.authorized")  # an event that the capture can overtake
    _capture(payment, payment.amount)
    return "captured"


def _capture(payment: Payment, amount: int) -> None:
    """Write the capture and its event; armed faults may change the amount or the currency, or capture twice."""
    currency: Any = faults.pay(payment, "wrong_currency")
    if currency:
        currency = other_than(payment.currency) if currency is True else currency
    amount = max(1, amount + (faults.pay(payment, "amount_delta") or 0))
    for _ in range(2 if faults.pay(payment, "double") else 1):
        capture = Capture(
            id=new_id("cap"),
            payment_id=payment.id,
            position=len(payment.captures) + 1,
            amount=amount,
            currency=currency or payment.currency,
            captured_at=clock.now(payment.run),
        )
        db.session.add(capture)
        db.session.flush()
        db.session.refresh(payment)
        timeline.note(payment, "state", f"Took {show(capture.amount, capture.currency)} ({capture.id})")
        disputes.schedule(payment, capture)
        deliveries.tell(payment, "payment.captured")


@unit
def capture(payment: Payment, amount: int | None) -> None:
    """Capture an authorised payment, in full or in part (the rest is voided).

    Refuses with 409 when nothing is authorised, with 422 when the amount exceeds the authorisation.
    """
    expire_if_due(payment)
    if amount is not None and amount > payment.amount:
        raise Refused(422, "invalid_request", "amount_too_large", "More than was authorised.", param="amount")
    if not move(payment, "captured", sources=("authorized",), ended_at=clock.now(payment.run), ended_by=None):
        raise conflict("not_authorized", f"Only an authorized payment can be captured; this one is {payment.state}.")
    _capture(payment, amount or payment.amount)


@unit
def cancel(payment: Payment, by: str) -> None:
    """Cancel the session, or void the authorisation. `by` is customer or merchant.

    Safe to repeat; refuses with 409 when it is too late.
    """
    expire_if_due(payment)
    voidable = (*states.OPEN, "authorized")
    if move(payment, "voided", sources=voidable, ended_at=clock.now(payment.run), ended_by=by):
        deliveries.tell(payment, "payment.voided")
    elif payment.state == "captured":
        raise conflict("already_captured", "The payment has already been captured. Refund it instead.")
    elif payment.state != "voided":
        raise conflict(f"already_{payment.state}", f"The payment has already ended: {payment.state}.")


@unit
def void(payment: Payment, by: str = "merchant") -> None:
    """Void the authorisation. Refuses with 409 when there is none; safe to repeat."""
    if payment.state not in ("authorized", "voided"):
        raise conflict("not_authorized", f"Only an authorized payment can be voided; this one is {payment.state}.")
    cancel(payment, by)


@unit
def fail(payment: Payment) -> None:
    """Fail the payment, as after too many declines. Refuses (409) when it has ended."""
    expire_if_due(payment)
    now = clock.now(payment.run)
    code = payment.last_decline or "generic_decline"
    if not move(payment, "failed", sources=states.OPEN, last_decline=code, ended_at=now, ended_by="declines"):
        raise conflict(f"already_{payment.state}", f"The payment cannot fail any more: {payment.state}.")
    deliveries.tell(payment, "payment.failed")


def expire_if_due(payment: Payment) -> bool:
    """Expire the session when it is due. True when this call expired it."""
    if payment.state not in states.OPEN or payment.expires_at > clock.now(payment.run):
        return False
    return _expire(payment)


@unit
def _expire(payment: Payment) -> bool:
    now = clock.now(payment.run)
    ended = {"ended_at": payment.expires_at, "ended_by": "time"}
    if not move(payment, "expired", Payment.expires_at <= now, sources=states.OPEN, **ended):
        return False
    deliveries.tell(payment, "payment.expired")
    return True


@unit
def capture_late(payment: Payment) -> bool:
    """Capture late money, whatever the session's state. True when this call captured it."""
    due = Payment.capture_due_at <= clock.now(payment.run)
    sources = (*states.OPEN, "expired", "voided")
    if not move(payment, "captured", due, sources=sources, capture_due_at=None):
        db.session.execute(update(Payment).where(Payment.id == payment.id, due).values(capture_due_at=None))
        return False
    _capture(payment, payment.amount)
    return True


def due_payments(run: str | None = None, limit: int = 200) -> tuple[list[Payment], list[Payment]]:
    """(sessions that are due to expire, payments whose late capture is due); without a run, those of all runs."""
    mine = select(Payment).join(Run, Run.name == Payment.run).limit(limit)
    over = due_now(mine.where(Payment.state.in_(states.OPEN)), Payment.expires_at, run)
    late = due_now(mine, Payment.capture_due_at, run)
    return list(db.session.scalars(over)), list(db.session.scalars(late))


def next_due(run: str) -> datetime | None:
    """The time when the run's next session expires or its next late capture arrives."""
    over = db.session.scalar(
        select(func.min(Payment.expires_at)).where(Payment.run == run, Payment.state.in_(states.OPEN))
    )
    late = db.session.scalar(select(func.min(Payment.capture_due_at)).where(Payment.run == run))
    return min((moment for moment in (over, late) if moment is not None), default=None)


def default_end(run: str, seconds: float) -> datetime:
    """Default expiry of a session opened now."""
    return clock.now(run) + timedelta(seconds=seconds)
