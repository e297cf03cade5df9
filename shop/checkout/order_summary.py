"""An order for other programs of its customer: state, amounts and current payment as JSON values."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from shop.checkout.order_status import OrderStatus
from shop.core.db import db
from shop.core.money import Money
from shop.payments.providers.types import RefundState
from shop.payments.records.models import Capture, Payment


def summary(status: OrderStatus) -> dict[str, Any]:
    """The order of `status`. Amounts are in minor units of the order's currency, times ISO 8601 in UTC. One statement.

    `paid` is all money that was received for the order, by captures of every allocation and store credit; `refunded`
    is what of it was refunded. So a duplicate payment counts in `paid` until the order has both in full.
    """
    order, payment = status.order, status.payment
    credit = order.credit_amount if order.paid_at else 0
    refunds = [refund for refund in status.refunds if refund.state == RefundState.DONE]
    refunded = sum(refund.money.amount for refund in refunds if refund.money.currency == order.currency)
    return {
        "number": order.number,
        "state": order.state,
        "status": status.key,
        "is_final": status.final,
        "total": _amount(order.total),
        "paid": _amount(Money(_captured(order.id, order.currency) + credit, order.currency)),
        "refunded": _amount(Money(refunded, order.currency)),
        "fulfilment": status.shipping and status.shipping.state,
        "pay_by": order.pay_by.isoformat() if order.ended_at is None and order.paid_at is None else None,
        "payment": payment
        and {
            "id": payment.id,
            "provider": payment.provider,
            "state": payment.state,
            "expires_at": payment.expires_at.isoformat() if payment.expires_at else None,
        },
    }


def _captured(order_id: int, currency: str) -> int:
    """Sum of the captures of an order in its currency."""
    captured = select(func.coalesce(func.sum(Capture.amount), 0)).join(Payment, Capture.payment_id == Payment.id)
    return int(db.session.scalar(captured.where(Payment.order_id == order_id, Capture.currency == currency)) or 0)


def _amount(money: Money) -> dict[str, Any]:
    return {"amount": money.amount, "currency": money.currency}
