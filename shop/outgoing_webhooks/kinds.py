"""Types of outgoing events, and states of endpoints and deliveries. The values are stored and must not change."""

from __future__ import annotations

from enum import StrEnum


class EventType(StrEnum):
    """Public type of an event. Receivers rely on the names."""

    ORDER_CREATED = "order.created"
    ORDER_PAID = "order.paid"
    ORDER_EXPIRED = "order.expired"
    ORDER_CANCELLED = "order.cancelled"
    ORDER_SHIPPED = "order.shipped"
    PAYMENT_CAPTURED = "payment.captured"
    PAYMENT_FAILED = "payment.failed"
    REFUND_SUCCEEDED = "refund.succeeded"
    REFUND_FAILED = "refund.failed"
    DISPUTE_OPENED = "dispute.opened"
    DISPUTE_CLOSED = "dispute.closed"


TEST = "endpoint.test"
"""Type of the event that staff send to try an endpoint. Every endpoint accepts it."""


class DeliveryState(StrEnum):
    """State of a delivery. QUEUED ones are attempted when they are due; the others are final until they are resent."""

    QUEUED = "QUEUED"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"


class DisabledBecause(StrEnum):
    """Reason for which an endpoint is disabled."""

    STAFF = "staff"
    GONE = "gone"
    """It answered 410."""
    FAILING = "failing"
    """No delivery has succeeded for `decide.FAILING_FOR`."""
