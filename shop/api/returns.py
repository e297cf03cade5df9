"""Returns: those of an order, request and withdraw one, and for staff list, accept, decline, receive, refund, close."""

from __future__ import annotations

from typing import Any

from flask import request

from shop.accounts.permissions import Permission
from shop.api import paging
from shop.api.access import Caller, api_access, caller
from shop.api.idempotency import HEADER, idempotent
from shop.api.orders import PARAMETERS as ORDER_PARAMETERS
from shop.api.orders import order_of
from shop.api.problems import problems
from shop.api.refunds import body_of as refund_body
from shop.api.resource import ROOT, Resource, pointed
from shop.api.schemas import returns as schemas
from shop.api.schemas.fields import money
from shop.core import clock, ids
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.errors import BadInput
from shop.core.money import Money
from shop.orders.models import Order
from shop.payments.records.types import RefundDestination
from shop.returns import decide, handling, load, pages, refunding, requests
from shop.returns.decide import Wanted
from shop.returns.models import Return
from shop.returns.states import ReturnReason, ReturnState

of_orders = Resource("Returns of orders", __name__, "/orders", "Returns of one order.")
bp = Resource("Returns", __name__, "/returns", "Returns, which staff accept or decline, receive and refund.")
READ, REQUEST = Permission.RETURN_READ, Permission.RETURN_REQUEST
DECIDE, RECEIVE, REFUND = Permission.RETURN_DECIDE, Permission.RETURN_RECEIVE, Permission.REFUND_REQUEST
_ID = {"description": "`id` of the return.", "schema": {"type": "integer", "minimum": 1, "maximum": 2147483647}}
PARAMETERS = [{"in": "path", "name": "return_id", "required": True} | _ID]
_HEADERS = {"Location": {"description": "Address of the return, for staff.", "schema": {"type": "string"}}}


@of_orders.route("/<int:order_id>/returns", methods=["GET"], parameters=ORDER_PARAMETERS)
@api_access("customer", "order_token", READ)
@problems("unknown_order")
@of_orders.response(
    200,
    schemas.OrderReturnsSchema,
    example={"items": [schemas.EXAMPLE], "returnable": [{"sku": "PEN-01", "quantity": 2}]},
)
def of_order(order_id: int) -> dict[str, Any]:
    """List the returns of an order, the newest first, and what can be returned

    `returnable` is empty when the time has ended or all units are returned. Staff can request a return after the time.
    """
    order = order_of(caller(), order_id, READ)
    found = pages.of_order(order.id)
    lines = pages.lines_of([one.id for one in found])
    seen = load.snapshot(order.id, lock=False)
    is_refused = decide.refusal(seen, clock.now(), requests.days()) is not None
    left = {} if is_refused else seen.left()
    return {
        "items": [schemas.full(one, order.number, lines[one.id]) for one in found],
        "returnable": [{"sku": sku, "quantity": units} for sku, units in left.items() if units],
    }


@of_orders.route("/<int:order_id>/returns", methods=["POST"], parameters=ORDER_PARAMETERS)
@api_access("customer", "order_token", REQUEST)
@idempotent(required=False)
@problems("unknown_order", "not_returnable", "too_many_returns", "nothing_to_return", "return_too_late")
@problems("returned_before", "unknown_line", "form_used")
@of_orders.arguments(schemas.NewReturnSchema, example=schemas.NEW_RETURN)
@of_orders.response(201, schemas.ChangedReturnSchema, example=schemas.EXAMPLE, headers=_HEADERS)
def create(body: dict[str, Any], order_id: int) -> tuple[dict[str, Any], dict[str, str]]:
    """Request a return

    Staff accept or decline it, and the customer gets a mail. Send an Idempotency-Key, or a repetition requests another
    return of the units that are left.
    """
    found = caller()
    order = order_of(found, order_id, REQUEST)
    skus = [line["sku"] for line in body["lines"]]
    wanted = Wanted.of({line["sku"]: line["quantity"] for line in body["lines"]}, body["reason"], body["comment"])
    key = request.headers.get(HEADER)
    form_key = ids.named_by("return", f"{found.id} {key}") if key else ids.token()
    try:
        reference = requests.request(order.id, wanted, by=found.actor(REQUEST), form_key=form_key)
    except BadInput as refusal:
        if (sku := refusal.details.get("sku")) in skus:
            raise pointed(refusal, f"/lines/{skus.index(sku)}") from refusal
        raise
    one = db.session.scalars(db.select(Return).where(Return.reference == reference)).one()
    return _seen(found, one, order.number, order), {"Location": f"{ROOT}/returns/{one.id}"}


