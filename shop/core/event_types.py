"""Typed events: one frozen dataclass for each kind and stream.

Keys are in snake_case. A field whose default is None is left out while it is None. An incompatible change raises the
`SCHEMA_VERSION`; new fields do not. A class without `KIND` holds the fields that several kinds share.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, ClassVar

from shop.core.actor import Actor


class Stream(StrEnum):
    """Redis streams of events. The values are stored."""

    ORDERS = "orders.events.v1"
    PAYMENTS = "payments.events.v1"
    ALERTS = "alerts.order_payment_inconsistency.v1"
    OPERATIONS = "alerts.operations.v1"
    ACCOUNTS = "accounts.events.v1"
    ALERT_CHANGES = "alerts.changes.v1"


class EventKind(StrEnum):
    """Kind of an event of an order, a shipment, a return, a payment, a refund, a dispute, a settlement, an account
    or an     alert. The values are stored."""

    ORDER_PLACED = "order.placed"
    ORDER_MOVED = "order.moved"
    ORDER_CANCEL_REQUESTED = "order.cancel_requested"
    ORDER_REVIEW_ENDED = "order.review_ended"
    ORDER_CLAIMED = "order.claimed"
    ORDER_ADDRESS_CHANGED = "order.address_changed"
    SHIPMENT_PACKED = "shipment.packed"
    SHIPMENT_SHIPPED = "shipment.shipped"
    SHIPMENT_CANCELLED = "shipment.cancelled"
    SHIPMENT_TRACKING_CHANGED = "shipment.tracking_changed"
    SHIPMENT_LINES_WITHDRAWN = "shipment.lines_withdrawn"
    RETURN_REQUESTED = "return.requested"
    RETURN_ACCEPTED = "return.accepted"
    RETURN_DECLINED = "return.declined"
    RETURN_WITHDRAWN = "return.withdrawn"
    RETURN_RECEIVED = "return.received"
    RETURN_CLOSED = "return.closed"
    PAYMENT_VISITED = "payment.visited"
    PAYMENT_UNKNOWN = "payment.unknown"
    PAYMENT_OPEN = "payment.open"
    PAYMENT_AUTHORIZED = "payment.authorized"
    PAYMENT_FAILED = "payment.failed"
    PAYMENT_CANCELLED = "payment.cancelled"
    PAYMENT_EXPIRED = "payment.expired"
    PAYMENT_DECLINED = "payment.declined"
    PAYMENT_CODE_SHOWN = "payment.code_shown"
    PAYMENT_CAPTURED = "payment.captured"
    REFUND_REQUESTED = "refund.requested"
    REFUND_PENDING = "refund.pending"
    REFUND_UNKNOWN = "refund.unknown"
    REFUND_DONE = "refund.done"
    REFUND_REJECTED = "refund.rejected"
    REFUND_NOT_BOOKED = "refund.not_booked"
    DISPUTE_OPEN = "dispute.open"
    DISPUTE_WON = "dispute.won"
    DISPUTE_LOST = "dispute.lost"
    SETTLEMENT_DISAGREES = "settlement.disagrees"
    ACCOUNT_NEW_DEVICE = "account.new_device"
    ACCOUNT_LINK_MADE = "account.link_made"
    ACCOUNT_PASSWORD_CHANGED = "account.password_changed"  # noqa: S105 - a name
    ACCOUNT_IDENTITY_ADDED = "account.identity_added"
    ACCOUNT_EMAIL_CHANGED = "account.email_changed"
    ALERT_RAISED = "alert.raised"
    ALERT_ACKNOWLEDGED = "alert.acknowledged"
    ALERT_RESOLVED = "alert.resolved"
    ALERT_WAITS = "alert.waits"


@dataclass(frozen=True)
class Event:
    """Base of all events."""

    KIND: ClassVar[EventKind]
    STREAM: ClassVar[Stream]
    SCHEMA_VERSION: ClassVar[int] = 1

    def data(self) -> dict[str, Any]:
        """The fields, without those that are left out."""
        return {one.name: getattr(self, one.name) for one in fields(self) if not self._is_left_out(one.name)}

    def payload(self) -> dict[str, Any]:
        """Return the payload for a stream."""
        return {"schema_version": self.SCHEMA_VERSION, **self.data()}

    def _is_left_out(self, name: str) -> bool:
        return getattr(self, name) is None and getattr(type(self), name, "required") is None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """An event to be added to an order's history, and who caused it."""

    event: Event
    actor: Actor


# --- orders ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OrderPlaced(Event):
    KIND = EventKind.ORDER_PLACED
    STREAM = Stream.ORDERS

    target: str


