"""Refunds on their way: sent to the acquirer by whoever finds them due, asked about until their end is known."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select, update

from shop.core import clock
from shop.core.db import changed, db, writing
from shop.payments import due as times
from shop.payments import health, refunds, registry
from shop.payments import refund_states as states
from shop.payments import request as requests
from shop.payments.models import TO_PROVIDER, Capture, Refund
from shop.payments.provider import (
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

LEASE = timedelta(seconds=30)


def due(limit: int = 500) -> list[str]:
    """Refunds to send or to ask about now."""
    query = select(Refund.id).where(Refund.next_check_at <= clock.now()).order_by(Refund.next_check_at).limit(limit)
    found = list(db.session.scalars(query))
    db.session.rollback()
    return found


def do(refund_id: str) -> None:
    """Send one due refund, or ask what became of it. Safe to repeat, and by several at once."""
    at = clock.now()
    with writing():
        claimed = changed(
            update(Refund)
            .where(Refund.id == refund_id, Refund.next_check_at <= at)
            .values(next_check_at=at + LEASE, checks=Refund.checks + 1)
        )
    if not claimed:
        return
    refund = db.session.get_one(Refund, refund_id)
    if refund.destination != TO_PROVIDER:
        refunds.hear(refund_id, states.DONE, refund.approved_by or "staff")
        return
    theirs = db.session.scalar(select(Capture.capture_id).where(Capture.id == refund.capture_id)) or ""
    wish = RefundRequest(refund.id, refund.money, theirs, refund.reason)
    state, payment_id = refund.state, refund.payment_id
    asked = requests.load(payment_id) if payment_id else None
    provider = registry.get(asked.provider) if asked else None
    if asked is None or provider is None:
        return
    answer = _put(provider, asked.request, wish, state)
    if isinstance(answer, NotFound | Unavailable):
        _later(refund_id, answer)
    else:
        refunds.hear(
            refund_id, _STATE_OF[type(answer)], "poll", code=answer.code if isinstance(answer, Rejected) else None
        )


_STATE_OF: dict[type, str] = {
    Done: states.DONE,
    Pending: states.PENDING,
    Rejected: states.REJECTED,
    Unknown: states.UNKNOWN,
}
_Answer = Done | Pending | Rejected | Unknown | NotFound | Unavailable


def _put(provider: PaymentProvider, payment: PaymentRequest, wish: RefundRequest, state: str) -> _Answer:
    """Send what was never sent; ask about the rest, and send it again, under the same id, when they never had it."""
    if state != states.REQUESTED:
        answer: _Answer = health.call(provider, "query_refund", lambda: provider.query_refund(payment, wish))
        if not (isinstance(answer, NotFound) and state == states.UNKNOWN):
            return answer
    return health.call(provider, "refund", lambda: provider.refund(payment, wish))


def _later(refund_id: str, answer: NotFound | Unavailable) -> None:
    at = clock.now()
    with writing():
        refund = db.session.get_one(Refund, refund_id, populate_existing=True)
        if refund.state in states.UNDER_WAY or isinstance(answer, Unavailable):
            wait = times.pick(times.WHILE_UNAVAILABLE, refund.checks)
            told = timedelta(seconds=answer.retry_after or 0) if isinstance(answer, Unavailable) else timedelta(0)
            refund.next_check_at = at + max(wait, told)
        else:
            refund.next_check_at = None
