"""Refunds: request, list, show, approve, decline."""

from __future__ import annotations

from typing import Any

from shop.accounts.permissions import Permission
from shop.api import idempotency, paging, versions
from shop.api.access import Caller, api_access, caller
from shop.api.idempotency import idempotent
from shop.api.payments import PARAMETERS as PAYMENT_PARAMETERS
from shop.api.payments import payment_of
from shop.api.problems import problems
from shop.api.resource import ROOT, Invalid, Resource
from shop.api.schemas import refunds as schemas
from shop.core.db import db
from shop.core.errors import BadInput, Refusal
from shop.core.money import Money
from shop.orders.models import Order
from shop.payments.records.models import Payment, Refund
from shop.payments.records.types import Allocation, RefundDestination
from shop.payments.refunds import listed, requests

of_payments = Resource("Refunds of payments", __name__, "/payments", "Refunds of one payment.")
bp = Resource("Refunds", __name__, "/refunds", "Refunds, and their approval by a second person.")
REQUEST, APPROVE, READ = Permission.REFUND_REQUEST, Permission.REFUND_APPROVE, Permission.ORDER_READ
ACCEPT = Permission.PAYMENT_ACCEPT_AMOUNT
_ID = {"description": "`id` of the refund.", "schema": {"type": "string", "maxLength": 40}}
PARAMETERS = [{"in": "path", "name": "refund_id", "required": True} | _ID]
HEADERS = versions.HEADERS | {"Location": {"description": "Address of the refund.", "schema": {"type": "string"}}}
REQUEST_PROBLEMS = ("unknown_payment", "not_refundable", "choose_capture", "bad_amount", "no_account")
"""Refusals of a new refund."""