@dataclass(frozen=True)
class OrderMoved(Event):
    """`refunded` is the refunded sum in minor units; `amount` is the total that was accepted instead of the price."""

    KIND = EventKind.ORDER_MOVED
    STREAM = Stream.ORDERS

    source: str
    target: str
    because: str
    payment: str | None = None
    refunded: int | None = None
    amount: int | None = None
    note: str | None = None


@dataclass(frozen=True)
class OrderCancelRequested(Event):
    KIND = EventKind.ORDER_CANCEL_REQUESTED
    STREAM = Stream.ORDERS


@dataclass(frozen=True)
class OrderReviewEnded(Event):
    KIND = EventKind.ORDER_REVIEW_ENDED
    STREAM = Stream.ORDERS


@dataclass(frozen=True)
class OrderClaimed(Event):
    """The order of a guest was added to an account with the same, verified address; the actor is its owner."""

    KIND = EventKind.ORDER_CLAIMED
    STREAM = Stream.ORDERS


@dataclass(frozen=True)
class OrderAddressChanged(Event):
    """The delivery address was changed before packing; the event has no address."""

    KIND = EventKind.ORDER_ADDRESS_CHANGED
    STREAM = Stream.ORDERS


# --- returns ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReturnChanged(Event):
    """`return_no` is the reference of the return, such as `7K3M-9QXT-2F-R1`."""

    STREAM = Stream.ORDERS

    return_no: str


@dataclass(frozen=True)
class ReturnRequested(ReturnChanged):
    KIND = EventKind.RETURN_REQUESTED

    why: str


@dataclass(frozen=True)
class ReturnAccepted(ReturnChanged):
    KIND = EventKind.RETURN_ACCEPTED


@dataclass(frozen=True)
class ReturnDeclined(ReturnChanged):
    KIND = EventKind.RETURN_DECLINED


@dataclass(frozen=True)
class ReturnWithdrawn(ReturnChanged):
    KIND = EventKind.RETURN_WITHDRAWN


@dataclass(frozen=True)
class ReturnReceived(ReturnChanged):
    """`amount` is what the received units cost, in minor units; it is refunded when staff request that."""

    KIND = EventKind.RETURN_RECEIVED

    amount: int
    currency: str


@dataclass(frozen=True)
class ReturnClosed(ReturnChanged):
    """`amount` is the sum of the refunds that were requested, in minor units."""

    KIND = EventKind.RETURN_CLOSED

    amount: int
    currency: str


# --- shipments --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ShipmentChanged(Event):
    """A package of the order changed: `shipment` is its number in the order, `units` is how much it contains,
    `fulfilment` the state of the order's fulfilment afterwards. Events have no tracking number, which is personal.
    """

    STREAM = Stream.ORDERS

    shipment: int
    units: int
    fulfilment: str


@dataclass(frozen=True)
class ShipmentPacked(ShipmentChanged):
    KIND = EventKind.SHIPMENT_PACKED


@dataclass(frozen=True)
class ShipmentShipped(ShipmentChanged):
    KIND = EventKind.SHIPMENT_SHIPPED


@dataclass(frozen=True)
class ShipmentCancelled(ShipmentChanged):
    KIND = EventKind.SHIPMENT_CANCELLED


@dataclass(frozen=True)
class ShipmentTrackingChanged(ShipmentChanged):
    """Staff have corrected the carrier or the tracking number of a package that had left."""

    KIND = EventKind.SHIPMENT_TRACKING_CHANGED


@dataclass(frozen=True)
class ShipmentLinesWithdrawn(Event):
    """Staff have changed the units that are not shipped; `units` are all of the order."""

    KIND = EventKind.SHIPMENT_LINES_WITHDRAWN
    STREAM = Stream.ORDERS

    units: int
    fulfilment: str


# --- payments --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PaymentVisited(Event):
    KIND = EventKind.PAYMENT_VISITED
    STREAM = Stream.ORDERS

    payment: str


@dataclass(frozen=True)
class PaymentMoved(Event):
    """A payment changed its state; `before` is the earlier one."""

    STREAM = Stream.PAYMENTS

    payment: str
    before: str


@dataclass(frozen=True)
class PaymentUnknown(PaymentMoved):
    KIND = EventKind.PAYMENT_UNKNOWN


@dataclass(frozen=True)
class PaymentOpen(PaymentMoved):
    KIND = EventKind.PAYMENT_OPEN


@dataclass(frozen=True)
class PaymentAuthorized(PaymentMoved):
    KIND = EventKind.PAYMENT_AUTHORIZED


@dataclass(frozen=True)
class PaymentEnded(PaymentMoved):
    """A payment ended without a capture. `pay_by` is the order's new deadline."""

    pay_by: str | None = None


@dataclass(frozen=True)
class PaymentFailed(PaymentEnded):
    KIND = EventKind.PAYMENT_FAILED


@dataclass(frozen=True)
class PaymentCancelled(PaymentEnded):
    KIND = EventKind.PAYMENT_CANCELLED


