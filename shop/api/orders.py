"""Orders: place, list, show, cancel, change the address, explain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from flask import current_app, request

from shop.accounts.permissions import Permission
from shop.api import idempotency, paging
from shop.api.access import Caller, CallerKind, api_access, caller
from shop.api.idempotency import idempotent
from shop.api.problems import problems
from shop.api.rate_limits import ORDERS
from shop.api.resource import Invalid, Resource, pointed
from shop.api.schemas import orders as schemas
from shop.checkout import end_order, place_order
from shop.checkout.placing.request import Customer
from shop.core import languages
from shop.core.client_address import client_network
from shop.core.db import db
from shop.core.errors import BadInput, Refusal
from shop.core.money import Money
from shop.explain import due_rows, next_step, timeline
from shop.explain.order_rows import OrderRows
from shop.explain.why import why
from shop.fulfilment import find as shipments
from shop.fulfilment.find import Package
from shop.order_search import listed
from shop.order_search.filters import Filters, Flag, Method
from shop.orders import address as addresses
from shop.orders.fulfilment_states import FulfilmentState
from shop.orders.models import Order
from shop.orders.states import OrderState
from shop.payments.providers import registry
from shop.payments.providers.types import PaymentState

bp = Resource(
    "Orders",
    __name__,
    "/orders",
    "Orders of guests, customers and, for staff, of everyone. Guests use the order's `token` as Bearer token.",
)
_PAID = frozenset({OrderState.PAID, OrderState.PARTIALLY_REFUNDED, OrderState.REFUNDED})
_ID = {"description": "`id` of the order.", "schema": {"type": "integer", "minimum": 1, "maximum": 2147483647}}
PARAMETERS = [{"in": "path", "name": "order_id", "required": True} | _ID]


def order_of(found: Caller, order_id: int, permission: Permission | None = Permission.ORDER_READ) -> Order:
    """The order that a caller may use: any for staff with the permission, if one is named, else the caller's own one.

    Raises Refusal `unknown_order` (404), which does not tell whether there is such an order.
    """
    order = db.session.get(Order, order_id, populate_existing=True)
    is_of_staff = permission is not None and found.may(permission)
    if order is None or not (is_of_staff or found.owns(order.id, order.user_id)):
        raise Refusal("unknown_order", "There is no such order, or you have no access to it.")
    return order


def body_of(order: Order) -> dict[str, Any]:
    """The body of an order for the caller."""
    [packages] = _packages([order])
    return _body(order, order.all_lines, packages, caller())


def _packages(orders: Sequence[Any]) -> list[Sequence[Package]]:
    """The packages of each order, read by one statement, or by none if nothing is packed."""
    packed = [order.id for order in orders if order.fulfilment != FulfilmentState.TO_PACK]
    found = shipments.packages(packed) if packed else {}
    return [found.get(order.id, ()) for order in orders]


def _body(order: Any, lines: Iterable[Any], packages: Sequence[Package], found: Caller) -> dict[str, Any]:
    """The body of an order or a row of one: the token only for its customer."""
    is_own = found.customer_id is not None and order.user_id == found.customer_id
    with_token = is_own or found.kind in (CallerKind.ORDER, CallerKind.GUEST)
    return schemas.order(order, lines, packages, with_token=with_token)


def _changed(order_id: int) -> dict[str, Any]:
    """The body of an order that the caller has changed, as far as it may read it."""
    order, found = db.session.get_one(Order, order_id, populate_existing=True), caller()
    body = body_of(order)
    if found.may(Permission.ORDER_READ) or found.owns(order.id, order.user_id):
        return body
    return {name: body[name] for name in schemas.SEEN}


@bp.route("", methods=["POST"])
@api_access("public", policy=ORDERS)
@idempotent()
@problems("unknown_sku", "too_many", "not_sold_in_currency", "out_of_stock", "too_many_unpaid")
@bp.arguments(schemas.NewOrderSchema, example=schemas.NEW_ORDER)
@bp.response(
    201,
    schemas.OrderSchema,
    example=schemas.EXAMPLE,
    headers={"Location": {"description": "Address of the order.", "schema": {"type": "string"}}},
)
def create(body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Place an order

    Reserves the stock until `pay_by`. Start a payment with `POST /payments`. Guests may order: `token` is their right
    to see and pay the order, and it is in this answer alone.
    """
    order_id = int(idempotency.resumed() or 0) or _placed(body).id
    order = db.session.get_one(Order, order_id, populate_existing=True)
    return body_of(order), {"Location": f"{request.path}/{order_id}"}


