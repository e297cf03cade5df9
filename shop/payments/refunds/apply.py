"""Apply results of our refunds, whatever their source."""

from __future__ import annotations

from sqlalchemy import select

from shop.core.actor import Actor
from shop.core.db import db, transactional
from shop.payments.order_money import load
from shop.payments.order_money.write import write
from shop.payments.providers.types import Outcome, RefundState
from shop.payments.records.models import Payment, Refund
from shop.payments.records.types import RefundDestination
from shop.payments.refunds import decide


@transactional
def result(refund_id: str, state: RefundState, by: Actor, *, code: str | None = None) -> Outcome:
    """Apply a result of a refund that `by` reports and return the outcome: applied, duplicate, stale or orphan."""
    order_id = db.session.scalar(select(Refund.order_id).where(Refund.id == refund_id))
    if order_id is None:
        return Outcome.ORPHAN
    return write(decide.result(load.locked(order_id), refund_id, state, load.context(by), code=code))


@transactional
def failed_later(refund_id: str, by: Actor, *, code: str, provider: str) -> Outcome:
    """Apply that a refund was done and failed afterwards, both reported by `provider`; return the outcome of the
    failure.

    A refund that does not go through that provider is an orphan.
    """
    through = select(Refund.order_id).join(Payment).where(Payment.provider == provider)
    order_id = db.session.scalar(
        through.where(Refund.id == refund_id, Refund.destination == RefundDestination.PROVIDER)
    )
    if order_id is None:
        return Outcome.ORPHAN
    return write(decide.failed_later(load.locked(order_id), refund_id, load.context(by), code=code))
