"""Asking the acquirer: the safety net under every webhook, and what closes a payment there.

A row with `next_check_at` is the truth. Whoever asks claims the payment first by a conditional UPDATE, so that two
clocks, a worker and a buyer who presses "check now" never ask twice at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import bindparam, or_, select, update
from sqlalchemy.exc import IntegrityError

from shop.core import clock, logs
from shop.core.db import db, retried, table, writing
from shop.orders.models import Order
from shop.payments import due, health, registry, states
from shop.payments import request as requests
from shop.payments.models import Payment
from shop.payments.provider import Facts, Found, NotFound, PaymentProvider, Unavailable
from shop.payments.request import Asked
from shop.payments.settle import settle

log = logs.get()
LEASE = timedelta(seconds=30)
PATIENCE = timedelta(seconds=2)  # between two questions that buyers cause
CREATED_IS_UNKNOWN = timedelta(seconds=10)
_PAYMENTS = table(Payment)
_DUE = (
    select(_PAYMENTS.c.id)
    .where(_PAYMENTS.c.id.in_(bindparam("payments", expanding=True)), _PAYMENTS.c.next_check_at <= bindparam("at"))
    .order_by(_PAYMENTS.c.id)
    .with_for_update()
)
_TAKE = (
    update(_PAYMENTS)
    .where(_PAYMENTS.c.id.in_(_DUE))
    .values(next_check_at=bindparam("until"), checks=_PAYMENTS.c.checks + 1, asked_at=bindparam("at"))
    .returning(_PAYMENTS.c.id)
)


def due_payments(limit: int = 1000) -> list[str]:
    """Ids of payments to ask about now, longest due first; those of a paused provider wait."""
    query = select(Payment.id).where(Payment.next_check_at <= clock.now()).order_by(Payment.next_check_at).limit(limit)
    resting = health.paused()
    if resting:
        query = query.where(Payment.provider.not_in(resting))
    found = list(db.session.scalars(query))
    db.session.rollback()
    return found


def make_due(order_id: int, heard_from: str) -> list[str]:
    """Make the order's payments due at once, each at most every 2 s, and return those that are.

    `heard_from` is return or view; a return is noted on the open payment.
    """
    at = clock.now()
    with writing():
        if heard_from == "return":
            db.session.execute(
                update(Payment)
                .where(Payment.order_id == order_id, Payment.state.in_(states.STILL_OPEN))
                .values(returned_at=at)
            )
        rested = or_(Payment.asked_at.is_(None), Payment.asked_at <= at - PATIENCE)
        asked_for = Payment.state.in_([states.OPEN, states.AUTHORIZED, states.UNKNOWN])
        db.session.execute(
            update(Payment)
            .where(Payment.order_id == order_id, asked_for, rested, Payment.next_check_at > at)
            .values(next_check_at=at)
        )
        db.session.execute(  # asked just now: ask again as soon as that is allowed
            update(Payment)
            .where(Payment.order_id == order_id, asked_for, Payment.next_check_at > at + PATIENCE)
            .values(next_check_at=at + PATIENCE)
        )
        return list(
            db.session.scalars(select(Payment.id).where(Payment.order_id == order_id, Payment.next_check_at <= at))
        )


def check_now(order_id: int, heard_from: str) -> None:
    """Ask about the order's payments at once, at most every 2 s each. Never raises for what the acquirer does."""
    for payment_id in make_due(order_id, heard_from):
        check(payment_id, heard_from)


def take(payment_ids: Sequence[str]) -> list[str]:
    """Claim those of the payments that are due, for LEASE, and return them: their questions are the caller's to put."""
    at = clock.now()

    def unit() -> set[str]:
        with writing():
            return set(db.session.scalars(_TAKE, {"payments": list(payment_ids), "at": at, "until": at + LEASE}))

    claimed = retried(unit)
    return [payment_id for payment_id in payment_ids if payment_id in claimed]


def check(payment_id: str, heard_from: str = "poll") -> str | None:
    """Ask about one due payment and settle the answer. None when it is not due or another process has it."""
    return ask(payment_id, heard_from) if take([payment_id]) else None


def ask_taken(payment_id: str) -> str | None:
    """Put the question of a payment that was taken."""
    return ask(payment_id, "poll")


