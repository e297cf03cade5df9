"""paypay: a wallet that is paid by scanning a QR code, on the wire format of PayPay's Open Payment API, as far as
documented.

`docs/providers/paypay.md` lists the differences. Amounts are whole yen, times are epoch seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, Response, current_app, request
from sqlalchemy import select

from mock_acquirer import calls, clock, engine, refunds, targets
from mock_acquirer.db import db
from mock_acquirer.deliveries import compact
from mock_acquirer.dialect_interface import Dialect, Merchant, setting
from mock_acquirer.dialects import _paypay_opa as opa
from mock_acquirer.dialects._paypay_opa import Paces, body, own_id, respond, result, seconds, success, words, yen
from mock_acquirer.dialects._paypay_settlement import SETTLEMENT
from mock_acquirer.dialects._paypay_shapes import (
    CANCEL_TAKES,
    KEPT,
    STATES,
    TELLS,
    code,
    details,
    event_body,
    payment_id,
    refund,
)
from mock_acquirer.errors import Refused
from mock_acquirer.models import Payment, Refund
from mock_acquirer.settings import Row, positive, text, web_address
from mock_acquirer.signing import Signed
from mock_acquirer.times import wall_now

NAME, MERCHANT, CURRENCY = "paypay", "demo", "JPY"
PREFIX = "/paypay"
SETTINGS = (
    Row(
        "ACQUIRER_PAYPAY_API_KEY",
        "pp_test_demo",
        text,
        "API key of paypay's merchant; `.name` after it picks a run. Not there: that of PAYPAY_API_KEY.",
        secret=True,
        same_as="PAYPAY_API_KEY",
    ),
    Row(
        "ACQUIRER_PAYPAY_SECRET",
        "pp_test_secret",
        text,
        "Secret that signs the calls of paypay's merchant. Not there: that of PAYPAY_SECRET.",
        secret=True,
        same_as="PAYPAY_SECRET",
    ),
    Row(
        "ACQUIRER_PAYPAY_WEBHOOK_URL",
        "http://localhost:8000/webhooks/paypay",
        web_address,
        "Where paypay's webhooks go. PayPay keeps this address per merchant; a code names none.",
        same_as="SHOP_URL",
        path="/webhooks/paypay",
    ),
    Row("ACQUIRER_PAYPAY_CODE_SECONDS", "300", positive, "Seconds that a QR code of paypay can be paid."),
    Row("ACQUIRER_PAYPAY_REFUND_SECONDS", "30", positive, "Seconds until a refund of paypay is done."),
    Row(
        "ACQUIRER_PAYPAY_QUERIES_PER_SECOND",
        "4",
        positive,
        "Queries that paypay answers per second (wall time) and run; more get 429. 0: no limit.",
    ),
)
bp = Blueprint(NAME, __name__, url_prefix=PREFIX)


def merchant(name: str) -> Merchant:
    return Merchant(name, "Demo shop", setting("ACQUIRER_PAYPAY_WEBHOOK_URL"), setting("ACQUIRER_PAYPAY_SECRET"))


# --- authentication and limits --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Caller:
    merchant: str
    run: str


def _caller() -> Caller:
    """The caller, authenticated by the signature. Refuses with 401."""
    run = opa.verify(
        request.headers.get("Authorization", ""),
        setting("ACQUIRER_PAYPAY_API_KEY"),
        setting("ACQUIRER_PAYPAY_SECRET"),
        method=request.method,
        path=request.path.removeprefix(PREFIX),
        content_type=request.headers.get("Content-Type", ""),
        body=request.get_data(),
        now=wall_now(),
    )
    if request.headers.get("X-ASSUME-MERCHANT", "") not in ("", MERCHANT):
        raise result("OP_OUT_OF_SCOPE", "This API key cannot act for that merchant.")
    return Caller(MERCHANT, clock.enter_run(run))


def _slow_down(caller: Caller) -> None:
    """Refuse (429) when this run queries too often."""
    most = setting("ACQUIRER_PAYPAY_QUERIES_PER_SECOND")
    paces: Paces = current_app.extensions.setdefault("acquirer.paypay_paces", Paces())
    if most and not paces.allow(caller.run, max(1.0, math.floor(most))):
        raise Refused(429, "rate_limit", "RATE_LIMIT", "Too many requests", headers={"Retry-After": "1"})


def by_merchant_id(caller: Caller, merchant_payment_id: str) -> Payment | None:
    """The payment with this merchantPaymentId, if there is one."""
    found = engine.by_reference(caller.run, caller.merchant, merchant_payment_id)
    return next((payment for payment in found if payment.dialect == NAME), None)


def by_engine_id(caller: Caller, engine_id: str) -> Payment | None:
    found = engine.find(caller.run, engine_id)
    mine = found is not None and (found.id, found.dialect, found.merchant) == (engine_id, NAME, caller.merchant)
    return found if mine else None


def by_payment_id(caller: Caller, digits: str) -> Payment | None:
    """The payment with this id of PayPay's."""
    known = digits.isascii() and digits.isdigit() and len(digits) <= 40
    return by_engine_id(caller, f"pay_{int(digits):030x}") if known else None


