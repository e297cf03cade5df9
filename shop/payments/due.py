"""When to ask the acquirer next, as tables of seconds."""

from __future__ import annotations

from datetime import datetime, timedelta

from shop.payments import states
from shop.payments.models import Payment

WHILE_OPEN = (10, 20, 30)
"""After opening, then between questions; the last one repeats. With every webhook lost, the page shows money within 60
s.
"""
WHILE_UNSURE = (2, 3, 5, 10, 20, 30)
"""No answer to the opening, or a closing that has not been confirmed."""
AT_THE_COUNTER = (300,)
"""While a store code waits: its buyer is not looking, and nobody is promised 60 s."""
AFTER_END = (60, 600, 3600, 86400)
"""After a payment ended without money: some acquirers tell of late money in no other way. And after their query has not
shown a capture twice, until it does.
"""
CONFIRM_AFTER = 30
"""After a capture, one question whether the acquirer's query knows it too; and once more if it does not."""
WHILE_UNAVAILABLE = (2, 5, 10, 20, 30)
MISSES = 2


def pick(table: tuple[int, ...], index: int) -> timedelta:
    return timedelta(seconds=table[min(index, len(table) - 1)])


def after_report(payment: Payment, at: datetime, window: timedelta) -> datetime | None:
    """When to ask next about a payment that has just been heard about; None when there is nothing more to learn."""
    if payment.state == states.CAPTURED:
        if payment.confirmed_at:
            return None
        if payment.confirm_misses < MISSES:
            return at + max(timedelta(seconds=CONFIRM_AFTER), window)
    if payment.state not in states.STILL_OPEN:
        ended = payment.ended_at or at
        return next((ended + timedelta(seconds=s) for s in AFTER_END if ended + timedelta(seconds=s) > at), None)
    if payment.cancel_requested_at or payment.state in (states.CREATED, states.UNKNOWN):
        return at + pick(WHILE_UNSURE, payment.checks)
    if payment.returned_at and at < payment.returned_at + window:
        return payment.returned_at + window  # what the buyer just did there shows only now
    if payment.shows_code:
        return at + pick(AT_THE_COUNTER, payment.checks)
    return at + pick(WHILE_OPEN, payment.checks)
