"""Data of a payment for its provider, and the addresses at which the provider reaches us."""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app
from sqlalchemy import bindparam, select

from shop.core.db import db
from shop.orders import links
from shop.orders.models import Order
from shop.payments.providers.interface import PaymentRequest
from shop.payments.providers.types import PaymentState
from shop.payments.records.models import Payment
from shop.payments.records.states import NEVER_OPENED

_REQUEST = (
    select(Payment, Order.number, Order.token, Order.locale, Order.pay_by)
    .join(Order, Order.id == Payment.order_id)
    .where(Payment.id == bindparam("payment"))
)
_FRESH = {"populate_existing": True}


@dataclass(frozen=True)
class LoadedPayment:
    """A payment as loaded before the call to its provider, detached from the database."""

    request: PaymentRequest
    provider: str
    state: PaymentState
    order_id: int
    closing: bool
    return_url: str


def load(payment_id: str) -> LoadedPayment | None:
    """The data of a payment that a call needs; None for an unknown payment. Ends its own read transaction."""
    row = db.session.execute(_REQUEST, {"payment": payment_id}, execution_options=_FRESH).one_or_none()
    if row is None:
        return None
    payment: Payment = row.Payment
    request = PaymentRequest(
        payment.id,
        payment.money,
        description(row.number),
        row.locale,
        row.pay_by,
        dict(payment.provider_data),
        payment.created_at,
    )
    loaded = LoadedPayment(
        request=request,
        provider=payment.provider,
        state=payment.state,
        order_id=payment.order_id,
        closing=payment.cancel_requested_at is not None and (payment.is_open or payment.end_reason in NEVER_OPENED),
        return_url=return_url(row.number, row.token),
    )
    db.session.rollback()
    return loaded


def description(order_number: str) -> str:
    """Description of the payment on the acquirer's page."""
    return f"Settled order {order_number}"


def return_url(order_number: str, order_token: str) -> str:
    """URL to which the acquirer returns the customer."""
    return f"{shop_url()}/return/{links.return_token(order_number, order_token)}"


def shop_url() -> str:
    return str(current_app.config["SHOP_URL"]).rstrip("/")


def webhook_url(provider: str) -> str:
    """URL of the provider's webhooks."""
    return f"{shop_url()}/webhooks/{provider}"
