"""stripe: Checkout Sessions in Stripe's wire format, as far as listed in docs/providers/stripe.md.

Form fields in, JSON out, `Authorization: Bearer sk_test_demo`, `Idempotency-Key`, `Stripe-Signature`. Tested with
Stripe's own library as the client. This module opens, expires and captures payments, and renders webhook events.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, Response, g

from mock_acquirer import calls, clock, deliveries, engine
from mock_acquirer.db import EPOCH, db
from mock_acquirer.dialect_interface import Dialect, Merchant, setting
from mock_acquirer.dialects import _stripe_objects as objects
from mock_acquirer.dialects import _stripe_reads, _stripe_refunds
from mock_acquirer.dialects._stripe_calls import (
    NAME,
    Caller,
    asked_for,
    caller_of,
    change,
    key_of,
    mine,
    no_such,
    ok,
    read,
    respond,
    sent_form,
)
from mock_acquirer.dialects._stripe_form import Fields, wrong
from mock_acquirer.dialects._stripe_settlement import SETTLEMENT
from mock_acquirer.errors import Refused
from mock_acquirer.models import Payment
from mock_acquirer.money import EXPONENTS
from mock_acquirer.settings import Row, text, web_address
from mock_acquirer.signing import Signed

SETTINGS = (
    Row(
        "ACQUIRER_STRIPE_API_KEY",
        "sk_test_demo",
        text,
        "Secret key of stripe's merchant; `.name` after it picks a run. Not there: that of STRIPE_API_KEY.",
        secret=True,
        same_as="STRIPE_API_KEY",
    ),
    Row(
        "ACQUIRER_STRIPE_WEBHOOK_SECRET",
        "whsec_stripe_demo",
        text,
        "Secret that signs stripe's webhooks until it is rotated. Not there: the first of STRIPE_WEBHOOK_SECRET.",
        secret=True,
        same_as="STRIPE_WEBHOOK_SECRET",
    ),
    Row(
        "ACQUIRER_STRIPE_WEBHOOK_URL",
        "http://localhost:8000/webhooks/stripe",
        web_address,
        "Where stripe's webhooks go: as with Stripe, the endpoint belongs to the merchant, not to a payment.",
        same_as="SHOP_URL",
        path="/webhooks/stripe",
    ),
)
SHORTEST, LONGEST = timedelta(minutes=30), timedelta(hours=24)
CAPTURE_METHODS = {"automatic": "automatic", "automatic_async": "automatic", "manual": "manual"}
SIGNATURE = "stripe-signature"
bp = Blueprint(NAME, __name__, url_prefix="/stripe/v1")
bp.register_blueprint(_stripe_reads.bp)
bp.register_blueprint(_stripe_refunds.bp)


def merchant(name: str) -> Merchant:
    return Merchant(
        name, "Demo shop", setting("ACQUIRER_STRIPE_WEBHOOK_URL"), setting("ACQUIRER_STRIPE_WEBHOOK_SECRET")
    )


# --- Checkout Sessions ---


@bp.post("/checkout/sessions")
def create_session() -> Response:
    caller, sent = caller_of(), sent_form()

    def doing(_: str) -> calls.Effect:
        payment = engine.open_session(_read_session(caller, sent))
        payment.return_url = payment.return_url.replace("{CHECKOUT_SESSION_ID}", objects.session_id(payment))
        db.session.flush()
        return ok(objects.session(payment, sent.words("expand")))

    return respond(calls.Call(NAME, "start", caller.run, key=key_of(caller)), doing)


def _read_session(caller: Caller, sent: Fields) -> engine.Session:
    """Validate the request. Refuses (400) with the field's full name."""
    sent.choice("mode", ("payment",))
    for method in sent.words("payment_method_types"):
        if method != "card":
            said = f"The payment method type {method[:40]!r} is not known here: card is."
            raise wrong("", "payment_method_types", said)
    items, currency = _read_items(sent)
    amount = sum(item["unit_amount"] * item["quantity"] for item in items)
    smallest = objects.SMALLEST.get(currency, 1)
    if not smallest <= amount <= objects.LARGEST:
        said = f"The total is {amount}. It must be from {smallest} to {objects.LARGEST}."
        raise wrong("amount_too_large" if amount > smallest else "amount_too_small", "line_items", said)
    about = sent.inside("payment_intent_data")
    reference = sent.text("client_reference_id", 200, "")
    wire: dict[str, Any] = {
        "client_reference_id": reference or None,
        "success_url": sent.address("success_url"),
        "cancel_url": sent.address("cancel_url", needed=False) or None,
        "customer_email": sent.text("customer_email", 512, "") or None,
        "metadata": sent.metadata(),
        "line_items": items,
        "description": about.text("description", 1000, "") or None,
        "intent_metadata": about.metadata(),
    }
    return engine.Session(
        run=caller.run,
        dialect=NAME,
        merchant=caller.merchant,
        reference=reference if engine.REFERENCE.fullmatch(reference) else "",
        amount=amount,
        currency=currency,
        return_url=sent.address("success_url"),
        webhook_url=merchant(caller.merchant).webhook_url,
        expires_at=_end(sent, caller),
        capture_method=CAPTURE_METHODS[about.choice("capture_method", tuple(CAPTURE_METHODS), "automatic")],
        description=", ".join(item["name"] for item in items)[:200],
        locale=sent.text("locale", 10, ""),
        wire=wire,
    )


