"""Poll schedule, as tables of seconds."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from shop.payments.providers.types import PaymentState
from shop.payments.records import states

WHILE_OPEN = (10, 20, 30)
"""After the initiation, then between polls; the last one repeats. With every webhook lost, the page shows a capture
within 60 s.
"""
WHILE_UNSURE = (2, 3, 5, 10, 20, 30)
"""No response to the initiation, or a close that has not been confirmed."""
AT_THE_COUNTER = (300,)
"""Intervals while a store code waits to be paid."""
AFTER_END = (60, 600, 3600, 86400)
"""Intervals after a payment ended without money, because some acquirers report late captures in no other way, and after
queries have not shown a known capture.
"""
CONFIRM_AFTER = 30
"""After a capture, one poll to confirm that a query shows it; and another if it does not."""
WHILE_UNAVAILABLE = (2, 5, 10, 20, 30)
MISSES = 2


class Scheduled(Protocol):
    """Fields of a payment that decide its next poll."""

    @property
    def state(self) -> str: ...
    @property
    def checks(self) -> int: ...
    @property
    def ended_at(self) -> datetime | None: ...
    @property
    def returned_at(self) -> datetime | None: ...
    @property
    def cancel_requested_at(self) -> datetime | None: ...
    @property
    def confirmed_at(self) -> datetime | None: ...
    @property
    def confirm_misses(self) -> int: ...
    @property
    def shows_code(self) -> bool: ...


def pick(table: tuple[int, ...], index: int) -> timedelta:
    return timedelta(seconds=table[min(index, len(table) - 1)])


def after_report(payment: Scheduled, at: datetime, window: timedelta) -> datetime | None:
    """Time of the next poll of a payment after an update; None when no poll is needed."""
    if payment.state == PaymentState.CAPTURED:
        if payment.confirmed_at:
            return None
        if payment.confirm_misses < MISSES:
            return at + max(timedelta(seconds=CONFIRM_AFTER), window)
    if payment.state not in states.STILL_OPEN:
        ended = payment.ended_at or at
        return next((ended + timedelta(seconds=s) for s in AFTER_END if ended + timedelta(seconds=s) > at), None)
    if payment.cancel_requested_at or payment.state in (PaymentState.CREATED, PaymentState.UNKNOWN):
        return at + pick(WHILE_UNSURE, payment.checks)
    if payment.returned_at and at < payment.returned_at + window:
        return payment.returned_at + window  # from then on a query shows the customer's last action
    if payment.shows_code:
        return at + pick(AT_THE_COUNTER, payment.checks)
    return at + pick(WHILE_OPEN, payment.checks)