def close(payment_id: str, *, because: str = "closing") -> str:
    """Close a payment at its acquirer and ask what became of it. Returns its state afterwards; open means: not sure
    yet.
    """
    at = clock.now()
    with writing():
        db.session.execute(
            update(Payment)
            .where(Payment.id == payment_id, Payment.state.in_(states.STILL_OPEN))
            .values(cancel_requested_at=db.func.coalesce(Payment.cancel_requested_at, at), next_check_at=at)
        )
    check(payment_id, because)
    state = db.session.scalar(select(Payment.state).where(Payment.id == payment_id))
    db.session.rollback()
    return state or states.FAILED


def ask(payment_id: str, heard_from: str) -> str | None:
    """Put the question (after closing the payment there, when that is wished) and settle the answer."""
    asked = requests.load(payment_id)
    provider = registry.get(asked.provider) if asked else None
    if asked is None or provider is None:
        return None
    if asked.closing and asked.state != states.CREATED:
        health.call(provider, "cancel", lambda: provider.cancel(asked.request))
    answer = health.call(provider, "query", lambda: provider.query(asked.request))
    return _hear(asked, provider, answer, heard_from)


def _hear(
    asked: Asked, provider: PaymentProvider, answer: Found | NotFound | Unavailable, heard_from: str
) -> str | None:
    payment_id = asked.request.id
    if isinstance(answer, Unavailable):
        _unavailable(payment_id, answer)
        return None
    if isinstance(answer, NotFound):
        facts = _not_found(payment_id, provider)
        if facts is None:
            return None
        return settle(payment_id, facts, heard_from)

    def unit() -> str:
        with writing():
            verdict = settle(payment_id, answer.facts, heard_from)
            _note_answer(asked, provider, answer.facts)
            return verdict

    try:
        return retried(unit)
    except IntegrityError as error:  # they call money that another payment brought this one's
        db.session.rollback()
        log.error("payment.contradiction", payment=payment_id, error=str(error.orig)[:200])
        _unavailable(payment_id, Unavailable("contradiction"))
        return None


def _note_answer(asked: Asked, provider: PaymentProvider, facts: Facts) -> None:
    """The acquirer answered; note whether its query shows a capture that we knew before we asked.

    One that we have only just heard of is asked about once more: an acquirer that charges twice does it now.
    """
    payment = db.session.get_one(Payment, asked.request.id)
    payment.unavailable_since, payment.answered_at = None, payment.asked_at
    if asked.state != states.CAPTURED or payment.confirmed_at:
        return
    at = clock.now()
    if facts.captures:
        payment.confirmed_at = at
    else:
        payment.confirm_misses += 1
    payment.next_check_at = due.after_report(payment, at, provider.capabilities.consistency_window)


def _unavailable(payment_id: str, answer: Unavailable) -> None:
    at = clock.now()
    with writing():
        payment = db.session.get_one(Payment, payment_id)
        payment.unavailable_since = payment.unavailable_since or at
        wait = due.pick(due.WHILE_UNAVAILABLE, payment.checks)
        payment.next_check_at = at + max(wait, timedelta(seconds=answer.retry_after or 0))


def _not_found(payment_id: str, provider: PaymentProvider) -> Facts | None:
    """What it means that the acquirer knows no such payment; None while it may still be on its way."""
    at, window = clock.now(), provider.capabilities.consistency_window
    with writing():
        payment = db.session.get_one(Payment, payment_id)
        final = _final_not_found(payment, at, window)
        if final is None:
            payment.next_check_at = due.after_report(payment, at, window)
            payment.unavailable_since, payment.answered_at = None, payment.asked_at
        return final


def _final_not_found(payment: Payment, at: datetime, window: timedelta) -> Facts | None:
    if payment.state in (states.CREATED, states.UNKNOWN) and at >= payment.created_at + max(window, CREATED_IS_UNKNOWN):
        return Facts(state=states.FAILED, end_reason="never_arrived")
    if payment.state != states.OPEN:
        return None
    if payment.expires_at and at >= payment.expires_at + window:
        return Facts(state=states.EXPIRED, end_reason="time")
    if payment.expires_at is None and at >= db.session.get_one(Order, payment.order_id).pay_by + window:
        return Facts(state=states.FAILED, end_reason="never_arrived")  # a notice called it open; no answer ever did
    return None