# --- codes ------------------------------------------------------------------------------------------------------------


@bp.post("/v2/codes")
def create_code() -> Response:
    caller, sent = _caller(), body()
    session = _read_session(caller, sent)

    def doing(_: str) -> calls.Effect:
        payment = engine.open_session(session)  # locks the run's row, so that concurrent requests are serialised
        if by_merchant_id(caller, session.reference) != payment:
            raise result("DUPLICATE_DYNAMIC_QR_REQUEST")
        return success(201, code(payment))

    return respond(calls.perform(calls.Call(NAME, "start", caller.run), doing))


def _read_session(caller: Caller, sent: dict[str, Any]) -> engine.Session:
    if words(sent, "codeType", 20, "ORDER_QR") != "ORDER_QR":
        raise result("INVALID_REQUEST_PARAMS", "codeType must be ORDER_QR.")
    if words(sent, "redirectType", 20, "WEB_LINK") not in ("WEB_LINK", "APP_DEEP_LINK"):
        raise result("INVALID_REQUEST_PARAMS", "redirectType must be WEB_LINK or APP_DEEP_LINK.")
    if not isinstance(sent.get("isAuthorization", False), bool):
        raise result("INVALID_REQUEST_PARAMS", "isAuthorization must be true or false.")
    return engine.Session(
        run=caller.run,
        dialect=NAME,
        merchant=caller.merchant,
        reference=own_id(sent, "merchantPaymentId"),
        amount=yen(sent),
        currency=CURRENCY,
        return_url=_return_url(sent),
        webhook_url=merchant(caller.merchant).webhook_url,
        expires_at=engine.default_end(caller.run, setting("ACQUIRER_PAYPAY_CODE_SECONDS")),
        capture_method="manual" if sent.get("isAuthorization") else "automatic",
        description=words(sent, "orderDescription", 255, ""),
        wire=_kept(sent),
    )


def _kept(sent: dict[str, Any]) -> dict[str, Any]:
    found = {name: sent[name] for name in KEPT if sent.get(name) is not None}
    for name, value in found.items():
        if not isinstance(value, KEPT[name]) or isinstance(value, bool):
            raise result("INVALID_REQUEST_PARAMS", f"{name} is invalid.")
    return found


def _return_url(sent: dict[str, Any]) -> str:
    """Redirect address after payment; a code that is only scanned has none."""
    url = words(sent, "redirectUrl", 1000, "")
    try:
        return url and targets.origin_of(url) and url
    except ValueError as wrong:
        raise result("INVALID_REQUEST_PARAMS", "redirectUrl must be an http or https address.") from wrong


@bp.delete("/v2/codes/<named>")
def delete_code(named: str) -> Response:
    caller, _ = _caller(), body()
    payment = by_engine_id(caller, "pay_" + named.removeprefix("04-")) if named.startswith("04-") else None
    if payment is None:
        raise result("DYNAMIC_QR_NOT_FOUND")

    def doing(_: str) -> calls.Effect:
        if payment.state in ("captured", "authorized"):
            raise result("DYNAMIC_QR_ALREADY_PAID")
        if payment.state in ("voided", "failed", "expired"):
            raise result("DYNAMIC_QR_NOT_FOUND")
        _end(payment, "DYNAMIC_QR_ALREADY_PAID")
        return success(200, {})

    return respond(calls.perform(calls.Call(NAME, "cancel", caller.run, payment), doing))