def _placed(body: dict[str, Any]) -> place_order.Placed:
    quantities = {item["sku"]: item["quantity"] for item in body["items"]}
    try:
        return place_order.place_items(
            quantities,
            body["currency"],
            _customer(body),
            delivery=body["delivery"],
            code=body["discount_code"],
            network=client_network(request.remote_addr),
            created=idempotency.claim,
        )
    except BadInput as refusal:
        skus = list(quantities)
        if (sku := refusal.details.get("sku")) in skus:
            raise pointed(refusal, f"/items/{skus.index(sku)}") from refusal
        raise


def _customer(body: dict[str, Any]) -> Customer:
    """The customer of an order. Raises Invalid for a guest without an e-mail address."""
    found, address = caller(), body["address"]
    account = found.account if found.customer_id is not None else None
    email = body.get("email") or (account.email if account else "")
    if not email:
        raise Invalid([{"pointer": "/email", "code": "missing", "detail": "Guests need an e-mail address."}])
    return Customer(
        email=email,
        name=address["name"],
        line1=address["line1"],
        line2=address["line2"],
        city=address["city"],
        region=address["state"],
        postcode=address["postcode"],
        country=address["country"],
        phone=address["phone"],
        user_id=found.customer_id,
        locale=languages.best(request.accept_languages.values()) or languages.ENGLISH,
    )


