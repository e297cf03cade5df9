"""Send due refunds to the acquirer, and query them until their result is known."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import select, update

from shop.core import clock
from shop.core.actor import Actor, ActorKind
from shop.core.db import changed, db, transactional
from shop.payments.calls import circuit_breaker
from shop.payments.calls import request as requests
from shop.payments.providers import registry
from shop.payments.providers.interface import (
    Done,
    NotFound,
    PaymentProvider,
    PaymentRequest,
    Pending,
    RefundRequest,
    Rejected,
    Unavailable,
    Unknown,
)
from shop.payments.providers.types import RefundState
from shop.payments.records import poll_schedule
from shop.payments.records import refund_states as states
from shop.payments.records.models import Capture, Payment, Refund
from shop.payments.records.types import RefundDestination, RefundKind
from shop.payments.refunds import apply

LEASE = timedelta(seconds=30)
_POLL = Actor(ActorKind.POLL)
_STATE_OF: dict[type, RefundState] = {
    Done: RefundState.DONE,
    Pending: RefundState.PENDING,
    Rejected: RefundState.REJECTED,
    Unknown: RefundState.UNKNOWN,
}
_Answer = Done | Pending | Rejected | Unknown | NotFound | Unavailable


class Step(StrEnum):
    """Next step of a due refund."""

    QUERY_PAYMENT = "query_payment"
    BOOK = "book"
    REJECT = "reject"
    CALL_PROVIDER = "call_provider"


def due(limit: int = 500) -> list[str]:
    """Refunds to send or to query now."""
    query = select(Refund.id).where(Refund.next_check_at <= clock.now()).order_by(Refund.next_check_at).limit(limit)
    found = list(db.session.scalars(query))
    db.session.rollback()
    return found


def step_of(*, kind: str, destination: str, state: str, is_id_used: bool) -> Step:
    """Decide the next step of a due refund. Pure.

    One that was made at the acquirer is listed by the query of its payment, under the acquirer's own id: the poller
    queries it. One that goes through no provider is booked. A refund made at the acquirer that has our refund's id
    would prevent ours from being sent.
    """
    if kind == RefundKind.OUTSIDE:
        return Step.QUERY_PAYMENT
    if destination != RefundDestination.PROVIDER:
        return Step.BOOK
    return Step.REJECT if state == RefundState.REQUESTED and is_id_used else Step.CALL_PROVIDER


def retry_at(state: str, checks: int, answer: NotFound | Unavailable, now: datetime) -> datetime | None:
    """Time of the next attempt after a response without a result; None when no attempt is needed. Pure."""
    is_unavailable = isinstance(answer, Unavailable)
    if state not in states.UNDER_WAY and not is_unavailable:
        return None
    delay = timedelta(seconds=answer.retry_after or 0) if isinstance(answer, Unavailable) else timedelta(0)
    return now + max(poll_schedule.pick(poll_schedule.WHILE_UNAVAILABLE, checks), delay)


def do(refund_id: str) -> None:
    """Send one due refund, or query its result. Safe to repeat, and by several processes at once."""
    at = clock.now()
    if not _claim(refund_id, at):
        return
    refund = db.session.get_one(Refund, refund_id)
    known = {"kind": refund.kind, "destination": refund.destination, "state": refund.state}
    match step_of(**known, is_id_used=_is_id_used(refund)):
        case Step.QUERY_PAYMENT:
            _make_payment_due(refund_id, str(refund.payment_id), at + LEASE)
        case Step.BOOK:
            apply.result(refund_id, RefundState.DONE, refund.approved_by or refund.requested_by)
        case Step.REJECT:
            apply.result(refund_id, RefundState.REJECTED, _POLL, code=states.ID_TAKEN)
        case Step.CALL_PROVIDER:
            _call_provider(refund, at + LEASE)


@transactional
def _claim(refund_id: str, at: datetime) -> bool:
    """Claim a due refund for LEASE and count the attempt. False if another process has claimed it."""
    is_due = (Refund.id == refund_id, Refund.next_check_at <= at)
    claimed = update(Refund).where(*is_due).values(next_check_at=at + LEASE, checks=Refund.checks + 1)
    return bool(changed(claimed))


def _is_id_used(refund: Refund) -> bool:
    """True if a refund made at the acquirer for the same payment has the id of this one."""
    same = (Refund.payment_id == refund.payment_id, Refund.kind == RefundKind.OUTSIDE, Refund.reason == refund.id)
    return db.session.scalar(select(Refund.id).where(*same).limit(1)) is not None


def _call_provider(refund: Refund, lease: datetime) -> None:
    theirs = db.session.scalar(select(Capture.capture_id).where(Capture.id == refund.capture_id)) or ""
    refund_request = RefundRequest(refund.id, refund.money, theirs, refund.reason)
    refund_id, state = refund.id, refund.state
    loaded = requests.load(refund.payment_id) if refund.payment_id else None
    provider = registry.get(loaded.provider) if loaded else None
    if loaded is None or provider is None:
        return
    answer = _call(provider, loaded.request, refund_request, state)
    if isinstance(answer, NotFound | Unavailable):
        _retry_later(refund_id, answer, lease)
    else:
        code = answer.code if isinstance(answer, Rejected) else None
        apply.result(refund_id, _STATE_OF[type(answer)], _POLL, code=code)


def _call(provider: PaymentProvider, payment: PaymentRequest, refund_request: RefundRequest, state: str) -> _Answer:
    """Send a refund that was never sent; query any other, and send it again under the same id when the acquirer does
    not have it.
    """
    if state != RefundState.REQUESTED:
        answer: _Answer = circuit_breaker.call(
            provider, "query_refund", lambda: provider.query_refund(payment, refund_request)
        )
        if not (isinstance(answer, NotFound) and state == RefundState.UNKNOWN):
            return answer
    return circuit_breaker.call(provider, "refund", lambda: provider.refund(payment, refund_request))


@transactional
def _make_payment_due(refund_id: str, payment_id: str, lease: datetime) -> None:
    """Make the payment of a refund due for a poll now, and the refund due later if that gives no result."""
    at = clock.now()
    not_due = Payment.next_check_at.is_(None) | (Payment.next_check_at > at)
    db.session.execute(update(Payment).where(Payment.id == payment_id, not_due).values(next_check_at=at))
    refund = db.session.get_one(Refund, refund_id, populate_existing=True)
    again = retry_at(refund.state, refund.checks, NotFound(), at)
    untouched = (Refund.id == refund_id, Refund.next_check_at == lease)
    db.session.execute(update(Refund).where(*untouched).values(next_check_at=again))


@transactional
def _retry_later(refund_id: str, answer: NotFound | Unavailable, lease: datetime) -> None:
    """Make the refund due again, unless a result was applied meanwhile, which has set the next query."""
    refund = db.session.get_one(Refund, refund_id, populate_existing=True, with_for_update=True)
    if refund.next_check_at == lease:
        refund.next_check_at = retry_at(refund.state, refund.checks, answer, clock.now())