@dataclass(frozen=True)
class PaymentExpired(PaymentEnded):
    KIND = EventKind.PAYMENT_EXPIRED


@dataclass(frozen=True)
class PaymentDeclined(Event):
    KIND = EventKind.PAYMENT_DECLINED
    STREAM = Stream.PAYMENTS

    payment: str
    code: str


@dataclass(frozen=True)
class PaymentCodeShown(Event):
    """`pay_by` is the order's new deadline."""

    KIND = EventKind.PAYMENT_CODE_SHOWN
    STREAM = Stream.PAYMENTS

    payment: str
    deadline: str
    pay_by: str | None = None


@dataclass(frozen=True)
class PaymentCaptured(Event):
    """`method` is the provider's word for what was paid with, if it is known with the capture."""

    KIND = EventKind.PAYMENT_CAPTURED
    STREAM = Stream.PAYMENTS
    SCHEMA_VERSION = 2

    payment: str
    amount: int
    currency: str
    allocation: str
    method: str | None = None


# --- refunds, disputes, settlement -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class RefundChanged(Event):
    """`why` is the kind of the refund; for a refund that is not booked, the reason."""

    STREAM = Stream.PAYMENTS
    SCHEMA_VERSION = 2

    refund: str
    amount: int
    currency: str
    why: str


@dataclass(frozen=True)
class RefundRequested(RefundChanged):
    KIND = EventKind.REFUND_REQUESTED


@dataclass(frozen=True)
class RefundPending(RefundChanged):
    KIND = EventKind.REFUND_PENDING


@dataclass(frozen=True)
class RefundUnknown(RefundChanged):
    KIND = EventKind.REFUND_UNKNOWN


@dataclass(frozen=True)
class RefundDone(RefundChanged):
    KIND = EventKind.REFUND_DONE


@dataclass(frozen=True)
class RefundRejected(RefundChanged):
    KIND = EventKind.REFUND_REJECTED


@dataclass(frozen=True)
class RefundNotBooked(RefundChanged):
    KIND = EventKind.REFUND_NOT_BOOKED


@dataclass(frozen=True)
class DisputeChanged(Event):
    """`dispute` is the acquirer's id; `disputed` is chargeback or inquiry."""

    STREAM = Stream.PAYMENTS

    dispute: str
    disputed: str
    amount: int
    currency: str
    reason: str


@dataclass(frozen=True)
class DisputeOpen(DisputeChanged):
    KIND = EventKind.DISPUTE_OPEN


@dataclass(frozen=True)
class DisputeWon(DisputeChanged):
    KIND = EventKind.DISPUTE_WON


@dataclass(frozen=True)
class DisputeLost(DisputeChanged):
    KIND = EventKind.DISPUTE_LOST


@dataclass(frozen=True)
class SettlementDisagrees(Event):
    """`ours` and `theirs` are minor units; None on the side that has no amount."""

    KIND = EventKind.SETTLEMENT_DISAGREES
    STREAM = Stream.PAYMENTS

    provider: str
    day: str
    cause: str
    about: str
    ours: int | None
    theirs: int | None
    currency: str


# --- accounts --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AccountNewDevice(Event):
    """A browser that is not a known device of the account has signed in. `sign_in` is a random id of the event,
    `language` that of the page.
    """

    KIND = EventKind.ACCOUNT_NEW_DEVICE
    STREAM = Stream.ACCOUNTS

    user_id: int
    sign_in: str
    user_agent: str
    at: str
    language: str | None = None


@dataclass(frozen=True)
class AccountLinkMade(Event):
    """A link for an account is to be mailed. `link` is the number of its row, which grants nothing."""

    KIND = EventKind.ACCOUNT_LINK_MADE
    STREAM = Stream.ACCOUNTS

    link: int
    purpose: str


@dataclass(frozen=True)
class AccountPasswordChanged(Event):
    """An account has a new password. `change` is a random id of the event, `language` that of the page."""

    KIND = EventKind.ACCOUNT_PASSWORD_CHANGED
    STREAM = Stream.ACCOUNTS

    user_id: int
    change: str
    at: str
    language: str


@dataclass(frozen=True)
class AccountIdentityAdded(Event):
    """An account has one more identity. `change` is a random id of the event, `issuer` the address of the issuer,
    `language` that of the page.
    """

    KIND = EventKind.ACCOUNT_IDENTITY_ADDED
    STREAM = Stream.ACCOUNTS

    user_id: int
    change: str
    issuer: str
    at: str
    language: str


@dataclass(frozen=True)
class AccountEmailChanged(Event):
    """An account has a new address, by a mailed link. `link` is the number of its row, which has the former address."""

    KIND = EventKind.ACCOUNT_EMAIL_CHANGED
    STREAM = Stream.ACCOUNTS

    user_id: int
    link: int
    at: str