def _read_items(sent: Fields) -> tuple[list[dict[str, Any]], str]:
    """(line items with name, unit_amount and quantity; their common currency in capitals)."""
    items, currencies = [], set()
    for line in sent.each("line_items", 100):
        if "price" in line:
            raise wrong(
                "resource_missing", line.name("price"), "No such price: send price_data, there is no catalogue."
            )
        price = line.inside("price_data")
        currency = price.text("currency", 3).upper()
        if currency not in EXPONENTS:
            known = ", ".join(EXPONENTS).lower()
            raise wrong("", price.name("currency"), f"Invalid currency: {currency.lower()}. Known here: {known}.")
        currencies.add(currency)
        items.append(
            {
                "name": price.inside("product_data").text("name", 250),
                "unit_amount": price.whole("unit_amount", 0, objects.LARGEST),
                "quantity": line.whole("quantity", 1, 999_999),
            }
        )
    if len(currencies) != 1:
        raise wrong("", "line_items", "All line items must have the same currency.")
    return items, currencies.pop()


def _end(sent: Fields, caller: Caller) -> datetime:
    now = clock.now(caller.run)
    now -= timedelta(microseconds=now.microsecond)
    if "expires_at" not in sent:
        return now + LONGEST
    end = EPOCH + timedelta(seconds=sent.whole("expires_at", 0, 99_999_999_999))
    if not now + SHORTEST <= end <= now + LONGEST + timedelta(seconds=1):
        raise wrong("", "expires_at", "The `expires_at` timestamp must be 30 minutes to 24 hours from creation.")
    return end


@bp.get("/checkout/sessions/<shown>")
def show_session(shown: str) -> Response:
    caller, expand = caller_of(), asked_for().words("expand")
    payment = mine(caller, "checkout.session", "cs_test", shown)
    return read(payment, caller, "checkout.session", lambda stale: objects.session(payment, expand, stale))


@bp.get("/checkout/sessions/<shown>/line_items")
def show_line_items(shown: str) -> Response:
    caller = caller_of()
    payment = mine(caller, "checkout.session", "cs_test", shown)
    return read(payment, caller, "checkout.session", lambda _: objects.line_items(payment))


@bp.post("/checkout/sessions/<shown>/expire")
def expire_session(shown: str) -> Response:
    caller, sent = caller_of(), sent_form()
    payment = mine(caller, "checkout.session", "cs_test", shown)

    def act() -> objects.Object:
        status, _ = objects.session_status(payment)
        if status != "open":
            raise wrong(
                "",
                "session",
                'Only Checkout Sessions with a status in ["open"] can be expired. '
                f"This Checkout Session has a status of `{status}`.",
            )
        engine.cancel(payment, "merchant")
        return objects.session(payment, sent.words("expand"))

    return change(caller, "cancel", payment, act)


# --- PaymentIntents ---


@bp.get("/payment_intents/<shown>")
def show_intent(shown: str) -> Response:
    caller, expand = caller_of(), asked_for().words("expand")
    payment = mine(caller, "payment_intent", "pi", shown)
    if not objects.has_intent(payment):
        raise no_such("payment_intent", shown)
    return read(payment, caller, "payment_intent", lambda _: objects.intent(payment, expand))


@bp.post("/payment_intents/<shown>/cancel")
def cancel_intent(shown: str) -> Response:
    return _change_intent(shown, "cancel", lambda payment, _: engine.cancel(payment, "merchant"))


@bp.post("/payment_intents/<shown>/capture")
def capture_intent(shown: str) -> Response:
    def act(payment: Payment, sent: Fields) -> None:
        engine.capture(payment, sent.whole("amount_to_capture", 1, payment.amount, payment.amount))

    return _change_intent(shown, "capture", act)


def _change_intent(shown: str, op: str, act: Callable[[Payment, Fields], None]) -> Response:
    caller, sent = caller_of(), sent_form()
    payment = mine(caller, "payment_intent", "pi", shown)

    def acting() -> objects.Object:
        act(payment, sent)
        return objects.intent(payment, sent.words("expand"))

    return change(caller, op, payment, acting)


