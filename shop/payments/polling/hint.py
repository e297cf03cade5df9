"""Hints about payments: what is no proof makes the acquirer be asked, and its answer decides."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select, update

from shop.core import clock
from shop.core.db import db
from shop.payments.records import states
from shop.payments.records.models import Payment


def make_due(provider: str, payment_id: str) -> None:
    """Make a payment due for a poll in the current transaction: at most every 2 s while it is open, then once a minute.
    No effect when the provider has no such payment of ours.
    """
    payment = db.session.scalars(
        select(Payment).where(Payment.id == payment_id, Payment.provider == provider)
    ).one_or_none()
    if payment is None:
        return
    at = clock.now()
    pause = timedelta(seconds=2) if payment.state in states.STILL_OPEN else timedelta(minutes=1)
    soon = at if payment.polled_at is None else max(at, payment.polled_at + pause)
    db.session.execute(
        update(Payment)
        .where(Payment.id == payment.id, func.coalesce(Payment.next_check_at, soon + pause) > soon)
        .values(next_check_at=soon)
    )