@bp.route("", methods=["GET"])
@api_access("customer", Permission.ORDER_READ)
@problems("bad_position")
@paging.lists(bp, schemas.OrderQuery, schemas.OrderPageSchema, schemas.EXAMPLE)
def index(query: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """List orders, the newest first

    Customers see their own orders, staff with `order.read` all of them.
    """
    found, page = caller(), paging.wanted(query)
    is_of_staff = found.may(Permission.ORDER_READ)
    if not is_of_staff and (named := [name for name in schemas.OF_STAFF if name in query]):
        raise Refusal("forbidden", f"The filter {named[0]} needs the permission {Permission.ORDER_READ}.")
    result = listed.find(
        _filters(query),
        ZoneInfo(current_app.config["SHOP_TIME_ZONE"]),
        limit=page.limit,
        offset=page.offset,
        after=page.after,
        user_id=None if is_of_staff else found.customer_id,
        email=query.get("email"),
    )
    packages = _packages(result.orders)
    items = [
        _body(order, result.lines[order.id], of_order, found)
        for order, of_order in zip(result.orders, packages, strict=True)
    ]
    total = result.total
    return paging.answer(items, total.number, page, is_exact=total.is_exact, next_cursor=result.next)


def _filters(query: dict[str, Any]) -> Filters:
    """The filters of a query. Raises Invalid for an unknown provider."""
    providers = sorted(registry.all_providers())
    if "provider" in query and query["provider"] not in providers:
        words = f"There is no such provider. Providers are {', '.join(providers)}."
        raise Invalid([{"parameter": "provider", "code": "invalid", "detail": words}])

    def amount(name: str) -> Money | None:
        return Money(query[name], query["currency"]) if name in query else None

    return Filters(
        states=(OrderState(query["state"]),) if "state" in query else (),
        payment_states=(PaymentState(query["payment"]),) if "payment" in query else (),
        providers=(query["provider"],) if "provider" in query else (),
        methods=(Method(query["method"]),) if "method" in query else (),
        flags=(Flag(query["flag"]),) if "flag" in query else (),
        currencies=(query["currency"],) if "currency" in query else (),
        least=amount("total_from"),
        most=amount("total_to"),
        placed_from=query.get("placed_from"),
        placed_to=query.get("placed_to"),
    )


@bp.route("/<int:order_id>", methods=["GET"], parameters=PARAMETERS)
@api_access("customer", "order_token", Permission.ORDER_READ)
@problems("unknown_order")
@bp.response(200, schemas.OrderSchema, example=schemas.EXAMPLE)
def show(order_id: int) -> dict[str, Any]:
    """Show an order

    Guests send the `token` of the order as Bearer token.
    """
    return body_of(order_of(caller(), order_id))


@bp.route("/<int:order_id>/cancel", methods=["POST"], parameters=PARAMETERS)
@api_access("customer", "order_token", Permission.ORDER_CANCEL)
@idempotent(required=False)
@problems("unknown_order", "already_paid", "under_review", "order_changed")
@bp.arguments(schemas.CancelSchema, example={"reason": "Ordered twice"}, required=False)
@bp.response(200, schemas.ChangedOrderSchema, example=schemas.EXAMPLE | {"state": "CANCELLED"})
def cancel(body: dict[str, Any], order_id: int) -> dict[str, Any]:
    """Cancel an unpaid order

    An open payment is closed at its acquirer first; until that has happened, `is_being_cancelled` is true. A repetition
    changes nothing.
    """
    found = caller()
    order = order_of(found, order_id, Permission.ORDER_CANCEL)
    if order.state in _PAID:
        raise Refusal("already_paid", "A paid order cannot be cancelled. Its money can be refunded.")
    expected = OrderState(body["expected_state"]) if "expected_state" in body else None
    actor = found.actor(Permission.ORDER_CANCEL)
    end_order.cancel_order(order_id, actor, reason=body["reason"], expected_state=expected)
    return _changed(order_id)


@bp.route("/<int:order_id>", methods=["PATCH"], parameters=PARAMETERS)
@api_access("customer", "order_token", Permission.ORDER_CANCEL)
@idempotent(required=False)
@problems("unknown_order", "not_changeable", "country_is_fixed")
@bp.arguments(schemas.ChangeOrderSchema, example={"address": schemas.NEW_ORDER["address"]})
@bp.response(200, schemas.ChangedOrderSchema, example=schemas.EXAMPLE)
def change(body: dict[str, Any], order_id: int) -> dict[str, Any]:
    """Change the delivery address before the order is packed

    The country stays: it decides tax and delivery.
    """
    found, address = caller(), body["address"]
    order_of(found, order_id, Permission.ORDER_CANCEL)
    values = {name: address[name] for name in ("name", "line1", "line2", "city", "postcode", "country", "phone")}
    new = addresses.Address(**values, region=address["state"])
    addresses.change(order_id, new, by=found.actor(Permission.ORDER_CANCEL))
    return _changed(order_id)


@bp.route("/<int:order_id>/timeline", methods=["GET"], parameters=PARAMETERS)
@api_access(Permission.ORDER_READ)
@problems("unknown_order")
@bp.response(200, schemas.TimelineSchema, example=schemas.TIMELINE)
def show_timeline(order_id: int) -> dict[str, Any]:
    """Show everything that happened to an order

    From its history, the acquirers' reports, mails, and acts and notes of staff; at most 500 of each.
    """
    return {"items": [schemas.entry(one) for one in timeline.of(OrderRows(order_of(caller(), order_id)))]}


@bp.route("/<int:order_id>/explanation", methods=["GET"], parameters=PARAMETERS)
@api_access(Permission.ORDER_READ)
@problems("unknown_order")
@bp.response(200, schemas.ExplanationSchema, example=schemas.EXPLANATION)
def explain(order_id: int) -> dict[str, Any]:
    """Explain the state of an order, and its next automatic steps

    `why` is one sentence with cause, source and time. A step in the past is due now.
    """
    order = order_of(caller(), order_id)
    rows = OrderRows(order)
    steps = [schemas.step(one) for one in next_step.steps(due_rows.of(rows))]
    return {"state": str(order.state), "why": why(rows), "next_steps": steps}
