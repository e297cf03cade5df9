"""Enumerations of the shop's own payment records. Their values are stored and must not change."""

from __future__ import annotations

from enum import StrEnum


class Source(StrEnum):
    """Source of an update of a payment, a refund or a dispute."""

    WEBHOOK = "webhook"
    POLL = "poll"
    RETURN = "return"
    """The customer came back from the acquirer's page."""
    VIEW = "view"
    """The order page was open."""
    CLOSING = "closing"
    """The query before an order ends."""
    START = "start"
    """The response to the call that initiated the payment."""
    STAFF = "staff"
    SETTLEMENT_FILE = "settlement file"


class Allocation(StrEnum):
    """Allocation of a capture."""

    PAYS_ORDER = "pays_order"
    DUPLICATE = "duplicate"
    """The order was paid already."""
    LATE = "late"
    """The order had ended."""
    MISMATCH = "mismatch"
    """Amount or currency differs."""


REFUNDED_AUTOMATICALLY = (Allocation.DUPLICATE, Allocation.LATE)
"""Captures with these allocations pay for nothing and are refunded automatically."""


class ShortfallState(StrEnum):
    """State of a request to accept less than the price."""

    REQUESTED = "REQUESTED"
    APPROVED = "APPROVED"
    DECLINED = "DECLINED"


class RefundKind(StrEnum):
    """Reason for creating a refund. LATE, DUPLICATE and MISMATCH name the allocation of the capture."""

    CUSTOMER = "customer"
    LATE = "late"
    DUPLICATE = "duplicate"
    MISMATCH = "mismatch"
    OUTSIDE = "outside"
    """It was made at the acquirer, not by the shop."""


class RefundDestination(StrEnum):
    """Destination of a refund: back through the acquirer, to the customer's store credit, or to the customer's bank
    account, sent by staff from ours.
    """

    PROVIDER = "provider"
    STORE_CREDIT = "store_credit"
    BANK = "bank"
