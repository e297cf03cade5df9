"""The one ledger and state machine behind all dialects, and the only writer of a payment's state.

Each verb is one transaction: a conditional UPDATE decides races, the loser gets False or a refusal. What the merchant
is told is written in the same transaction.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, func, or_, select, type_coerce, update

from mock_acquirer import clock, deliveries, faults, states, timeline
from mock_acquirer.cards import BY_SLUG, DECLINES, MOST_DECLINES, Card
from mock_acquirer.db import db, to_micros, unit
from mock_acquirer.errors import Refused, conflict
from mock_acquirer.models import Capture, Payment, Run, new_id
from mock_acquirer.money import other_than, show
from mock_acquirer.times import parse_duration, wall_now

REFERENCE = re.compile(r"[A-Za-z0-9_.:@/+=-]{1,64}")
SHOWN_AS = re.compile(r"[a-z_]{1,12}_([0-9a-f]{30})")


@dataclass(frozen=True)
class Session:
    """What a merchant asks for: `amount` in minor units, `expires_at` on the run's clock."""

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
    """The number that the run's next payment will get."""
    return (db.session.scalar(select(Run.payment_seq).where(Run.name == run)) or 0) + 1


@unit
def open_session(session: Session) -> Payment:
    """A new payment that waits for its customer."""
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
    timeline.note(payment, "state", f"Opened for {show(payment.amount, payment.currency)}")
    return payment


