"""Limits on payment attempts per order: a maximum, and a growing pause.

Each abandoned attempt costs the acquirer a session and the shop a call, and one page can cause many.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from flask import current_app

from shop.core.errors import Refusal
from shop.core.sentences import sentence, sentences
from shop.payments.providers.types import EndReason
from shop.payments.records.models import Payment

PAUSES = (0, 0, 0, 5, 15, 30, 60)
"""Seconds between initiating one payment and the next, by the number of payments; the last value repeats."""


class TooSoon(Refusal):
    """The next payment of an order cannot be initiated yet; `retry_after` is in seconds."""

    def __init__(self, number: int, retry_after: int) -> None:
        message = sentences(
            "You have tried to pay for this order %(tried)d times. Wait %(num)d second, then try again. "
            "Your items are still reserved.",
            "You have tried to pay for this order %(tried)d times. Wait %(num)d seconds, then try again. "
            "Your items are still reserved.",
            retry_after,
            tried=number,
        )
        super().__init__("too_soon", message)
        self.retry_after = retry_after


class TooManyPayments(Refusal):
    """The order has reached its maximum number of payments."""

    def __init__(self, number: int) -> None:
        message = sentence(
            "You have tried to pay for this order %(tried)d times, which is the limit. "
            "Cancel the order and place a new one.",
            tried=number,
        )
        super().__init__("too_many_payments", message)


def _counts(payment: Payment) -> bool:
    """True if a payment was started; False if the acquirer could not be reached."""
    return payment.end_reason != EndReason.UNAVAILABLE


def number(payments: Sequence[Payment]) -> int:
    """Number of an order's payments that count for the limit and for the pause."""
    return sum(map(_counts, payments))


def used_up(payments: Sequence[Payment]) -> bool:
    """True if no more payments may be started for the order with these payments."""
    return number(payments) >= int(current_app.config["PAYMENTS_PER_ORDER"])


def check(payments: Sequence[Payment], at: datetime) -> None:
    """Refuse another payment beside these of an order. Raises TooManyPayments or TooSoon."""
    if used_up(payments):
        raise TooManyPayments(number(payments))
    counted = [payment for payment in payments if _counts(payment)]
    if counted:
        last = max(payment.created_at for payment in counted)
        left = last + timedelta(seconds=PAUSES[min(len(counted), len(PAUSES) - 1)]) - at
        if left > timedelta(0):
            raise TooSoon(len(counted), math.ceil(left.total_seconds()))
