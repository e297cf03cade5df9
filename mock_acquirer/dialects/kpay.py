"""kpay: a modern card REST API with JSON, bearer keys, Idempotency-Key and Standard Webhooks. Fictional.

`docs/providers/kpay.md` describes paths, payment object, errors and webhooks for merchants.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, Response, g, request

from mock_acquirer import calls, clock, deliveries, engine, refunds, settlement, targets
from mock_acquirer.dialect_interface import Dialect, Merchant, setting
from mock_acquirer.dialects._kpay_documents import event_about, event_body, payment_document, refund_document
from mock_acquirer.dialects._kpay_settlement import SETTLEMENT
from mock_acquirer.errors import Refused, invalid, not_found
from mock_acquirer.events import EVENTS
from mock_acquirer.idempotency import Key
from mock_acquirer.models import Payment
from mock_acquirer.money import EXPONENTS, LARGEST
from mock_acquirer.settings import Row, text, web_address
from mock_acquirer.signing import standard_webhooks
from mock_acquirer.times import parse_moment, rfc3339

NAME = "kpay"
MERCHANT = "demo"
SETTINGS = (
    Row(
        "ACQUIRER_KPAY_API_KEY",
        "kp_test_demo",
        text,
        "API key of kpay's merchant; `.name` after it picks a run. Not there: that of KPAY_API_KEY.",
        secret=True,
        same_as="KPAY_API_KEY",
    ),
    Row(
        "ACQUIRER_KPAY_WEBHOOK_SECRET",
        "whsec_a3BheS1kZW1vLXdlYmhvb2stc2VjcmV0LTAwMDE=",
        text,
        "Secret that signs kpay's webhooks until it is rotated. Not there: the first of KPAY_WEBHOOK_SECRET.",
        secret=True,
        same_as="KPAY_WEBHOOK_SECRET",
    ),
    Row(
        "ACQUIRER_KPAY_WEBHOOK_URL",
        "http://localhost:8000/webhooks/kpay",
        web_address,
        "Where kpay's webhooks go when a payment names no address of its own.",
        same_as="SHOP_URL",
        path="/webhooks/kpay",
    ),
)
LONGEST_SESSION = timedelta(days=30)
UNTOLD = ("payment.simulated", "refund.shown")
bp = Blueprint(NAME, __name__, url_prefix="/kpay/v1")


@dataclass(frozen=True)
class Caller:
    merchant: str
    run: str


def merchant(name: str) -> Merchant:
    return Merchant(name, "Demo shop", setting("ACQUIRER_KPAY_WEBHOOK_URL"), setting("ACQUIRER_KPAY_WEBHOOK_SECRET"))


def _caller() -> Caller:
    """The caller, authenticated by `Authorization: Bearer kp_test_demo` or `kp_test_demo.<run>`. Refuses with 401."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    key, _, run = key.strip().partition(".")
    if scheme.lower() != "bearer" or not hmac.compare_digest(key.encode(), setting("ACQUIRER_KPAY_API_KEY").encode()):
        raise Refused(
            401,
            "authentication",
            "invalid_api_key",
            "Send a valid API key as `Authorization: Bearer …`.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return Caller(MERCHANT, clock.enter_run(run))


def _body() -> dict[str, Any]:
    """The JSON object in the body; an empty body is `{}`. Refuses with 400."""
    raw = request.get_data()
    try:
        found = json.loads(raw) if raw.strip() else {}
    except (ValueError, RecursionError) as broken:
        raise Refused(400, "invalid_request", "malformed_json", "The body is not valid JSON in UTF-8.") from broken
    if not isinstance(found, dict):
        raise Refused(400, "invalid_request", "malformed_json", "The body must be a JSON object.")
    return found


def _key(caller: Caller) -> Key | None:
    written = request.headers.get("Idempotency-Key")
    if written is None:
        return None
    if not 1 <= len(written) <= 255 or not written.isprintable():
        raise Refused(400, "invalid_request", "invalid_idempotency_key", "An Idempotency-Key has 1 to 255 characters.")
    content = f"{request.method} {request.path}\n".encode() + request.get_data()
    return Key(caller.run, NAME, caller.merchant, written, hashlib.sha256(content).hexdigest())


def _mine(caller: Caller, payment_id: str) -> Payment:
    found = engine.find(caller.run, payment_id)
    if found is None or found.id != payment_id or (found.dialect, found.merchant) != (NAME, caller.merchant):
        raise not_found(f"There is no payment {payment_id!r:.80}.")
    return found


def _respond(answer: calls.Answer) -> Response:
    if answer.body is None:
        return Response("", answer.status, content_type="text/plain")
    return Response(answer.body, answer.status, answer.headers, content_type="application/json")


@bp.post("/payments")
def start() -> Response:
    caller, sent = _caller(), _body()

    def doing(_: str) -> calls.Effect:
        payment = engine.open_session(_read_session(caller, sent))
        return calls.Effect(201, deliveries.compact(payment_document(payment)))

    return _respond(calls.perform(calls.Call(NAME, "start", caller.run, key=_key(caller)), doing))


@bp.get("/payments/<payment_id>")
def show(payment_id: str) -> Response:
    caller = _caller()
    payment = _mine(caller, payment_id)

    def doing(shows: str) -> calls.Effect:
        if shows == "nothing":
            raise not_found(f"There is no payment {payment_id!r:.80}.")
        return calls.Effect(200, deliveries.compact(payment_document(payment, as_created=shows == "created")))

    return _respond(calls.perform(calls.Call(NAME, "query", caller.run, payment), doing))


@bp.get("/payments")
def search() -> Response:
    caller = _caller()
    reference = request.args.get("reference", "")
    if not reference:
        raise invalid("reference", "Name the payment, as in ?reference=P1.")
    found = engine.by_reference(caller.run, caller.merchant, reference)

    def doing(shows: str) -> calls.Effect:
        for payment in found:
            engine.expire_if_due(payment)
        listed = [] if shows != "now" else [payment_document(payment) for payment in found]
        return calls.Effect(200, deliveries.compact({"data": listed}))

    return _respond(calls.perform(calls.Call(NAME, "query", caller.run, found[-1] if found else None), doing))


@bp.post("/payments/<payment_id>/cancel")
def cancel(payment_id: str) -> Response:
    return _change(payment_id, "cancel", lambda payment, sent: engine.cancel(payment, "merchant"))


@bp.post("/payments/<payment_id>/capture")
def capture(payment_id: str) -> Response:
    return _change(payment_id, "capture", lambda payment, sent: engine.capture(payment, _amount(sent, needed=False)))


def _change(payment_id: str, op: str, act: Callable[[Payment, dict[str, Any]], None]) -> Response:
    caller, sent = _caller(), _body()
    payment = _mine(caller, payment_id)

    def doing(_: str) -> calls.Effect:
        act(payment, sent)
        return calls.Effect(200, deliveries.compact(payment_document(payment)))

    return _respond(calls.perform(calls.Call(NAME, op, caller.run, payment, _key(caller)), doing))


@bp.post("/payments/<payment_id>/refunds")
def refund(payment_id: str) -> Response:
    """Create a refund; without an amount, of the remaining amount. The same `reference` returns the same refund."""
    caller, sent = _caller(), _body()
    payment = _mine(caller, payment_id)

    def doing(_: str) -> calls.Effect:
        made = engine.refund(
            payment,
            _amount(sent, needed=False),
            _reference(sent, "reference", ""),
            capture_id=_text(sent, "capture", 64, "") or None,
            reason=_text(sent, "reason", 200, ""),
        )
        return calls.Effect(201, deliveries.compact(refund_document(payment, made)))

    return _respond(calls.perform(calls.Call(NAME, "refund", caller.run, payment, _key(caller)), doing))


@bp.get("/payments/<payment_id>/refunds/<refund_id>")
def show_refund(payment_id: str, refund_id: str) -> Response:
    caller = _caller()
    payment = _mine(caller, payment_id)

    def doing(shows: str) -> calls.Effect:
        known = engine.REFERENCE.fullmatch(refund_id) and shows != "nothing"
        found = refunds.find(payment, refund_id) if known else None
        if found is None:
            raise not_found(f"This payment has no refund {refund_id!r:.80}.")
        return calls.Effect(200, deliveries.compact(refund_document(payment, found)))

    return _respond(calls.perform(calls.Call(NAME, "query_refund", caller.run, payment), doing))


@bp.get("/payments/<payment_id>/refunds")
def search_refunds(payment_id: str) -> Response:
    """All refunds of the payment, or with `?reference=` the one with this reference."""
    caller, wanted = _caller(), request.args.get("reference")
    payment = _mine(caller, payment_id)

    def doing(shows: str) -> calls.Effect:
        found = [one for one in payment.refunds if shows == "now" and wanted in (None, one.reference)]
        return calls.Effect(200, deliveries.compact({"data": [refund_document(payment, one) for one in found]}))

    return _respond(calls.perform(calls.Call(NAME, "query_refund", caller.run, payment), doing))


@bp.get("/settlements/<day>")
def settle(day: str) -> Response:
    """Settlement lines of a UTC day so far: a JSON list, or with `?format=csv` a file."""
    caller = _caller()
    found, _ = settlement.file_of(caller.run, NAME, SETTLEMENT, day, request.args.get("format", ""))
    return Response(found.body, content_type=found.content_type)


def methods(payment: Payment) -> tuple[str, ...]:
    """Payment methods; convenience stores accept Taiwan dollars only."""
    return ("card", "store") if payment.currency == "TWD" else ("card",)


def _read_session(caller: Caller, sent: dict[str, Any]) -> engine.Session:
    """Validate the request. Refuses (422) with the field's name."""
    currency = _text(sent, "currency", 3)
    if currency not in EXPONENTS:
        raise invalid("currency", "The currency must be one of " + ", ".join(EXPONENTS) + ".")
    capture_method = _text(sent, "capture_method", 20, "automatic")
    if capture_method not in ("automatic", "manual"):
        raise invalid("capture_method", "capture_method must be automatic or manual.")
    return engine.Session(
        run=caller.run,
        dialect=NAME,
        merchant=caller.merchant,
        reference=_reference(sent, "reference"),
        amount=_amount(sent) or 0,
        currency=currency,
        return_url=_address(sent, "return_url"),
        webhook_url=_webhook(sent, caller),
        expires_at=_end(sent, caller),
        capture_method=capture_method,
        description=_text(sent, "description", 200, ""),
        locale=_text(sent, "locale", 20, ""),
    )


def _text(sent: dict[str, Any], name: str, longest: int, default: str | None = None) -> str:
    value = sent.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str) or not (value or default == "") or len(value) > longest or not _plain(value):
        raise invalid(name, f"{name} must be text of 1 to {longest} characters.")
    return value


