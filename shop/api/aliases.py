"""Aliases whose bodies are not those of v1: start a payment, refund, and the notifications of an acquirer.

Amounts of requests are major units; answers are those of v1. `root` has all aliases, and their addresses.
"""

from __future__ import annotations

from typing import Any

from flask import Response, abort, request

from shop.accounts.permissions import Permission
from shop.api import payments, refunds
from shop.api.access import api_access, caller
from shop.api.idempotency import idempotent
from shop.api.orders import order_of
from shop.api.problems import problems
from shop.api.rate_limits import NOTIFICATIONS, PAYMENTS
from shop.api.resource import Invalid, Resource
from shop.api.root import TAG
from shop.api.schemas import aliases as schemas
from shop.api.schemas import payments as payment_schemas
from shop.api.schemas import refunds as refund_schemas
from shop.core.errors import Away, BadInput, Refusal
from shop.core.money import Money
from shop.payments.providers import registry
from shop.payments.records.types import RefundDestination
from shop.payments.webhooks import inbox

bp = Resource(TAG, __name__, "/aliases", "Calls at the root of the site, for programs that expect them there.")
_NOTIFIER = "tpay"
_REASON = "Requested by a program"
_FORM = {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}}
_SIGNATURE = {"in": "header", "name": "X-Signature", "schema": {"type": "string"}, "description": "HMAC of the body."}


@bp.route("/payments", methods=["POST"])
@api_access("customer", "order_token", policy=PAYMENTS)
@idempotent(required=False)
@problems(*payments.START_PROBLEMS, "amount_mismatch")
@bp.arguments(schemas.PayByAliasSchema, example={"provider": "kpay", "amount": 1180, "orderId": 42})
@bp.response(201, payment_schemas.PaymentSchema, example=payment_schemas.EXAMPLE, headers=payments.LOCATION)
@bp.alt_response(
    200,
    schema=payment_schemas.PaymentSchema,
    headers=payments.LOCATION,
    example=payment_schemas.EXAMPLE,
    description="The payment of this order that is open at this provider.",
)
@bp.alt_response(
    202,
    schema=payment_schemas.PaymentSchema,
    headers=payments.LOCATION,
    example=payment_schemas.EXAMPLE,
    description="The provider has not answered yet.",
)
def pay(body: dict[str, Any]) -> Response:
    """Start a payment

    `amount` is in major units and must be what is to be paid for the order. Without an Idempotency-Key the order's open
    payment at the provider is answered, if there is one.
    """
    order = order_of(caller(), body["order_id"], None)
    if _money(body["amount"], order.currency, "/amount") != order.to_pay:
        expected = order.to_pay.decimal()
        message = f"{expected} {order.currency} are to be paid for this order."
        errors = [{"pointer": "/amount", "code": "amount_mismatch", "detail": message}]
        raise BadInput("amount_mismatch", message, errors=errors, expected=expected)
    return payments.start(order.id, body["provider"])


@bp.route("/payments/refund/<payment_id>", methods=["POST"], parameters=payments.PARAMETERS)
@api_access(Permission.REFUND_REQUEST)
@idempotent(required=False)
@problems(*refunds.REQUEST_PROBLEMS, "expected_refundable_needed")
@bp.arguments(schemas.RefundByAliasSchema, example={"amount": 180, "expected_refundable": 1180, "reason": "Damaged"})
@bp.response(201, refund_schemas.RefundSchema, example=refund_schemas.EXAMPLE, headers=refunds.HEADERS)
def refund(body: dict[str, Any], payment_id: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Request a refund

    `amount` and `expected_refundable` are in major units. If the latter is not true any more, nothing is done.
    """
    currency = payments.payment_of(caller(), payment_id, Permission.REFUND_REQUEST).currency
    if "expected_refundable" not in body:
        raise Refusal("expected_refundable_needed", "State the refundable amount as `expected_refundable`.")
    wanted = {
        "amount": _money(body["amount"], currency, "/amount").amount,
        "expected_refundable": _money(body["expected_refundable"], currency, "/expected_refundable").amount,
        "reason": body["reason"] or _REASON,
        "destination": RefundDestination.PROVIDER,
    }
    try:
        return refunds.request(payment_id, wanted)
    except Refusal as refusal:
        if "refundable" in refusal.details:
            refusal.details["expected_refundable"] = Money(refusal.details["refundable"], currency).decimal()
        raise


@bp.route("/payments/notify", methods=["POST"], parameters=[_SIGNATURE])
@api_access("public", policy=NOTIFICATIONS)
@problems("bad_signature", "malformed_notification", "notification_changed", "unavailable", "too_large", "not_found")
@bp.doc(requestBody=_FORM)
@bp.response(200, {"type": "string"}, content_type="text/plain", example="1|OK")
def notify() -> Response:
    """Receive a notification of the acquirer Tpay

    Verified as at `/webhooks/tpay`, and stored in the same inbox.
    """
    provider = registry.get(_NOTIFIER)
    if provider is None:
        abort(404)
    raw = request.get_data(cache=True)
    status, text = inbox.receive(provider, {key.lower(): value for key, value in request.headers.items()}, raw)
    if status == 200:
        return Response(text, mimetype="text/plain")
    if status == 401:
        raise Refusal("bad_signature", "No secret of the shop has signed this notification.")
    if status == 400:
        raise Refusal("malformed_notification", "The notification could not be read.")
    if status == 409:
        raise Refusal("notification_changed", "Another notification with the same id has been received before.")
    raise Away("unavailable", "The notification could not be stored. Send it again.")


def _money(decimal: str, currency: str, pointer: str) -> Money:
    """The amount that a request states. Raises Invalid."""
    try:
        return Money.parse(decimal, currency)
    except ValueError as error:
        raise Invalid([{"pointer": pointer, "code": "invalid", "detail": f"{error}."}]) from error
