"""Sample mails in memory, of each kind, for the page of the team in development. Nothing is stored or sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shop.core import clock
from shop.mail import compose
from shop.mail.compose import Content
from shop.mail.models import Mail
from shop.mail.states import MailKind
from shop.orders.models import Order
from shop.payments.calls.request import shop_url
from shop.web import dev_sample_orders as orders

_AMOUNT: Mapping[str, Any] = {"amount": 11800, "currency": "TWD"}
_WHEN = "2026-12-01T10:00:00+00:00"
_BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
_ALERT = {
    **{"alert": 7, "rule": "RULE_E", "title": "Captured amount or currency differs from the order"},
    "facts": ["Order: 7K3M-9QXT-2F", "Captured: NT$1,181", "Expected: NT$1,180"],
}
_RETURN: Mapping[str, Any] = {"return_no": f"{orders.NUMBER}-R1", "units": [["Kettle", 1]], "message": ""}
WITH_ORDER: Mapping[MailKind, str] = {
    MailKind.ORDER_PLACED: "waiting",
    MailKind.PAYMENT_RECEIVED: "paid",
    MailKind.STORE_CODE: "store_code",
    MailKind.PAYMENT_FAILED: "failed",
    MailKind.ORDER_EXPIRED: "expired",
    MailKind.ORDER_CANCELLED: "cancelled",
    MailKind.REFUND_SENT: "refunded",
    MailKind.REFUND_FAILED: "refund_pending",
    MailKind.LATE_PAYMENT: "late",
    MailKind.DUPLICATE_PAYMENT: "twice",
    MailKind.ORDER_SHIPPED: "paid-shipped",
    MailKind.RETURN_REQUESTED: "paid-shipped",
    MailKind.RETURN_ACCEPTED: "paid-return",
    MailKind.RETURN_DECLINED: "paid-return",
    MailKind.RETURN_RECEIVED: "paid-return",
}
"""Kinds about an order, and the sample of the order."""
SAMPLES: dict[str, Mapping[str, Any]] = {
    "order_placed": {},
    "order_placed-credit": {"order": "waiting-credit"},
    "payment_received": {},
    "payment_received-free": {"order": "paid-free"},
    "store_code": {"code": "LLL2612019844", "deadline": _WHEN},
    "payment_failed": {},
    "order_expired": {},
    "order_cancelled": {},
    "refund_sent": {**_AMOUNT, "destination": "provider"},
    "refund_sent-credit": {**_AMOUNT, "destination": "store_credit"},
    "refund_sent-bank": {**_AMOUNT, "destination": "bank"},
    "refund_failed": _AMOUNT,
    "late_payment": _AMOUNT,
    "duplicate_payment": _AMOUNT,
    "order_shipped": {},
    "order_shipped-part": {"order": "paid-part_shipped", "rest_follows": True},
    "return_requested": _RETURN,
    "return_accepted": _RETURN,
    "return_declined": _RETURN,
    "return_received": {**_RETURN, **_AMOUNT},
    "order_link": {},
    "new_device": {"user_agent": _BROWSER, "at": _WHEN},
    "verification": {},
    "password_reset": {},
    "password_changed": {"at": _WHEN},
    "email_change": {},
    "email_changed": {"at": _WHEN},
    "account_deleted": {"at": _WHEN},
    "unlock": {},
    "invitation": {},
    "link_identity": {},
    "identity_added": {"issuer": "https://login.example", "at": _WHEN},
    "alert": _ALERT,
}
"""The data of a mail, by its kind and a variant after a hyphen; `order` names another sample of the order."""


def kind_of(name: str) -> MailKind:
    """The kind of a sample."""
    return MailKind(name.partition("-")[0])


def content(name: str, locale: str) -> Content:
    """The rendered sample in a language. Raises KeyError for an unknown name."""
    data, kind = dict(SAMPLES[name]), kind_of(name)
    about = data.pop("order", WITH_ORDER.get(kind, ""))
    order: Order | None = orders.order_of(about, locale) if about else None
    mail = Mail(
        id="sample",
        kind=kind,
        subject=orders.NUMBER if order else "",
        recipient="may@example.com",
        language=locale,
        data=data,
        created_at=clock.now(),
    )
    links = {"account_link": f"{shop_url()}/account/sample", "history_link": f"{shop_url()}/orders/of/sample"}
    package = next(iter(orders.packages(about, locale)), None) if about else None
    return compose.rendered(mail, order, package=package, **links)
