"""Documents of paypay: codes, payments and notifications, with PayPay's own field names."""

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
"""`DELETE /v2/payments` is asynchronous: a query shows the previous state for this long."""
REFUND_STATES = {"pending": "CREATED", "succeeded": "REFUNDED", "failed": "FAILED"}
REVERSALS = frozenset({"reversal 1", "reversal 2"})
"""References of the refunds that cancel a payment; a merchant's reference cannot contain a space."""
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
"""Fields of the merchant's request that a payment keeps, and their types."""


def code_id(payment: Payment) -> str:
    """PayPay's id of the code, derived from our payment's id as `payment_id` is."""
    return "04-" + payment.id.removeprefix("pay_")


def payment_id(payment: Payment) -> str:
    """PayPay's id of the payment: digits alone, as PayPay's are."""
    return str(int(payment.id.removeprefix("pay_"), 16))


def code(payment: Payment) -> dict[str, Any]:
    """A code, as the response to its creation shows it; no other call returns it."""
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
    """The payment in PayPay's format; `as_created` is the stale response of a lagging replica."""
    status = "CREATED" if as_created else _status(payment)
    taken = payment.captures if status in ("COMPLETED", "REFUNDED", "CANCELED") else []
    shown: dict[str, Any] = {
        "status": status,
        "merchantPaymentId": payment.reference,
        "amount": money(taken[0].amount, taken[0].currency) if taken else money(payment.amount, payment.currency),
        "orderDescription": payment.description,
        **{name: value for name, value in payment.wire.items() if name in KEPT},
        "refunds": {"data": [refund(payment, one) for one in payment.refunds if one.reference not in REVERSALS]},
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
    """A refund in PayPay's format."""
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
    """A capture. The first is the payment itself unless the merchant named it."""
    named = payment.wire.get("captures", {}).get(capture.id)
    first = payment_id(payment) if capture.position == 1 else f"{payment_id(payment)}-{capture.position}"
    return {
        "merchantCaptureId": named or first,
        "amount": money(capture.amount, capture.currency),
        "acceptedAt": seconds(capture.captured_at),
        "status": "COMPLETED",
    }


def event_body(payment: Payment, kind: str, event_id: str, moment: datetime) -> tuple[str, str] | None:
    """PayPay's webhook: other field names than the API's, and the amount as text. Other events send none."""
    if kind not in TELLS:
        return None
    last = payment.captures[-1] if payment.captures else None
    payload = {
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
    return "application/json", deliveries.compact(payload)
