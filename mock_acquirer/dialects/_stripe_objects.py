"""Payments as Stripe's objects: Checkout Session, PaymentIntent, Charge, Event, Error. Times are epoch seconds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from mock_acquirer import states
from mock_acquirer.cards import DECLINES
from mock_acquirer.links import checkout_url
from mock_acquirer.models import Capture, Payment

API_VERSION = "2026-10-28.endive"
JSON = "application/json; charset=utf-8"
LARGEST = 99_999_999  # Stripe accepts at most eight digits
SMALLEST = {"USD": 50, "JPY": 50, "TWD": 2500}
"""https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts. They list none for TWD: a charge must convert
to the minimum of the settlement currency, NT$10 to NT$20 for those listed, so that NT$25 covers each of them.
"""
Object = dict[str, Any]

INTENT_STATUS = {
    "requires_payment": "requires_payment_method",
    "requires_action": "requires_action",
    "authorized": "requires_capture",
    "captured": "succeeded",
    "voided": "canceled",
    "failed": "canceled",
    "expired": "canceled",
}
CANCELLATION = {
    "customer": "requested_by_customer",
    "merchant": "abandoned",
    "declines": "automatic",
    "time": "expired",
}
DECLINE_CODES = {
    # our code: (code, decline_code) of Stripe's errors; all others are card_declined with our code
    "expired_card": ("expired_card", "expired_card"),
    "incorrect_cvc": ("incorrect_cvc", "incorrect_cvc"),
    "incorrect_number": ("incorrect_number", "incorrect_number"),
    "processing_error": ("processing_error", "processing_error"),
    "no_answer": ("processing_error", "try_again_later"),
    "authentication_required": ("authentication_required", "authentication_required"),
    "authentication_failed": ("payment_intent_authentication_failure", ""),
}


def digits(shown: str) -> str:
    """The part of an id after its prefix, which all ids of one payment share."""
    return shown.rpartition("_")[2]


def session_id(payment: Payment) -> str:
    return f"cs_test_{digits(payment.id)}"


def intent_id(payment: Payment) -> str:
    return f"pi_{digits(payment.id)}"


def charge_id(capture: Capture) -> str:
    return f"ch_{digits(capture.id)}"


def seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def has_intent(payment: Payment) -> bool:
    """True when the PaymentIntent exists: Stripe creates it with the first attempt to pay; a payment that ended always
    has one.
    """
    return payment.state != "requires_payment" or payment.declines > 0 or payment.card is not None


def session_status(payment: Payment) -> tuple[str, str]:
    """(status, payment_status). A complete session is not always paid."""
    if payment.state in ("captured", "authorized"):
        return "complete", "paid" if payment.captures else "unpaid"
    return ("open" if payment.state in states.OPEN else "expired"), "unpaid"


def session(payment: Payment, expand: Iterable[str] = (), as_created: bool = False) -> Object:
    """The Checkout Session; `as_created` is the stale response of a lagging replica."""
    wire = payment.wire
    status, paid = ("open", "unpaid") if as_created else session_status(payment)
    email = wire.get("customer_email")
    shown: Object = {
        "id": session_id(payment),
        "object": "checkout.session",
        "amount_subtotal": payment.amount,
        "amount_total": payment.amount,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "cancel_url": wire.get("cancel_url"),
        "client_reference_id": wire.get("client_reference_id"),
        "client_secret": None,
        "created": seconds(payment.created_at),
        "currency": payment.currency.lower(),
        "customer": None,
        "customer_creation": "if_required",
        "customer_details": {"email": email, "name": None, "phone": None, "address": None} if email else None,
        "customer_email": email,
        "expires_at": seconds(payment.expires_at),
        "invoice": None,
        "livemode": False,
        "locale": payment.locale or None,
        "metadata": wire.get("metadata", {}),
        "mode": "payment",
        "payment_intent": intent_id(payment) if has_intent(payment) and not as_created else None,
        "payment_link": None,
        "payment_method_types": ["card"],
        "payment_status": paid,
        "status": status,
        "submit_type": None,
        "subscription": None,
        "success_url": wire.get("success_url"),
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": checkout_url(payment) if status == "open" else None,
    }
    return expanded(shown, expand, {"payment_intent": intent_of(payment), "line_items": lambda _: line_items(payment)})


def intent_of(payment: Payment) -> Callable[[list[str]], Object]:
    return lambda inner: intent(payment, inner)


def expanded(shown: Object, wanted: Iterable[str], makers: dict[str, Callable[[list[str]], Object]]) -> Object:
    """`shown` with the ids named in `wanted` replaced by their objects, to any depth."""
    for name, make in makers.items():
        paths = [path for path in wanted if path == name or path.startswith(name + ".")]
        if paths and (shown.get(name) is not None or name not in shown):
            shown[name] = make([path[len(name) + 1 :] for path in paths if path != name])
    return shown


def line_items(payment: Payment) -> Object:
    """The line items, as the merchant sent them."""
    items = [
        {
            "id": f"li_{digits(payment.id)}{place}",
            "object": "item",
            "amount_discount": 0,
            "amount_subtotal": item["unit_amount"] * item["quantity"],
            "amount_tax": 0,
            "amount_total": item["unit_amount"] * item["quantity"],
            "currency": payment.currency.lower(),
            "description": item["name"],
            "quantity": item["quantity"],
        }
        for place, item in enumerate(payment.wire.get("line_items", []))
    ]
    return listed(items, f"/v1/checkout/sessions/{session_id(payment)}/line_items")


def intent(payment: Payment, expand: Iterable[str] = ()) -> Object:
    status = INTENT_STATUS[payment.state]
    if payment.capture_due_at is not None and payment.state in states.OPEN:
        status = "processing"
    latest = payment.captures[-1] if payment.captures else None
    cancelled = status == "canceled"
    shown: Object = {
        "id": intent_id(payment),
        "object": "payment_intent",
        "amount": payment.amount,
        "amount_capturable": payment.amount if status == "requires_capture" else 0,
        "amount_received": sum(capture.amount for capture in payment.captures),
        "canceled_at": seconds(payment.ended_at) if cancelled and payment.ended_at else None,
        "cancellation_reason": CANCELLATION.get(payment.ended_by or "") if cancelled else None,
        "capture_method": "manual" if payment.capture_method == "manual" else "automatic_async",
        "confirmation_method": "automatic",
        "created": seconds(payment.created_at),
        "currency": payment.currency.lower(),
        "customer": None,
        "description": payment.wire.get("description"),
        "last_payment_error": payment_error(payment),
        "latest_charge": charge_id(latest) if latest else None,
        "livemode": False,
        "metadata": payment.wire.get("intent_metadata", {}),
        "next_action": {"type": "use_stripe_sdk"} if status == "requires_action" else None,
        "payment_method": f"pm_{digits(payment.id)}" if payment.last4 else None,
        "payment_method_types": ["card"],
        "receipt_email": None,
        "status": status,
    }
    return expanded(shown, expand, {"latest_charge": lambda inner: charge(payment, latest or payment.captures[-1])})


def payment_error(payment: Payment) -> Object | None:
    """The last decline, as `last_payment_error`."""
    if not payment.last_decline:
        return None
    code, decline_code = DECLINE_CODES.get(payment.last_decline, ("card_declined", payment.last_decline))
    shown: Object = {"code": code, "message": DECLINES[payment.last_decline][1], "type": "card_error"}
    return shown | ({"decline_code": decline_code} if decline_code else {})


def charge(payment: Payment, capture: Capture) -> Object:
    """A capture as a Charge. The currency is the capture's own: a fault may have changed it."""
    card = {"brand": payment.brand, "last4": payment.last4, "exp_month": 12, "exp_year": 2034, "funding": "credit"}
    return {
        "id": charge_id(capture),
        "object": "charge",
        "amount": capture.amount,
        "amount_captured": capture.amount,
        "amount_refunded": capture.refunded,
        "balance_transaction": f"txn_{digits(capture.id)}",
        "captured": True,
        "created": seconds(capture.captured_at),
        "currency": capture.currency.lower(),
        "customer": None,
        "description": payment.wire.get("description"),
        "disputed": any(one.capture_id == capture.id for one in payment.disputes),
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": payment.wire.get("intent_metadata", {}),
        "outcome": {"network_status": "approved_by_network", "type": "authorized"},
        "paid": True,
        "payment_intent": intent_id(payment),
        "payment_method": f"pm_{digits(payment.id)}",
        "payment_method_details": {"card": card, "type": "card"},
        "refunded": capture.refunded >= capture.amount,
        "status": "succeeded",
    }


def listed(data: list[Object], url: str, has_more: bool = False) -> Object:
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def event(event_id: str, kind: str, about: Object, moment: datetime) -> Object:
    return {
        "id": event_id,
        "object": "event",
        "api_version": API_VERSION,
        "created": seconds(moment),
        "data": {"object": about},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }


def request_id(seed: str) -> str:
    """`req_…`, derived from our own request id."""
    return "req_" + hashlib.sha256(seed.encode()).hexdigest()[:14]