@of_payments.route("/<payment_id>/refunds", methods=["POST"], parameters=PAYMENT_PARAMETERS)
@api_access(REQUEST)
@idempotent()
@problems(*REQUEST_PROBLEMS)
@of_payments.arguments(schemas.NewRefundSchema, example=schemas.NEW_REFUND)
@of_payments.response(201, schemas.RefundSchema, example=schemas.EXAMPLE, headers=HEADERS)
def create(body: dict[str, Any], payment_id: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Request a refund

    It is sent within seconds. Above the limit of one person for an order, or to a bank account, it waits for a second
    person: `awaits_approval` is true. When `expected_refundable` is not true any more, the answer is 409 with the
    present number.
    """
    return request(payment_id, body)


def request(payment_id: str, body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The answer with the refund that this request makes, or has made before."""
    found = caller()
    row = payment_of(found, payment_id, REQUEST)
    refund_id = idempotency.resumed() or _requested(found, row.id, body)
    answer, headers = _answer(found, db.session.get_one(Refund, refund_id, populate_existing=True))
    return answer, headers | {"Location": f"{ROOT}/refunds/{refund_id}"}


def _requested(found: Caller, payment_id: str, body: dict[str, Any]) -> str:
    """The id of a new refund. Raises what `requests.request` raises."""
    capture = listed.to_refund(db.session.get_one(Payment, payment_id), body.get("capture_id")).capture
    if capture.allocation == Allocation.MISMATCH and not found.may(ACCEPT):
        raise Refusal("forbidden", f"The refund of a wrong amount decides its review, and needs {ACCEPT} too.")
    if body.get("currency", capture.currency) != capture.currency:
        detail = f"The payment is in {capture.currency}."
        raise Invalid([{"pointer": "/currency", "code": "invalid", "detail": detail}])
    db.session.rollback()
    return requests.request(
        capture.id,
        Money(body["amount"], capture.currency),
        reason=body["reason"],
        by=found.actor(REQUEST),
        expected_refundable=body["expected_refundable"],
        to=body["destination"],
        created=idempotency.claim,
    ).id


@of_payments.route("/<payment_id>/refunds", methods=["GET"], parameters=PAYMENT_PARAMETERS)
@api_access("customer", "order_token", READ)
@problems("unknown_payment")
@of_payments.arguments(schemas.RefundQuery, location="query")
@of_payments.response(
    200,
    schemas.RefundPageSchema,
    headers=paging.HEADERS,
    example={
        "items": [schemas.EXAMPLE],
        "total": 1,
        "limit": 20,
        "page": 1,
        "refundable": {"amount": 100000, "currency": "TWD"},
        "captures": [schemas.CAPTURE],
    },
)
def index(query: dict[str, Any], payment_id: str) -> tuple[dict[str, Any], dict[str, str]]:
    """List refunds of a payment, the newest first, and what can be refunded

    `refundable` is what a new refund names as `expected_refundable`.
    """
    found, page = caller(), paging.wanted(query)
    payment = db.session.get_one(Payment, payment_of(found, payment_id).id)
    rows, total = listed.of_payment(payment.id, limit=page.limit, offset=page.offset)
    items = [body_of(found, one) for one in rows]
    body, headers = paging.answer(items, total, page)
    return body | schemas.refundable(listed.captures(payment), payment.currency), headers


@bp.route("/<refund_id>", methods=["GET"], parameters=PARAMETERS)
@api_access("customer", "order_token", READ)
@problems("unknown_refund")
@bp.response(200, schemas.RefundSchema, example=schemas.EXAMPLE, headers=versions.HEADERS)
def show(refund_id: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Show a refund

    `ETag` is its version, for If-Match of `approve` and `decline`.
    """
    found = caller()
    return _answer(found, refund_of(found, refund_id))


@bp.route("/<refund_id>/approve", methods=["POST"], parameters=[*PARAMETERS, versions.IF_MATCH])
@api_access(APPROVE)
@idempotent()
@problems("unknown_refund", "version_changed", "not_to_approve", "disputed", "request_lapsed", "not_checked")
@bp.arguments(schemas.ApproveSchema, example={}, required=False)
@bp.response(
    200,
    schemas.RefundSchema,
    example=schemas.EXAMPLE | {"approved_by": "staff:4"},
    headers=versions.HEADERS,
)
def approve(body: dict[str, Any], refund_id: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Approve a refund as the second person

    It is then sent. The second person is another account than the one that requested it.
    """
    found = caller()
    refund = refund_of(found, refund_id, APPROVE)
    versions.demand_match(body_of(found, refund))
    if refund.destination == RefundDestination.BANK and not body.get("money_was_sent"):
        raise BadInput("not_checked", "Check that the money was sent to the customer's bank account, and confirm it.")
    db.session.rollback()
    requests.approve(refund_id, found.actor(APPROVE))
    return _answer(found, refund_of(found, refund_id, APPROVE))


@bp.route("/<refund_id>/decline", methods=["POST"], parameters=[*PARAMETERS, versions.IF_MATCH])
@api_access(REQUEST)
@idempotent(required=False)
@problems("unknown_refund", "version_changed", "not_to_decline")
@bp.arguments(schemas.DeclineSchema, example={"reason": "Wrong amount"})
@bp.response(
    200,
    schemas.RefundSchema,
    example=schemas.EXAMPLE | {"state": "REJECTED"},
    headers=versions.HEADERS,
)
def decline(body: dict[str, Any], refund_id: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Decline a refund that waits for approval, or withdraw one's own

    The order keeps its money.
    """
    found = caller()
    versions.demand_match(body_of(found, refund_of(found, refund_id, REQUEST)))
    db.session.rollback()
    requests.decline(refund_id, found.actor(REQUEST), reason=body["reason"])
    return _answer(found, refund_of(found, refund_id, REQUEST))


def refund_of(found: Caller, refund_id: str, permission: Permission = READ) -> Refund:
    """The refund that a caller may see: any for staff with the permission, else one of an own order.

    Raises Refusal `unknown_refund` (404), which does not tell whether there is such a refund.
    """
    refund = db.session.get(Refund, refund_id, populate_existing=True)
    order = db.session.get(Order, refund.order_id) if refund and not found.may(permission) else None
    if refund is None or not (found.may(permission) or (order and found.owns(order.id, order.user_id))):
        raise Refusal("unknown_refund", "There is no such refund, or you have no access to it.")
    return refund


def body_of(found: Caller, refund: Refund) -> dict[str, Any]:
    """The body of a refund: its reason and the people only for staff who may read orders, or decide about refunds."""
    return schemas.refund(refund, for_staff=found.may(READ) or found.may(REQUEST) or found.may(APPROVE))


def _answer(found: Caller, refund: Refund) -> tuple[dict[str, Any], dict[str, str]]:
    body = body_of(found, refund)
    return body, versions.headers(body)
