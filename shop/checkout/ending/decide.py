"""Decide how an unpaid order ends. Pure: no database, no Flask, no clock.

After the request to cancel or the payment deadline, open payments are first closed at their acquirer: money that
arrives before the end still pays the order. An order never ends while one of its payments may still be captured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shop.core.errors import Refusal
from shop.core.sentences import sentence
from shop.orders import states
from shop.orders.states import OrderState, Reason


@dataclass(frozen=True)
class PaymentState:
    """A payment of the order. `is_open` means that it may still be captured."""

    id: str
    is_open: bool
    cancel_requested_at: datetime | None = None


@dataclass(frozen=True)
class Snapshot:
    """The order and its payments, read under their locks. `review_since` is set while captured money that does not
    match the order is reviewed.
    """

    state: OrderState
    pay_by: datetime
    payments: Sequence[PaymentState] = ()
    cancel_requested_at: datetime | None = None
    review_since: datetime | None = None


class Waiting(StrEnum):
    """Reason for not ending an order now."""

    NOT_DUE = "not_due"
    UNDER_REVIEW = "under_review"
    CHANGED = "changed"
    """Another transaction changed the order first; the next run decides again."""


@dataclass(frozen=True)
class Ended:
    """No action: the order has ended, paid or unpaid."""


@dataclass(frozen=True)
class Wait:
    """No action now."""

    reason: Waiting


@dataclass(frozen=True)
class ClosePayments:
    """Close these payments at the acquirer before the order ends."""

    payment_ids: tuple[str, ...]


@dataclass(frozen=True)
class End:
    """End the order now: transition to `target` and undo the steps of its checkout."""

    target: OrderState
    because: Reason


@dataclass(frozen=True)
class RequestCancellation:
    """Record the request to cancel, on the order if `is_first`, and make these payments due to be closed."""

    is_first: bool
    requested_at: datetime
    payment_ids: tuple[str, ...]


Decision = Ended | Wait | ClosePayments | End


def decide(seen: Snapshot, now: datetime) -> Decision:
    """Return the next step of an order that may have to end. A review of mismatched money suspends the payment
    deadline. It delays the end of a cancelled order, but not the closing of its payments.
    """
    if seen.state not in states.PAYABLE:
        return Ended()
    if seen.cancel_requested_at is None:
        if seen.review_since is not None:
            return Wait(Waiting.UNDER_REVIEW)
        if seen.pay_by > now:
            return Wait(Waiting.NOT_DUE)
    still_open = tuple(payment.id for payment in seen.payments if payment.is_open)
    if still_open:
        return ClosePayments(still_open)
    if seen.review_since is not None:
        return Wait(Waiting.UNDER_REVIEW)
    if seen.cancel_requested_at is not None:
        return End(OrderState.CANCELLED, Reason.CANCELLED)
    return End(OrderState.EXPIRED, Reason.TIME_OVER)


def decide_cancellation(
    seen: Snapshot, now: datetime, *, even_under_review: bool = False
) -> RequestCancellation | Ended | Refusal:
    """Return the changes of a request to cancel the order. Refused with `under_review` while money is reviewed, unless
    the caller has refunded that money.
    """
    if seen.state not in states.PAYABLE:
        return Ended()
    if seen.review_since is not None and not even_under_review:
        message = sentence("We are checking a payment for this order, so it cannot be cancelled right now.")
        return Refusal("under_review", message)
    at = seen.cancel_requested_at or now
    to_close = (p.id for p in seen.payments if p.is_open and p.cancel_requested_at is None)
    return RequestCancellation(seen.cancel_requested_at is None, at, tuple(to_close))
