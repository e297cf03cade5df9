"""Documents of kpay: payments, refunds, disputes, events."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mock_acquirer import deliveries
from mock_acquirer.cards import DECLINES
from mock_acquirer.links import checkout_url
from mock_acquirer.models import Dispute, Payment, Refund
from mock_acquirer.times import rfc3339


def payment_document(payment: Payment, as_created: bool = False) -> dict[str, Any]:
    """The payment in kpay's format; `as_created` is the stale response of a lagging replica."""
    shown = {
        "id": payment.id,
        "object": "payment",
        "reference": payment.reference,
        "merchant": payment.merchant,
        "status": "requires_payment" if as_created else payment.state,
        "amount": payment.amount,
        "currency": payment.currency,
        "checkout_url": checkout_url(payment),
        "return_url": payment.return_url,
        "created_at": rfc3339(payment.created_at),
        "expires_at": rfc3339(payment.expires_at),
        "capture_method": payment.capture_method,
        "captures": [],
        "refunds": [],
        "payment_method": None,
        "last_decline": None,
        "ended_by": None,
    }
    return shown if as_created else shown | _progress(payment)


def _progress(payment: Payment) -> dict[str, Any]:
    decline = None
    if payment.last_decline:
        family, sentence = DECLINES[payment.last_decline]
        decline = {"code": payment.last_decline, "class": family, "message": sentence}
    captures = [
        {"id": one.id, "amount": one.amount, "currency": one.currency, "captured_at": rfc3339(one.captured_at)}
        for one in payment.captures
    ]
    return {
        "captures": captures,
        "refunds": [_short(refund) for refund in payment.refunds] if captures else [],
        "payment_method": _method(payment),
        "last_decline": decline,
        "ended_by": payment.ended_by,
    }


def _method(payment: Payment) -> dict[str, Any] | None:
    if payment.method == "store":
        return {"type": "store", "code": payment.store_code, "expires_at": rfc3339(payment.expires_at)}
    return {"type": "card", "brand": payment.brand, "last4": payment.last4} if payment.last4 else None


def _short(refund: Refund) -> dict[str, Any]:
    return {
        "id": refund.id,
        "reference": refund.reference,
        "capture": refund.capture_id,
        "amount": refund.amount,
        "currency": refund.currency,
        "status": refund.state,
        "created_at": rfc3339(refund.created_at),
    }


def refund_document(payment: Payment, refund: Refund) -> dict[str, Any]:
    """The refund with its payment, by the ids of both sides."""
    more = {
        "object": "refund",
        "payment": payment.id,
        "payment_reference": payment.reference,
        "reason": refund.reason or None,
        "changed_at": rfc3339(refund.changed_at),
    }
    return _short(refund) | more


def dispute_document(payment: Payment, dispute: Dispute) -> dict[str, Any]:
    return {
        "id": dispute.id,
        "object": "dispute",
        "payment": payment.id,
        "payment_reference": payment.reference,
        "capture": dispute.capture_id,
        "kind": dispute.kind,
        "reason": dispute.reason,
        "amount": dispute.amount,
        "currency": dispute.currency,
        "status": dispute.state,
        "opened_at": rfc3339(dispute.opened_at),
        "respond_by": rfc3339(dispute.respond_by),
        "closed_at": rfc3339(dispute.closed_at),
    }


def event_body(payment: Payment, kind: str, event_id: str, moment: datetime) -> tuple[str, str]:
    """An event about the payment itself."""
    return _event(payment, kind, event_id, moment, {})


def event_about(
    payment: Payment, about: Refund | Dispute, kind: str, event_id: str, moment: datetime
) -> tuple[str, str]:
    """An event about a refund or a dispute, with its payment."""
    if isinstance(about, Refund):
        return _event(payment, kind, event_id, moment, {"refund": refund_document(payment, about)})
    return _event(payment, kind, event_id, moment, {"dispute": dispute_document(payment, about)})


def _event(payment: Payment, kind: str, event_id: str, moment: datetime, about: dict[str, Any]) -> tuple[str, str]:
    event = {
        "id": event_id,
        "type": kind,
        "created_at": rfc3339(moment),
        "merchant": payment.merchant,
        "data": about | {"payment": payment_document(payment)},
    }
    return "application/json", deliveries.compact(event)
