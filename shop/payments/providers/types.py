"""States, kinds and outcomes that providers and the shop share. Their values are stored and must not change."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class PaymentState(StrEnum):
    """State of a payment."""

    CREATED = "CREATED"
    """The row is written; the provider has not been called."""
    UNKNOWN = "UNKNOWN"
    """The provider was called and did not respond."""
    OPEN = "OPEN"
    AUTHORIZED = "AUTHORIZED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    CAPTURED = "CAPTURED"


class EndReason(StrEnum):
    """Reason for a payment's end without money. An acquirer may report other reasons, which are stored as they are."""

    CUSTOMER = "customer"
    MERCHANT = "merchant"
    DECLINES = "declines"
    TIME = "time"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"
    NEVER_ARRIVED = "never_arrived"


class RefundState(StrEnum):
    """State of a refund. A provider reports PENDING, DONE or REJECTED."""

    REQUESTED = "REQUESTED"
    PENDING = "PENDING"
    UNKNOWN = "UNKNOWN"
    DONE = "DONE"
    REJECTED = "REJECTED"


class DisputeState(StrEnum):
    """State of a dispute."""

    OPEN = "OPEN"
    WON = "WON"
    LOST = "LOST"


class DisputeKind(StrEnum):
    """Kind of a dispute: a chargeback takes the money when it opens, an inquiry only asks."""

    CHARGEBACK = "chargeback"
    INQUIRY = "inquiry"


class ActionKind(StrEnum):
    """Next action of the customer: open a URL, post a form to it, scan it, or pay with a code at a store."""

    REDIRECT = "redirect"
    FORM_POST = "form_post"
    QR = "qr"
    STORE_CODE = "store_code"


class WebhookKind(StrEnum):
    """Subject of a webhook event."""

    PAYMENT = "payment"
    REFUND = "refund"
    DISPUTE = "dispute"
    OTHER = "other"


class Trust(StrEnum):
    """Trust in a webhook event.

    SIGNED: event id and time are under the signature; its content is applied. REPLAYABLE and UNSIGNED events, and a
    HINT (proven, but it says too little), only make the payment due for a poll.
    """

    SIGNED = "signed"
    REPLAYABLE = "replayable"
    UNSIGNED = "unsigned"
    HINT = "hint"


class Outcome(StrEnum):
    """Outcome of a payment update or a webhook event."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    STALE = "stale"
    ILLEGAL = "illegal"
    HINT = "hint"
    """It only made the payment due for a poll."""
    MISMATCH = "mismatch"
    """Money of another amount or currency was booked."""
    ORPHAN = "orphan"
    """We do not know its payment."""
    FOREIGN = "foreign"
    """It is about a payment of another merchant or system."""
    KEY_REUSED = "key_reused"
    """Another body came under a known event id."""
    BAD_SIGNATURE = "bad_signature"
    MALFORMED = "malformed"
    UNAVAILABLE = "unavailable"
    """It could not be stored; the acquirer has to send it again."""


_PRECEDENCE = (
    Outcome.DUPLICATE,
    Outcome.HINT,
    Outcome.STALE,
    Outcome.ILLEGAL,
    Outcome.APPLIED,
    Outcome.FOREIGN,
    Outcome.ORPHAN,
    Outcome.MISMATCH,
)
"""Outcomes that can come together; the last one counts."""


def decisive(outcomes: Iterable[str]) -> Outcome:
    """The outcome of an update or a webhook event that has several."""
    return _PRECEDENCE[max(map(_PRECEDENCE.index, outcomes))]
