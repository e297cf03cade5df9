"""Payments: start, show, ask the provider, cancel."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify
from sqlalchemy import bindparam, select

from shop.accounts.permissions import Permission
from shop.api import idempotency
from shop.api.access import Caller, api_access, caller, count
from shop.api.idempotency import idempotent
from shop.api.orders import order_of
from shop.api.problems import problems
from shop.api.rate_limits import PAYMENTS, REFRESH
from shop.api.resource import ROOT, Resource, pointed
from shop.api.schemas import payments as schemas
from shop.checkout import end_order
from shop.core.db import db, table
from shop.core.errors import BadInput, Refusal
from shop.orders.models import Order
from shop.payments.initiation import initiate
from shop.payments.polling import poll, requested
from shop.payments.providers.types import PaymentState
from shop.payments.records.models import Payment
from shop.payments.records.states import STILL_OPEN
from shop.payments.records.types import Source

bp = Resource(
    "Payments",
    __name__,
    "/payments",
    "Payments of orders at the acquirers. Guests use the order's `token` as Bearer token.",
)
_ID = {"description": "`id` of the payment.", "schema": {"type": "string", "maxLength": 40}}
PARAMETERS = [{"in": "path", "name": "payment_id", "required": True} | _ID]
START_PROBLEMS = (
    *("unknown_order", "unknown_method", "cannot_charge", "not_payable", "confirming", "too_late", "too_soon"),
    "too_many_payments",
)
"""Refusals of a new payment."""
LOCATION = {"Location": {"description": "Address of the payment.", "schema": {"type": "string"}}}
_NOT_ANSWERED = frozenset({PaymentState.CREATED, PaymentState.UNKNOWN})
_P = table(Payment).c
_SHOWN = (
    *(_P.id, _P.order_id, _P.provider, _P.state, _P.amount, _P.currency, _P.action, _P.expires_at, _P.created_at),
    *(_P.ended_at, _P.end_reason, _P.last_decline, _P.cancel_requested_at),
)
FIND = (
    select(*_SHOWN, table(Order).c.user_id)
    .join(table(Order), table(Order).c.id == _P.order_id)
    .where(_P.id == bindparam("payment"))
)


def payment_of(found: Caller, payment_id: str, permission: Permission = Permission.ORDER_READ) -> Any:
    """The columns of a payment that a caller may use: any for staff with the permission, else one of an own order.

    One statement. Raises Refusal `unknown_payment` (404), which does not tell whether there is such a payment.
    """
    row = db.session.connection().execute(FIND, {"payment": payment_id}).first()
    if row is None or not (found.may(permission) or found.owns(row.order_id, row.user_id)):
        raise Refusal("unknown_payment", "There is no such payment, or you have no access to it.")
    return row


def start(order_id: int, provider: str) -> Response:
    """The answer with the order's open payment, which is started unless there is one: 201 for a new one, 200 for that
    which was open, 202 while the provider has not answered. Raises what `initiate.open_payment` raises.
    """
    is_new = True

    def claim(payment_id: str, new: bool) -> None:
        nonlocal is_new
        is_new = new
        idempotency.claim(payment_id)

    payment_id = idempotency.resumed()
    if not payment_id:
        try:
            payment_id = initiate.open_payment(order_id, provider, created=claim).id
        except BadInput as refusal:
            raise pointed(refusal, "/provider") from refusal
    return _answer(payment_id, is_new=is_new)


def _answer(payment_id: str, *, is_new: bool) -> Response:
    db.session.rollback()
    row = db.session.execute(FIND, {"payment": payment_id}).one()
    response = jsonify(schemas.payment(row))
    response.status_code = 202 if row.state in _NOT_ANSWERED else 201 if is_new else 200
    response.headers["Location"] = f"{ROOT}/payments/{payment_id}"
    return response


@bp.route("", methods=["POST"])
@api_access("customer", "order_token", policy=PAYMENTS)
@idempotent()
@problems(*START_PROBLEMS)
@bp.arguments(schemas.NewPaymentSchema, example=schemas.NEW_PAYMENT)
@bp.response(201, schemas.PaymentSchema, example=schemas.EXAMPLE, headers=LOCATION)
@bp.alt_response(
    200,
    schema=schemas.PaymentSchema,
    example=schemas.EXAMPLE,
    description="The payment of this order that is open at this provider.",
    headers=LOCATION,
)
@bp.alt_response(
    202,
    schema=schemas.PaymentSchema,
    example=schemas.UNKNOWN,
    description="The provider has not answered. The shop asks it until it knows; `GET /payments/{id}` shows the truth.",
    headers=LOCATION,
)
def create(body: dict[str, Any]) -> Response:
    """Start a payment

    An order has one open payment: the one at this provider is answered again, one at another provider is closed first.
    If the provider refuses or cannot be reached, `state` is FAILED and `end_reason` says why.
    """
    order = order_of(caller(), body["order_id"], None)
    return start(order.id, body["provider"])


@bp.route("/<payment_id>", methods=["GET"], parameters=PARAMETERS)
@api_access("customer", "order_token", Permission.ORDER_READ)
@problems("unknown_payment")
@bp.arguments(schemas.PaymentQuery, location="query")
@bp.response(200, schemas.PaymentSchema, example=schemas.EXAMPLE)
def show(query: dict[str, Any], payment_id: str) -> dict[str, Any]:
    """Show a payment

    With `refresh=true` the provider is asked first, while the payment is open; such calls have a lower limit.
    """
    row = payment_of(caller(), payment_id)
    if query["refresh"] == "true":
        count(REFRESH)
        if row.state in STILL_OPEN:
            poll.check_now(row.order_id, Source.VIEW)
            row = _read(payment_id)
    return schemas.payment(row)


@bp.route("/<payment_id>/sync", methods=["POST"], parameters=PARAMETERS)
@api_access(Permission.PAYMENT_SYNC)
@idempotent(required=False)
@problems("unknown_payment")
@bp.response(200, schemas.ChangedPaymentSchema, example=schemas.EXAMPLE)
def sync(payment_id: str) -> dict[str, Any]:
    """Ask the provider about the open payment now

    At most every 2 seconds. The audit log has an entry.
    """
    found = caller()
    row = payment_of(found, payment_id, Permission.PAYMENT_SYNC)
    requested.query_now(db.session.get_one(Order, row.order_id), by=found.actor(Permission.PAYMENT_SYNC))
    body = schemas.payment(_read(payment_id))
    return body if found.may(Permission.ORDER_READ) else {name: body[name] for name in schemas.SEEN}


@bp.route("/<payment_id>/cancel", methods=["POST"], parameters=PARAMETERS)
@api_access("customer", "order_token")
@idempotent(required=False)
@problems("unknown_payment", "already_paid")
@bp.response(200, schemas.PaymentSchema, example=schemas.EXAMPLE | {"state": "CANCELLED", "next_action": None})
def cancel(payment_id: str) -> dict[str, Any]:
    """Close an open payment; the order stays

    It is closed at its provider; until that has happened, `is_being_cancelled` is true. A repetition changes nothing.
    """
    row = payment_of(caller(), payment_id)
    if row.state == PaymentState.CAPTURED:
        raise Refusal("already_paid", "This payment has been captured. Its money can be refunded.")
    if row.state in STILL_OPEN:
        end_order.cancel_payment(row.order_id)
    return schemas.payment(_read(payment_id))


def _read(payment_id: str) -> Any:
    """The columns of a payment as they are now."""
    db.session.rollback()
    return db.session.execute(FIND, {"payment": payment_id}).one()