def _reference(sent: dict[str, Any], name: str, default: str | None = None) -> str:
    reference = _text(sent, name, 64, default)
    if reference and not engine.REFERENCE.fullmatch(reference):
        raise invalid(name, f"A {name} has 1 to 64 letters, digits or _ . : @ / + = -.")
    return reference


def _plain(value: str) -> bool:
    """True without control characters and with nothing that UTF-8 cannot encode."""
    return all(ord(letter) > 31 and ord(letter) != 127 and not 0xD800 <= ord(letter) <= 0xDFFF for letter in value)


def _amount(sent: dict[str, Any], needed: bool = True) -> int | None:
    amount = sent.get("amount")
    if amount is None and not needed:
        return None
    if isinstance(amount, bool) or not isinstance(amount, int) or not 1 <= amount <= LARGEST:
        raise invalid("amount", f"The amount must be a whole number of minor units from 1 to {LARGEST}.")
    return amount


def _address(sent: dict[str, Any], name: str) -> str:
    url = _text(sent, name, targets.LONGEST)
    try:
        targets.origin_of(url)
    except ValueError as wrong:
        raise invalid(name, f"{name} must be a plain http or https address.") from wrong
    return url


def _webhook(sent: dict[str, Any], caller: Caller) -> str:
    if sent.get("webhook_url") is None:
        return merchant(caller.merchant).webhook_url
    url = _address(sent, "webhook_url")
    if not targets.is_allowed(url):
        raise invalid("webhook_url", "Webhooks may only go to the origins listed in ACQUIRER_WEBHOOK_TARGETS.")
    return url


