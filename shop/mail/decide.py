"""Decide which mails an event causes. Pure: a function of the published event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from shop.accounts.decide import LinkPurpose
from shop.core.event_types import EventKind
from shop.mail.states import MailKind
from shop.orders.fulfilment_states import FulfilmentState
from shop.orders.states import OrderState, Reason
from shop.payments.records.types import RefundKind


class Audience(StrEnum):
    """Recipient of a mail."""

    CUSTOMER = "customer"
    """The address of the order."""
    ACCOUNT = "account"
    LINK = "link"
    """The address that a link of an account is sent to; without one there is no mail."""
    FORMER_ADDRESS = "former address"
    """The address that an account had when a link was made."""


@dataclass(frozen=True)
class Demand:
    """A mail that an event causes. (`subject`, `event`, `kind`) identifies it."""

    kind: MailKind
    subject: str
    event: str
    audience: Audience = Audience.CUSTOMER
    data: Mapping[str, Any] = field(default_factory=dict)


BY_TARGET: Mapping[str, MailKind] = {
    OrderState.PAID: MailKind.PAYMENT_RECEIVED,
    OrderState.EXPIRED: MailKind.ORDER_EXPIRED,
    OrderState.CANCELLED: MailKind.ORDER_CANCELLED,
}
"""Mails about transitions of orders, by the new state; see `mails_for` for the exception."""
AUTOMATIC_REFUNDS: Mapping[str, MailKind] = {
    RefundKind.LATE: MailKind.LATE_PAYMENT,
    RefundKind.DUPLICATE: MailKind.DUPLICATE_PAYMENT,
}
"""Mails about requested refunds, by kind of refund."""
PLAIN: Mapping[str, MailKind] = {
    EventKind.ORDER_PLACED: MailKind.ORDER_PLACED,
    EventKind.PAYMENT_FAILED: MailKind.PAYMENT_FAILED,
    EventKind.PAYMENT_CODE_SHOWN: MailKind.STORE_CODE,
    EventKind.REFUND_DONE: MailKind.REFUND_SENT,
    EventKind.REFUND_REJECTED: MailKind.REFUND_FAILED,
    EventKind.SHIPMENT_SHIPPED: MailKind.ORDER_SHIPPED,
    EventKind.RETURN_REQUESTED: MailKind.RETURN_REQUESTED,
    EventKind.RETURN_ACCEPTED: MailKind.RETURN_ACCEPTED,
    EventKind.RETURN_DECLINED: MailKind.RETURN_DECLINED,
    EventKind.RETURN_RECEIVED: MailKind.RETURN_RECEIVED,
}
"""Mails that each event of a kind about orders causes."""
_LINKS = {
    LinkPurpose.VERIFY: MailKind.VERIFICATION,
    LinkPurpose.RESET: MailKind.PASSWORD_RESET,
    LinkPurpose.CHANGE_EMAIL: MailKind.EMAIL_CHANGE,
    LinkPurpose.UNLOCK: MailKind.UNLOCK,
    LinkPurpose.INVITATION: MailKind.INVITATION,
    LinkPurpose.LINK_IDENTITY: MailKind.LINK_IDENTITY,
}
_DATA = ("payment", "deadline", "refund", "amount", "currency", "shipment", "return_no")
"""Fields of events that mails use."""


def _of_new_device(event: Mapping[str, Any]) -> Demand:
    data = {name: event[name] for name in ("user_id", "user_agent", "at", "language") if name in event}
    return Demand(MailKind.NEW_DEVICE, "", event["sign_in"], Audience.ACCOUNT, data)


def _of_link(event: Mapping[str, Any]) -> Demand:
    link = event["link"]
    return Demand(_LINKS[event["purpose"]], "", f"link-{link}", Audience.LINK, {"link": link})


def _of_new_password(event: Mapping[str, Any]) -> Demand:
    data = {name: event[name] for name in ("user_id", "at", "language")}
    return Demand(MailKind.PASSWORD_CHANGED, "", event["change"], Audience.ACCOUNT, data)


def _of_new_identity(event: Mapping[str, Any]) -> Demand:
    data = {name: event[name] for name in ("user_id", "issuer", "at", "language")}
    return Demand(MailKind.IDENTITY_ADDED, "", event["change"], Audience.ACCOUNT, data)


def _of_new_address(event: Mapping[str, Any]) -> Demand:
    data = {name: event[name] for name in ("link", "at")}
    return Demand(MailKind.EMAIL_CHANGED, "", f"link-{event['link']}", Audience.FORMER_ADDRESS, data)


_OF_ACCOUNTS: Mapping[str, Callable[[Mapping[str, Any]], Demand]] = {
    EventKind.ACCOUNT_NEW_DEVICE: _of_new_device,
    EventKind.ACCOUNT_LINK_MADE: _of_link,
    EventKind.ACCOUNT_PASSWORD_CHANGED: _of_new_password,
    EventKind.ACCOUNT_IDENTITY_ADDED: _of_new_identity,
    EventKind.ACCOUNT_EMAIL_CHANGED: _of_new_address,
}


def mails_for(kind: str, event: Mapping[str, Any]) -> tuple[Demand, ...]:
    """The mails that an event causes. `event` is its published payload.

    An order that is PAID again because a refund has failed later causes no second mail about its payment.
    """
    if kind in _OF_ACCOUNTS:
        return (_OF_ACCOUNTS[kind](event),)
    mail = _of_order(kind, event)
    if mail is None:
        return ()
    data = {name: event[name] for name in _DATA if name in event}
    if mail is MailKind.ORDER_SHIPPED:
        data["rest_follows"] = event["fulfilment"] == FulfilmentState.PARTLY_SHIPPED
    return (Demand(mail, event["order_no"], str(event["seq"]), data=data),)


def _of_order(kind: str, event: Mapping[str, Any]) -> MailKind | None:
    if kind == EventKind.ORDER_MOVED:
        is_again = event["because"] == Reason.REFUND_FAILED_LATER
        return None if is_again else BY_TARGET.get(event["target"])
    if kind == EventKind.REFUND_REQUESTED:
        return AUTOMATIC_REFUNDS.get(event["why"])
    return PLAIN.get(kind)