def _end(payment: Payment, too_late: str) -> None:
    """Cancel the payment; refuses with `too_late` when its state has changed meanwhile."""
    try:
        engine.cancel(payment, "merchant")
    except Refused as quicker:
        raise result(too_late) from quicker


# --- payments ---------------------------------------------------------------------------------------------------------


@bp.get("/v2/codes/payments/<merchant_payment_id>")
@bp.get("/v2/payments/<merchant_payment_id>")
def show(merchant_payment_id: str) -> Response:
    """The payment of a code. A code that expired unpaid is not found."""
    caller = _caller()
    _slow_down(caller)
    payment = by_merchant_id(caller, merchant_payment_id)

    def doing(shows: str) -> calls.Effect:
        if payment is None or shows == "nothing" or payment.state == "expired":
            raise result("DYNAMIC_QR_PAYMENT_NOT_FOUND")
        return success(200, details(payment, as_created=shows == "created"))

    return respond(calls.perform(calls.Call(NAME, "query", caller.run, payment), doing))


@bp.delete("/v2/payments/<merchant_payment_id>")
def cancel_payment(merchant_payment_id: str) -> Response:
    """Cancel by the merchant's id in any state; accepted at once, visible in queries a little later."""
    caller = _caller()
    payment = by_merchant_id(caller, merchant_payment_id)
    if payment is None:
        raise result("RESOURCE_NOT_FOUND")

    def doing(_: str) -> calls.Effect:
        if payment.state != "voided":
            _cancel(payment)
        return success(202, None, "REQUEST_ACCEPTED")

    return respond(calls.perform(calls.Call(NAME, "cancel", caller.run, payment), doing))


def _cancel(payment: Payment) -> None:
    """Close an open code, void an authorisation, refund a capture within the cancel window."""
    if payment.state in ("failed", "expired"):
        raise result("ORDER_NOT_REVERSIBLE")
    shown_meanwhile = STATES[payment.state]
    if payment.state == "captured":
        _reverse(payment)
    else:
        _end(payment, "ORDER_NOT_REVERSIBLE")
    payment.wire = payment.wire | {"canceled": shown_meanwhile}


def _reverse(payment: Payment) -> None:
    if payment.wire.get("canceled"):
        return
    if payment.refunds or not opa.is_reversible(payment.captures[0].captured_at, clock.now(payment.run)):
        raise result("ORDER_NOT_REVERSIBLE")
    for taken in payment.captures:
        refunds.refund(payment, None, f"reversal {taken.position}", capture_id=taken.id, wait=CANCEL_TAKES)


@bp.post("/v2/payments/capture")
def capture_payment() -> Response:
    """Capture all or part of an authorised code (`isAuthorization`). A repeated id changes nothing."""
    caller, sent = _caller(), body()
    amount, name = yen(sent), own_id(sent, "merchantCaptureId")
    payment = by_merchant_id(caller, own_id(sent, "merchantPaymentId"))
    if payment is None:
        raise result("RESOURCE_NOT_FOUND")

    def doing(_: str) -> calls.Effect:
        if name not in payment.wire.get("captures", {}).values():
            _take(payment, amount, name)
        return success(200, details(payment))

    return respond(calls.perform(calls.Call(NAME, "capture", caller.run, payment), doing))


def _take(payment: Payment, amount: int, name: str) -> None:
    if amount > payment.amount:
        raise result("HIGHER_CAPTURE_NOT_PERMITTED")
    try:
        engine.capture(payment, amount)
    except Refused as refused:
        raise result("ALREADY_CAPTURED" if payment.state == "captured" else "ORDER_NOT_CAPTURABLE") from refused
    payment.wire = payment.wire | {"captures": {payment.captures[0].id: name}}