def _end(sent: dict[str, Any], caller: Caller) -> datetime:
    now = clock.now(caller.run)
    if sent.get("expires_at") is None:
        return engine.default_end(caller.run, setting("ACQUIRER_SESSION_SECONDS"))
    try:
        end = parse_moment(sent["expires_at"])
    except ValueError as wrong:
        raise invalid("expires_at", "expires_at must be an RFC 3339 time such as 2026-01-31T12:00:00Z.") from wrong
    if not now < end <= now + LONGEST_SESSION:
        raise invalid("expires_at", f"expires_at must lie ahead of {rfc3339(now)}, by at most 30 days.")
    return end


def refuse(refused: Refused) -> Response:
    """An error in kpay's format."""
    error: dict[str, Any] = {"type": refused.kind, "code": refused.code, "message": refused.message}
    if refused.param:
        error["param"] = refused.param
    error["request_id"] = g.get("request_id", "")
    body = deliveries.compact({"error": error})
    return Response(body, refused.status, refused.headers, content_type="application/json")


DIALECT = Dialect(
    name=NAME,
    title="KPay",
    prefix="/kpay/",
    settings=SETTINGS,
    blueprint=bp,
    merchant=merchant,
    event_body=event_body,
    event_about=event_about,
    tells=tuple(one for one in EVENTS if one.startswith(("payment.", "refund.", "dispute.")) and one not in UNTOLD),
    settlement=SETTLEMENT,
    methods=methods,
    sign=standard_webhooks,
    signature_header="webhook-signature",
    acknowledged=lambda status, answer: 200 <= status < 300,
    retries=(0, 5, 300, 1800, 7200, 18000, 36000, 36000),
    jitter=0.2,
    refuse=refuse,
)
