"""Due rows of an order, for its next automatic steps."""

from __future__ import annotations

from sqlalchemy import select

from shop.checkout.models import Saga
from shop.core.db import db
from shop.explain.next_step import DueMail, DuePayment, DueRefund, DueRows
from shop.mail.models import Mail
from shop.orders.models import Order
from shop.payments.providers import registry
from shop.payments.records.models import Payment, ProviderHealth, Refund


def load(order: Order) -> DueRows:
    """The order's rows that the clock will find, and its open payments."""
    return DueRows(
        state=order.state,
        pay_by=order.pay_by,
        cancel_requested_at=order.cancel_requested_at,
        review_since=order.review_since,
        resumes_at=db.session.scalar(select(Saga.due_at).where(Saga.order_id == order.id)),
        payments=_payments(order.id),
        refunds=_refunds(order.id),
        mails=_mails(order.id),
    )


def _payments(order_id: int) -> list[DuePayment]:
    query = select(Payment, ProviderHealth.paused_until).where(Payment.order_id == order_id).order_by(Payment.id)
    rows = db.session.execute(query.outerjoin(ProviderHealth, ProviderHealth.provider == Payment.provider))
    return [
        DuePayment(
            payment.id,
            registry.label(payment.provider),
            payment.state,
            payment.next_check_at,
            payment.cancel_requested_at,
            paused_until,
        )
        for payment, paused_until in rows
    ]


def _refunds(order_id: int) -> list[DueRefund]:
    due = (Refund.order_id == order_id, Refund.next_check_at.is_not(None))
    query = select(Refund, Payment.provider).outerjoin(Payment, Payment.id == Refund.payment_id).where(*due)
    return [
        DueRefund(
            refund.id,
            registry.label(provider) if provider else "store credit",
            refund.money.with_code(),
            refund.state,
            refund.kind,
            refund.destination,
            refund.next_check_at,
        )
        for refund, provider in db.session.execute(query)
    ]


def _mails(order_id: int) -> list[DueMail]:
    due = (Mail.order_id == order_id, Mail.next_attempt_at.is_not(None))
    found = db.session.execute(select(Mail.kind, Mail.next_attempt_at).where(*due))
    return [DueMail(kind, at) for kind, at in found if at]
