"""Due rows of an order, for its next automatic steps."""

from __future__ import annotations

from sqlalchemy import select, text

from shop.checkout.models import Saga
from shop.core.db import db
from shop.core.outbox import OutboxRow
from shop.explain.next_step import DueEvent, DueMail, DuePayment, DueRefund, DueRows, DueWebhook
from shop.mail.models import Mail
from shop.orders.models import Order
from shop.payments.providers import registry
from shop.payments.records.models import Payment, ProviderHealth, Refund, WebhookEventRow

MOST = 50
"""Webhooks, and events, that the steps of an order take into account at most."""
_UNPUBLISHED = text("outbox.due_at IS NOT NULL")
_TO_APPLY = text("webhook_events.due_at IS NOT NULL")


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
        webhooks=_webhooks(order.id),
        events=_events(order.number),
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


def _webhooks(order_id: int) -> list[DueWebhook]:
    """Webhooks that are not applied yet, and hints that are applied once more."""
    query = select(WebhookEventRow.dedupe_key, WebhookEventRow.provider, WebhookEventRow.due_at)
    query = query.join(Payment, Payment.id == WebhookEventRow.reference)
    due = (Payment.order_id == order_id, Payment.provider == WebhookEventRow.provider, _TO_APPLY)
    found = db.session.execute(query.where(*due).order_by(WebhookEventRow.due_at).limit(MOST))
    return [DueWebhook(event_id, registry.label(provider), at) for event_id, provider, at in found if at]


def _events(number: str) -> list[DueEvent]:
    """Events that are not published yet. The index on due events limits what is read to them."""
    query = select(OutboxRow.kind, OutboxRow.due_at, OutboxRow.error)
    query = query.where(_UNPUBLISHED, OutboxRow.subject == number)
    found = db.session.execute(query.order_by(OutboxRow.due_at, OutboxRow.id).limit(MOST))
    return [DueEvent(kind, at, error) for kind, at, error in found if at]
