"""Due rows of an order, for its next automatic steps."""

from __future__ import annotations

from shop.explain import order_rows
from shop.explain.next_step import DueEvent, DueMail, DuePayment, DueRefund, DueRows, DueWebhook
from shop.explain.order_rows import OrderRows
from shop.payments.providers import registry


def of(rows: OrderRows) -> DueRows:
    """The order's rows that the clock will find, and its open payments."""
    order, due = rows.order, rows.due
    return DueRows(
        state=order.state,
        pay_by=order.pay_by,
        cancel_requested_at=order.cancel_requested_at,
        review_since=order.review_since,
        resumes_at=next((one.at for one in due if one.kind == order_rows.SAGA), None),
        payments=_payments(rows),
        refunds=_refunds(rows),
        mails=[DueMail(mail.kind, mail.next_attempt_at) for mail in rows.mails if mail.next_attempt_at],
        webhooks=[
            DueWebhook(one.name, registry.label(one.provider), one.at) for one in due if one.kind == order_rows.WEBHOOK
        ],
        events=[DueEvent(one.name, one.at, one.error) for one in due if one.kind == order_rows.EVENT],
    )


def _payments(rows: OrderRows) -> list[DuePayment]:
    return [
        DuePayment(
            payment.id,
            registry.label(payment.provider),
            payment.state,
            payment.next_check_at,
            payment.cancel_requested_at,
            rows.paused_until[payment.id],
        )
        for payment in rows.payments
    ]


def _refunds(rows: OrderRows) -> list[DueRefund]:
    return [
        DueRefund(
            refund.id,
            registry.label(payment.provider) if (payment := rows.payment(refund.payment_id)) else "store credit",
            refund.money.with_code(),
            refund.state,
            refund.kind,
            refund.destination,
            refund.next_check_at,
        )
        for refund in rows.refunds
        if refund.next_check_at is not None
    ]