@of_orders.route(
    "/<int:order_id>/returns/<int:return_id>/withdraw", methods=["POST"], parameters=[*ORDER_PARAMETERS, *PARAMETERS]
)
@api_access("customer", "order_token")
@idempotent(required=False)
@problems("unknown_order", "unknown_return", "not_withdrawn")
@of_orders.response(200, schemas.ReturnSchema, example=schemas.EXAMPLE | {"state": "WITHDRAWN"})
def withdraw(order_id: int, return_id: int) -> dict[str, Any]:
    """Withdraw a return before it is received

    Its units can be returned again. A repetition changes nothing.
    """
    found = caller()
    order = order_of(found, order_id, None)
    one, number = _existing(return_id)
    if one.order_id != order.id:
        raise load.unknown()
    requests.withdraw(order.id, one.reference, by=Actor.customer(found.customer_id))
    return _seen(found, _existing(return_id)[0], number, order)


@bp.route("", methods=["GET"])
@api_access(READ)
@problems("bad_position")
@paging.lists(bp, schemas.ReturnQuery, schemas.ReturnPageSchema, schemas.LISTED)
def index(query: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """List returns, the newest first

    Those in the states REQUESTED and RECEIVED wait for staff.
    """
    page = paging.wanted(query)
    filters = pages.Filters(
        (ReturnState(query["state"]),) if "state" in query else (),
        (ReturnReason(query["reason"]),) if "reason" in query else (),
    )
    found, total = pages.find(filters, page.place, page.limit, offset=page.offset), pages.count(filters)
    items, is_exact = [schemas.listed(row) for row in found.rows], total <= pages.COUNTED
    return paging.answer(items, min(total, pages.COUNTED), page, is_exact=is_exact, next_cursor=found.older)


@bp.route("/<int:return_id>", methods=["GET"], parameters=PARAMETERS)
@api_access(READ)
@problems("unknown_return")
@bp.response(200, schemas.ShownReturnSchema, example=schemas.SHOWN)
def show(return_id: int) -> dict[str, Any]:
    """Show a return

    With its units, the texts of the customer and of the shop, its refunds, and what can be refunded for it now.
    """
    one, number = _existing(return_id)
    refundable = {"refundable": money(refunding.refundable(one))}
    return schemas.full(one, number, pages.lines_of([one.id])[one.id]) | refundable | _refunds(return_id)


@bp.route("/<int:return_id>/accept", methods=["POST"], parameters=PARAMETERS)
@api_access(DECIDE)
@idempotent(required=False)
@problems("unknown_return", "return_moved")
@bp.arguments(schemas.AcceptSchema, example={"message": "Please wrap it well"}, required=False)
@bp.response(200, schemas.ChangedReturnSchema, example=schemas.EXAMPLE | {"state": "ACCEPTED"})
def accept(body: dict[str, Any], return_id: int) -> dict[str, Any]:
    """Accept a requested return

    The customer gets a mail with the address. A repetition by the same person changes nothing.
    """
    handling.accept(return_id, by=caller().actor(DECIDE), message=body["message"])
    return _changed(return_id)


@bp.route("/<int:return_id>/receive", methods=["POST"], parameters=PARAMETERS)
@api_access(RECEIVE)
@idempotent(required=False)
@problems("unknown_return", "return_moved", "unknown_line", "bad_quantity", "nothing_arrived", "reason_needed")
@bp.arguments(schemas.ReceiveSchema, example=schemas.RECEIVE)
@bp.response(200, schemas.ChangedReturnSchema, example=schemas.EXAMPLE | {"state": "RECEIVED"})
def receive(body: dict[str, Any], return_id: int) -> dict[str, Any]:
    """Receive the units of an accepted return

    Restocked units can be sold at once. What the units have cost is then `amount`; support or finance refunds it.
    """
    arrived = {line["sku"]: (line["restocked"], line["not_restocked"]) for line in body["lines"]}
    handling.receive(return_id, arrived, by=caller().actor(RECEIVE), reason=body["reason"])
    return _changed(return_id)


@bp.route("/<int:return_id>/decline", methods=["POST"], parameters=PARAMETERS)
@api_access(DECIDE)
@idempotent(required=False)
@problems("unknown_return", "return_moved")
@bp.arguments(schemas.DeclineReturnSchema, example={"message": "The seal is broken"})
@bp.response(200, schemas.ChangedReturnSchema, example=schemas.EXAMPLE | {"state": "DECLINED"})
def decline(body: dict[str, Any], return_id: int) -> dict[str, Any]:
    """Decline a return, also an accepted one that never came

    The customer reads `message` by mail and on the order page: write it in the language of the order.
    """
    handling.decline(return_id, by=caller().actor(DECIDE), message=body["message"])
    return _changed(return_id)


@bp.route("/<int:return_id>/refund", methods=["POST"], parameters=PARAMETERS)
@api_access(REFUND)
@idempotent()
@problems("unknown_return", "return_moved", "not_refundable", "bad_amount", "no_account")
@bp.arguments(schemas.RefundReturnSchema, example=schemas.REFUND_RETURN)
@bp.response(200, schemas.RefundedReturnSchema, example=schemas.REFUNDED)
def refund(body: dict[str, Any], return_id: int) -> dict[str, Any]:
    """Refund a received return, and close it

    At most what its units cost. The refunds are those of the order: `awaits_approval` is true for one that waits for a
    second person. When `expected_refundable` is not true any more, the answer is 409 with the present number. A
    repetition by the same person with the same amount refunds nothing.
    """
    one, _ = _existing(return_id)
    refunding.refund(
        return_id,
        Money(body["amount"], one.currency),
        expected=body["expected_refundable"],
        by=caller().actor(REFUND),
        reason=body["reason"],
        to=RefundDestination(body["destination"]),
    )
    now = schemas.full(*_existing(return_id), [])
    return {name: now[name] for name in schemas.SEEN} | _refunds(return_id)


@bp.route("/<int:return_id>/close", methods=["POST"], parameters=PARAMETERS)
@api_access(REFUND)
@idempotent(required=False)
@problems("unknown_return", "return_moved", "refund_left")
@bp.arguments(schemas.CloseReturnSchema, example={"reason": "Refunded with the whole order"})
@bp.response(200, schemas.ChangedReturnSchema, example=schemas.EXAMPLE | {"state": "CLOSED"})
def close(body: dict[str, Any], return_id: int) -> dict[str, Any]:
    """Close a received return of which nothing can be refunded

    Its units have cost nothing, or its money was refunded otherwise.
    """
    refunding.close(return_id, by=caller().actor(REFUND), reason=body["reason"])
    return _changed(return_id)


def _refunds(return_id: int) -> dict[str, Any]:
    return {"refunds": [refund_body(caller(), one) for one in refunding.refunds_of(return_id)]}


def _existing(return_id: int) -> tuple[Return, str]:
    """A return as it is now, and the number of its order. Raises Refusal `unknown_return`."""
    found = pages.get(return_id)
    if found is None:
        raise load.unknown()
    return found


def _changed(return_id: int) -> dict[str, Any]:
    """The body of a return as it is now, as far as the caller may read it. Raises Refusal `unknown_return`."""
    return _seen(caller(), *_existing(return_id))


def _seen(found: Caller, one: Return, number: str, order: Order | None = None) -> dict[str, Any]:
    """The body of a return for staff who may read it and for the customer of its order; else the fields SEEN."""
    body = schemas.full(one, number, pages.lines_of([one.id])[one.id])
    if found.may(READ) or (order is not None and found.owns(order.id, order.user_id)):
        return body
    return {name: body[name] for name in schemas.SEEN}