@bp.post("/v2/payments/preauthorize/revert")
def revert() -> Response:
    """Void an authorisation."""
    caller, sent = _caller(), body()
    own_id(sent, "merchantRevertId")
    payment = by_payment_id(caller, words(sent, "paymentId", 64))
    if payment is None:
        raise result("RESOURCE_NOT_FOUND")

    def doing(_: str) -> calls.Effect:
        if payment.state not in ("authorized", "voided"):
            raise result("ORDER_NOT_CANCELABLE")
        _end(payment, "ORDER_NOT_CANCELABLE")
        at = seconds(payment.ended_at)
        return success(200, {"status": "CANCELED", "paymentId": payment_id(payment), "acceptedAt": at})

    return respond(calls.perform(calls.Call(NAME, "cancel", caller.run, payment), doing))


# --- refunds ---------------------------------------------------------------------------------------------------------


@bp.post("/v2/refunds")
@bp.post("/v2/refunds/")
def create_refund() -> Response:
    """Create a refund; a query shows when it succeeds. A repeated merchantRefundId returns the first refund."""
    caller, sent = _caller(), body()
    name, reason = own_id(sent, "merchantRefundId"), words(sent, "reason", 255, "")
    known = _refund(caller, name)
    payment = known[1] if known else by_payment_id(caller, words(sent, "paymentId", 64))
    if payment is None:
        raise result("RESOURCE_NOT_FOUND")
    amount = yen(sent, payment.captures[0].currency if payment.captures else CURRENCY)
    kept = {"requestedAt": sent["requestedAt"]} if isinstance(sent.get("requestedAt"), int) else {}

    def doing(_: str) -> calls.Effect:
        before = _refund(caller, name)
        made = before[0] if before else _send_back(payment, amount, name, reason, kept)
        return success(201, refund(payment, made))

    return respond(calls.perform(calls.Call(NAME, "refund", caller.run, payment), doing))


def _send_back(payment: Payment, amount: int, name: str, reason: str, kept: dict[str, Any]) -> Refund:
    takes = timedelta(seconds=setting("ACQUIRER_PAYPAY_REFUND_SECONDS"))
    try:
        return refunds.refund(payment, amount, name, reason=reason, wait=takes, wire=kept)
    except Refused as refused:
        raise result("INVALID_PARAMS" if refused.code == "amount_too_large" else "UNACCEPTABLE_OP") from refused


def _refund(caller: Caller, name: str) -> tuple[Refund, Payment] | None:
    """The merchant's refund with the id in this field."""
    mine = (Payment.run == caller.run, Payment.dialect == NAME, Payment.merchant == caller.merchant)
    rows = select(Refund, Payment).join(Payment, Payment.id == Refund.payment_id)
    row = db.session.execute(rows.where(*mine, Refund.reference == name).limit(1)).one_or_none()
    return (row[0], row[1]) if row else None


@bp.get("/v2/refunds/<merchant_refund_id>")
def show_refund(merchant_refund_id: str) -> Response:
    caller = _caller()
    _slow_down(caller)
    found = _refund(caller, merchant_refund_id) if engine.REFERENCE.fullmatch(merchant_refund_id) else None

    def doing(shows: str) -> calls.Effect:
        if found is None or shows == "nothing":
            raise result("NO_SUCH_REFUND_ORDER")
        return success(200, refund(found[1], found[0]))

    return respond(calls.perform(calls.Call(NAME, "query_refund", caller.run, found[1] if found else None), doing))


# --- webhooks and errors ----------------------------------------------------------------------------------------------


def unsigned(keys: list[str], event_id: str, at: datetime, body: bytes) -> Signed:
    """No signature: PayPay's webhooks are unsigned, so a merchant must query the payment."""
    return Signed({}, body, "")


def refuse(refused: Refused) -> Response:
    """An error in PayPay's format."""
    status, info = opa.info(refused)
    body = compact({"resultInfo": info, "data": None})
    return Response(body, status, refused.headers, content_type="application/json;charset=UTF-8")


DIALECT = Dialect(
    name=NAME,
    title="PayPay",
    prefix=PREFIX + "/",
    settings=SETTINGS,
    blueprint=bp,
    merchant=merchant,
    event_body=event_body,
    tells=tuple(TELLS),
    settlement=SETTLEMENT,
    sign=unsigned,
    signature_header="",
    acknowledged=lambda status, answer: status == 200,
    ack_within=2.0,
    retries=(0, 0.1, 0.1, 0.1),
    jitter=0.0,
    refuse=refuse,
    wallet=True,
)