# --- webhook events ---------------------------------------------------------------------------------------------------

EVENTS: dict[str, tuple[str, Callable[[Payment], objects.Object]]] = {
    # the engine's event: Stripe's event, and the kind of its object
    "payment.captured": ("checkout.session.completed", objects.session),
    "payment.expired": ("checkout.session.expired", objects.session),
    "payment.voided": ("checkout.session.expired", objects.session),
    "payment.failed": ("checkout.session.expired", objects.session),
    "payment.declined": ("payment_intent.payment_failed", objects.intent),
    "payment.requires_action": ("payment_intent.requires_action", objects.intent),
    "payment.authorized": ("payment_intent.amount_capturable_updated", objects.intent),
    "charge.succeeded": ("charge.succeeded", lambda payment: objects.charge(payment, payment.captures[-1])),
    "payment_intent.canceled": ("payment_intent.canceled", objects.intent),
}
ANNOUNCED = {
    "payment.captured": ("charge.succeeded",),
    "payment.voided": ("payment_intent.canceled",),
    "payment.failed": ("payment_intent.canceled",),
    "payment.expired": ("payment_intent.canceled",),
    "refund.pending": ("refund.shown",),
    "refund.succeeded": ("refund.shown",),
}


def event_body(payment: Payment, kind: str, event_id: str, moment: datetime) -> tuple[str, str] | None:
    """Stripe's event for the engine's event; None when Stripe has none.

    A capture after the session ended is the success of an asynchronous payment; a second charge completes no session
    and is sent as `charge.succeeded` alone.
    """
    if kind not in EVENTS or (kind == "payment.captured" and len(payment.captures) > 1):
        return None
    name, render = EVENTS[kind]
    if kind == "payment.captured" and payment.ended_by is not None:
        name = "checkout.session.async_payment_succeeded"
    return objects.JSON, deliveries.compact(objects.event(event_id, name, render(payment), moment))


def sign(keys: list[str], event_id: str, at: datetime, body: bytes) -> Signed:
    """`Stripe-Signature: t=…,v1=…,v1=…` over `timestamp.body`; the secrets are used literally."""
    stamp = str(int(at.timestamp()))
    content = f"{stamp}.".encode() + body
    macs = [hmac.new(key.encode(), content, hashlib.sha256).hexdigest() for key in keys]
    value = ",".join([f"t={stamp}", *(f"v1={mac}" for mac in macs)])
    return Signed({SIGNATURE: value}, body, content.decode("utf-8", "replace"))


KINDS = {
    # our kind: (status, type) of Stripe's errors; status None keeps ours
    "invalid_request": (400, "invalid_request_error"),
    "invalid_state": (400, "invalid_request_error"),
    "not_found": (None, "invalid_request_error"),
    "authentication": (None, "invalid_request_error"),
    "rate_limit": (None, "invalid_request_error"),
    "idempotency_error": (None, "idempotency_error"),
    "api_error": (None, "api_error"),
}
CODES = {
    "too_many_requests": "rate_limit",
    "internal_error": "",
    "idempotency_key_reused": "",
    "already_refunded": "charge_already_refunded",
    "disputed": "charge_disputed",
}


def refuse(refused: Refused) -> Response:
    """An error in Stripe's format."""
    status, kind = KINDS.get(refused.kind, (None, "invalid_request_error"))
    if refused.code == "idempotency_key_reused":
        status = 400
    elif refused.status in (404, 405, 413):
        status = refused.status
    error: dict[str, Any] = {"message": refused.message, "type": kind}
    if CODES.get(refused.code, refused.code):
        error["code"] = CODES.get(refused.code, refused.code)
    if refused.param:
        error["param"] = refused.param
    headers = refused.headers | {"Request-Id": objects.request_id(g.get("request_id", ""))}
    body = deliveries.compact({"error": error})
    return Response(body, status or refused.status, headers, content_type="application/json")


DIALECT = Dialect(
    name=NAME,
    title="Stripe",
    prefix="/stripe/",
    settings=SETTINGS,
    blueprint=bp,
    merchant=merchant,
    event_body=event_body,
    settlement=SETTLEMENT,
    sign=sign,
    signature_header=SIGNATURE,
    acknowledged=lambda status, _: 200 <= status < 300,
    retries=(0, 5, 300, 1800, 7200, 18_000, 36_000, 36_000, 36_000, 36_000, 36_000, 36_000, 14_400),
    jitter=0.2,
    refuse=refuse,
    event_about=_stripe_refunds.event_about,
    announced=ANNOUNCED,
    tells=(*EVENTS, *_stripe_refunds.TELLS),
)
