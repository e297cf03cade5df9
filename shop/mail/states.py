"""Kinds and states of mails. The values are stored and must not change."""

from __future__ import annotations

from enum import StrEnum


class MailKind(StrEnum):
    """Kind of a mail. Its template is `templates/mail/<kind>.html`."""

    ORDER_PLACED = "order_placed"
    PAYMENT_RECEIVED = "payment_received"
    STORE_CODE = "store_code"
    PAYMENT_FAILED = "payment_failed"
    ORDER_EXPIRED = "order_expired"
    ORDER_CANCELLED = "order_cancelled"
    REFUND_SENT = "refund_sent"
    REFUND_FAILED = "refund_failed"
    LATE_PAYMENT = "late_payment"
    DUPLICATE_PAYMENT = "duplicate_payment"
    ORDER_SHIPPED = "order_shipped"
    RETURN_REQUESTED = "return_requested"
    RETURN_ACCEPTED = "return_accepted"
    RETURN_DECLINED = "return_declined"
    RETURN_RECEIVED = "return_received"
    ORDER_LINK = "order_link"
    NEW_DEVICE = "new_device"
    VERIFICATION = "verification"
    PASSWORD_RESET = "password_reset"  # noqa: S105 - a name
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a name
    EMAIL_CHANGE = "email_change"
    EMAIL_CHANGED = "email_changed"
    UNLOCK = "unlock"
    INVITATION = "invitation"
    LINK_IDENTITY = "link_identity"
    IDENTITY_ADDED = "identity_added"
    ACCOUNT_DELETED = "account_deleted"
    ALERT = "alert"


class MailState(StrEnum):
    """State of a mail. QUEUED mails are attempted when they are due; the others are final until retried or resent."""

    QUEUED = "QUEUED"
    SENT = "SENT"
    FAILED = "FAILED"
