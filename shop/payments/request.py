"""What a provider is told about a payment, and the addresses at which it reaches us."""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app
from sqlalchemy import bindparam, select

from shop.core.db import db
from shop.orders.models import Order
from shop.payments.models import Payment
from shop.payments.provider import PaymentRequest
from shop.payments.states import NEVER_OPENED

_ASKED = (
    select(Payment, Order.number, Order.token, Order.locale, Order.pay_by)
    .join(Order, Order.id == Payment.order_id)
    .where(Payment.id == bindparam("payment"))
)
_FRESH = {"populate_existing": True}


@dataclass(frozen=True)
class Asked:
    """A payment as it was when we turned to its provider, free of the database."""

    request: PaymentRequest
    provider: str
    state: str
    order_id: int
    closing: bool
    return_url: str


def load(payment_id: str) -> Asked | None:
    """Everything that a call needs; None for an unknown payment. Ends its own read transaction."""
    row = db.session.execute(_ASKED, {"payment": payment_id}, execution_options=_FRESH).one_or_none()
    if row is None:
        return None
    payment: Payment = row.Payment
    request = PaymentRequest(
        payment.id,
        payment.money,
        f"Settled order {row.number}",
        row.locale,
        row.pay_by,
        dict(payment.provider_data),
        payment.created_at,
    )
    asked = Asked(
        request=request,
        provider=payment.provider,
        state=payment.state,
        order_id=payment.order_id,
        closing=payment.cancel_requested_at is not None and (payment.is_open or payment.end_reason in NEVER_OPENED),
        return_url=f"{shop_url()}/orders/{row.token}/return",
    )
    db.session.rollback()
    return asked


def shop_url() -> str:
    return str(current_app.config["SHOP_URL"]).rstrip("/")


def webhook_url(provider: str) -> str:
    """Where the provider tells us."""
    return f"{shop_url()}/webhooks/{provider}"