def find(run: str, ref: str) -> Payment | None:
    """The payment with this id, or the newest with this reference, in this run.

    A dialect may show the id under a prefix of its own, such as `cs_test_`.
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


def _move(payment: Payment, to: str, *guards: Any, sources: tuple[str, ...] | None = None, **values: Any) -> bool:
    """The conditional UPDATE; False when somebody else was first."""
    allowed = sources if sources is not None else states.sources_of(to)
    before = payment.state
    moved = update(Payment).where(Payment.id == payment.id, Payment.state.in_(allowed), *guards)
    done = db.session.execute(moved.values(state=to, **values).execution_options(synchronize_session=False))
    db.session.refresh(payment)
    won = getattr(done, "rowcount", 0) == 1
    if won and before != to:
        timeline.note(payment, "state", f"Became {to}")
    return won


@unit
def pay(payment: Payment, card: Card) -> str:
    """The customer presses Pay.

    Answers captured, authorized, challenge, processing (the money comes late), declined, failed (declined for the last
    time) or closed (the session has ended; nothing was taken).
    """
    if not _still_open(payment):
        return "closed"
    faults.add(payment, card.plan)
    seen = {"card": card.slug, "brand": card.brand, "last4": card.last4}
    decline = faults.pay(payment, "decline") or card.decline
    if decline:
        return _decline(payment, decline, seen)
    if card.challenge:
        now = clock.now(payment.run)
        if not _move(payment, "requires_action", Payment.expires_at > now, sources=("requires_payment",), **seen):
            return "closed"
        deliveries.tell(payment, "payment.requires_action")
        return "challenge"
    return _take(payment, seen)


def _still_open(payment: Payment) -> bool:
    expire_if_due(payment)
    return payment.state in states.OPEN and payment.capture_due_at is None


@unit
def finish_challenge(payment: Payment, passed: bool) -> str:
    """The customer answers the 3-D Secure challenge. Answers as `pay` does."""
    if not _still_open(payment) or payment.state != "requires_action":
        return "closed"
    card = BY_SLUG[payment.card or ""]
    decline = card.after if passed else "authentication_failed"
    return _decline(payment, decline, {}) if decline else _take(payment, {})


@unit
def decline(payment: Payment, code: str) -> str:
    """The bank says no. Answers declined, failed (the last one), or closed."""
    return _decline(payment, code, {}) if _still_open(payment) else "closed"


def _decline(payment: Payment, code: str, seen: dict[str, Any]) -> str:
    last = payment.declines + 1 >= MOST_DECLINES
    values = seen | {"declines": Payment.declines + 1, "last_decline": code}
    if last:
        values |= {"ended_at": clock.now(payment.run), "ended_by": "declines"}
    same_count = Payment.declines == payment.declines
    to = "failed" if last else "requires_payment"
    if not _move(payment, to, same_count, sources=states.OPEN, **values):
        return "closed"
    timeline.note(payment, "state", f"Declined: {code} ({DECLINES[code][0]})")
    deliveries.tell(payment, "payment.failed" if last else "payment.declined")
    return "failed" if last else "declined"


def _take(payment: Payment, seen: dict[str, Any]) -> str:
    """The bank says yes: now, later, or only reserved."""
    late = faults.pay(payment, "late_after_expiry")
    if late:
        due = payment.expires_at + parse_duration(late)
        values = seen | {"capture_due_at": due, "last_decline": None}
        done = _move(payment, "requires_payment", Payment.capture_due_at.is_(None), sources=states.OPEN, **values)
        timeline.note(payment, "state", "The bank keeps its answer back until the session is over")
        return "processing" if done else "closed"
    now = clock.now(payment.run)
    kept = seen | {"last_decline": None}
    if payment.capture_method == "manual":
        if not _move(payment, "authorized", Payment.expires_at > now, sources=states.OPEN, **kept):
            return "closed"
        deliveries.tell(payment, "payment.authorized")
        return "authorized"
    ended = {"ended_at": now, "ended_by": None}
    if not _move(payment, "captured", Payment.expires_at > now, sources=states.OPEN, **kept, **ended):
        return "closed"
    if faults.reversed_for(payment):
        deliveries.tell(payment, "payment.authorized")  # something that the capture can overtake
    _capture(payment, payment.amount)
    return "captured"


def _capture(payment: Payment, amount: int) -> None:
    """Book the money and tell; the armed faults may change the amount, the currency, or take it twice."""
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
        deliveries.tell(payment, "payment.captured")


@unit
def capture(payment: Payment, amount: int | None) -> None:
    """Take authorised money: all of it, or a part (the rest is let go).

    Refuses with 409 when nothing is authorised, with 422 when it is more than was authorised.
    """
    expire_if_due(payment)
    if amount is not None and amount > payment.amount:
        raise Refused(422, "invalid_request", "amount_too_large", "More than was authorised.", param="amount")
    if not _move(payment, "captured", sources=("authorized",), ended_at=clock.now(payment.run), ended_by=None):
        raise conflict("not_authorized", f"Only an authorized payment can be captured; this one is {payment.state}.")
    _capture(payment, amount or payment.amount)


@unit
def cancel(payment: Payment, by: str) -> None:
    """End the session, or void what is authorised. `by` is customer or merchant.

    Repeating it is fine; refuses with 409 when it is too late.
    """
    expire_if_due(payment)
    voidable = (*states.OPEN, "authorized")
    if _move(payment, "voided", sources=voidable, ended_at=clock.now(payment.run), ended_by=by):
        deliveries.tell(payment, "payment.voided")
    elif payment.state == "captured":
        raise conflict("already_captured", "The money is already taken. Refund it instead.")
    elif payment.state != "voided":
        raise conflict(f"already_{payment.state}", f"The payment has already ended: {payment.state}.")


@unit
def fail(payment: Payment) -> None:
    """The payment comes to nothing, as after too many declines. Refuses (409) when it has ended."""
    expire_if_due(payment)
    now = clock.now(payment.run)
    code = payment.last_decline or "generic_decline"
    if not _move(payment, "failed", sources=states.OPEN, last_decline=code, ended_at=now, ended_by="declines"):
        raise conflict(f"already_{payment.state}", f"The payment cannot fail any more: {payment.state}.")
    deliveries.tell(payment, "payment.failed")


def expire_if_due(payment: Payment) -> bool:
    """End the session when its time is over. True when this call ended it."""
    if payment.state not in states.OPEN or payment.expires_at > clock.now(payment.run):
        return False
    return _expire(payment)


@unit
def _expire(payment: Payment) -> bool:
    now = clock.now(payment.run)
    ended = {"ended_at": payment.expires_at, "ended_by": "time"}
    if not _move(payment, "expired", Payment.expires_at <= now, sources=states.OPEN, **ended):
        return False
    deliveries.tell(payment, "payment.expired")
    return True


@unit
def capture_late(payment: Payment) -> bool:
    """The money that was on its way arrives, whatever became of the session. True when this call took it."""
    due = Payment.capture_due_at <= clock.now(payment.run)
    sources = (*states.OPEN, "expired", "voided")
    if not _move(payment, "captured", due, sources=sources, capture_due_at=None):
        db.session.execute(update(Payment).where(Payment.id == payment.id, due).values(capture_due_at=None))
        return False
    _capture(payment, payment.amount)
    return True


def due_payments(run: str | None = None, limit: int = 200) -> tuple[list[Payment], list[Payment]]:
    """(sessions whose time is over, payments whose late money arrives now); without a run those of all runs."""
    wall = wall_now()
    now_there = type_coerce(to_micros(wall), BigInteger) + Run.offset_us
    mine = select(Payment).join(Run, Run.name == Payment.run).limit(limit)
    if run is None:
        mine = mine.where(or_(Run.wall_draining_until.is_(None), Run.wall_draining_until < wall))
    else:
        mine = mine.where(Payment.run == run)
    over = mine.where(Payment.state.in_(states.OPEN), type_coerce(Payment.expires_at, BigInteger) <= now_there)
    late = mine.where(type_coerce(Payment.capture_due_at, BigInteger) <= now_there)
    return (
        list(db.session.scalars(over.order_by(Payment.expires_at))),
        list(db.session.scalars(late.order_by(Payment.capture_due_at))),
    )


def next_due(run: str) -> datetime | None:
    """When the next session of this run ends or the next late money arrives."""
    over = db.session.scalar(
        select(func.min(Payment.expires_at)).where(Payment.run == run, Payment.state.in_(states.OPEN))
    )
    late = db.session.scalar(select(func.min(Payment.capture_due_at)).where(Payment.run == run))
    return min((moment for moment in (over, late) if moment is not None), default=None)


def default_end(run: str, seconds: float) -> datetime:
    """When a session opened now ends by default."""
    return clock.now(run) + timedelta(seconds=seconds)
