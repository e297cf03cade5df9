"""What paypay shows and tells: codes, payments and notifications, in PayPay's own names."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from mock_acquirer import clock, deliveries
from mock_acquirer.db import EPOCH
from mock_acquirer.dialects._paypay_opa import seconds
from mock_acquirer.links import checkout_url, wallet_url
from mock_acquirer.models import Capture, Payment, Refund
from mock_acquirer.times import rfc3339

CANCEL_TAKES = timedelta(seconds=2)
"""`DELETE /v2/payments` is asynchronous: for this long a query still shows what was before."""
REFUND_STATES = {"pending": "CREATED", "succeeded": "REFUNDED", "failed": "FAILED"}
_REVERSALS = frozenset({"reversal 1", "reversal 2"})
"""Our names of the refunds that a cancelled payment is made of; no merchant can use a blank."""
STATES = {
    "requires_payment": "CREATED",
    "requires_action": "CREATED",
    "authorized": "AUTHORIZED",
    "captured": "COMPLETED",
    "voided": "CANCELED",
    "failed": "FAILED",
    "expired": "EXPIRED",
}
TELLS = {"payment.captured": "COMPLETED", "payment.authorized": "AUTHORIZED", "payment.expired": "EXPIRED"}
KEPT: dict[str, type] = {
    "requestedAt": int,
    "codeType": str,
    "redirectType": str,
    "storeInfo": str,
    "storeId": str,
    "terminalId": str,
    "orderReceiptNumber": str,
    "orderItems": list,
    "metadata": dict,
}
"""What a payment keeps of the merchant's own words, and of which kind each is."""


def code_id(payment: Payment) -> str:
    """PayPay's id of the code; it and `payment_id` are our payment's id in PayPay's dress."""
    return "04-" + payment.id.removeprefix("pay_")


def payment_id(payment: Payment) -> str:
    """PayPay's id of the payment: digits only, as PayPay's are."""
    return str(int(payment.id.removeprefix("pay_"), 16))


def code(payment: Payment) -> dict[str, Any]:
    """A code, as the answer to creating it shows it; no other call shows it again."""
    return {
        "codeId": code_id(payment),
        "url": checkout_url(payment),
        "deeplink": wallet_url(payment),
        "expiryDate": seconds(payment.expires_at),
        "merchantPaymentId": payment.reference,
        "amount": {"amount": payment.amount, "currency": payment.currency},
        "orderDescription": payment.description,
        "isAuthorization": payment.capture_method == "manual",
        "redirectUrl": payment.return_url,
        **payment.wire,
    }


def details(payment: Payment, as_created: bool = False) -> dict[str, Any]:
    """The payment as PayPay shows it; `as_created` is the stale answer of a lagging replica."""
    status = "CREATED" if as_created else _status(payment)
    taken = payment.captures if status in ("COMPLETED", "REFUNDED", "CANCELED") else []
    shown: dict[str, Any] = {
        "status": status,
        "merchantPaymentId": payment.reference,
        "amount": money(taken[0].amount, taken[0].currency) if taken else money(payment.amount, payment.currency),
        "orderDescription": payment.description,
        **{name: value for name, value in payment.wire.items() if name in KEPT},
        "refunds": {"data": [refund(payment, one) for one in payment.refunds if one.reference not in _REVERSALS]},
    }
    if taken or status == "AUTHORIZED":
        shown["paymentId"] = payment_id(payment)
    if taken:
        shown["acceptedAt"] = seconds(taken[0].captured_at)
        shown["paymentMethods"] = [{"amount": taken[0].amount, "type": "WALLET"}]
    if status == "CANCELED":
        shown["canceledAt"] = seconds(payment.ended_at)
    if len(taken) > 1 or (taken and payment.capture_method == "manual"):
        shown["captures"] = {"data": [_captured(payment, one) for one in taken]}
    return shown


def _status(payment: Payment) -> str:
    if payment.state == "captured":
        back = sum(one.amount for one in payment.refunds if one.state == "succeeded")
        if back < sum(one.amount for one in payment.captures):
            return "COMPLETED"
        return "CANCELED" if payment.wire.get("canceled") else "REFUNDED"
    if payment.wire.get("canceled") and clock.now(payment.run) < (payment.ended_at or EPOCH) + CANCEL_TAKES:
        return str(payment.wire["canceled"])
    return STATES[payment.state]


def refund(payment: Payment, one: Refund) -> dict[str, Any]:
    """A refund as PayPay shows it."""
    return {
        "status": REFUND_STATES[one.state],
        "acceptedAt": seconds(one.created_at),
        "merchantRefundId": one.reference,
        "paymentId": payment_id(payment),
        "amount": money(one.amount, one.currency),
        "requestedAt": one.wire.get("requestedAt"),
        "reason": one.reason,
    }


def money(amount: int, currency: str) -> dict[str, Any]:
    return {"amount": amount, "currency": currency}


def _captured(payment: Payment, capture: Capture) -> dict[str, Any]:
    """One taking of money. The first is the payment itself unless the merchant named it."""
    named = payment.wire.get("captures", {}).get(capture.id)
    first = payment_id(payment) if capture.position == 1 else f"{payment_id(payment)}-{capture.position}"
    return {
        "merchantCaptureId": named or first,
        "amount": money(capture.amount, capture.currency),
        "acceptedAt": seconds(capture.captured_at),
        "status": "COMPLETED",
    }


def event_body(payment: Payment, kind: str, event_id: str, moment: datetime) -> tuple[str, str] | None:
    """What PayPay posts: other field names than the API's, and the amount as text. It tells of nothing else."""
    if kind not in TELLS:
        return None
    last = payment.captures[-1] if payment.captures else None
    told = {
        "notification_type": "Transaction",
        "merchant_id": payment.merchant,
        "store_id": payment.wire.get("storeId"),
        "pos_id": payment.wire.get("terminalId"),
        "order_id": payment_id(payment),
        "merchant_order_id": payment.reference,
        "authorized_at": rfc3339(moment) if kind == "payment.authorized" else None,
        "expires_at": rfc3339(payment.expires_at) if kind != "payment.captured" else None,
        "paid_at": rfc3339(last.captured_at) if last else None,
        "order_amount": str(last.amount if last else payment.amount),
        "state": TELLS[kind],
    }
    return "application/json", deliveries.compact(told)
