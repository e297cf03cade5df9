"""Endpoints of outgoing webhooks: add, list, change, rotate the secret, test, deliveries."""

from __future__ import annotations

from typing import Any

from flask import request

from shop.accounts.permissions import Permission
from shop.api import paging
from shop.api.access import api_access, caller
from shop.api.idempotency import idempotent
from shop.api.problems import problems
from shop.api.rate_limits import BULK
from shop.api.resource import Resource, pointed
from shop.api.schemas import webhooks as schemas
from shop.core.actor import Actor
from shop.core.errors import Refusal
from shop.core.keyset import Position
from shop.outgoing_webhooks import endpoints, queries, resend
from shop.outgoing_webhooks.kinds import DeliveryState
from shop.outgoing_webhooks.models import WebhookEndpoint

bp = Resource(
    "Webhook endpoints",
    __name__,
    "/webhook-endpoints",
    "Addresses that get events of orders and payments as signed webhooks.",
)
_ID = {"description": "`id` of the endpoint.", "schema": {"type": "string", "maxLength": 40}}
PARAMETERS = [{"in": "path", "name": "endpoint_id", "required": True} | _ID]
_DELIVERY = {"description": "`id` of the delivery.", "schema": {"type": "integer", "minimum": 1, "maximum": 2147483647}}
OF_DELIVERY = [*PARAMETERS, {"in": "path", "name": "delivery_id", "required": True} | _DELIVERY]
READ, WRITE = Permission.WEBHOOK_ENDPOINT_READ, Permission.WEBHOOK_ENDPOINT_WRITE
_FIELDS = {"bad_url": "/url", "endpoint_exists": "/url", "bad_description": "/description"}
_FIELDS |= {"bad_event_types": "/event_types"}
_OF_VALUES = ("bad_url", "bad_description", "bad_event_types", "endpoint_exists")


@bp.route("", methods=["GET"])
@api_access(READ)
@bp.response(200, schemas.EndpointListSchema, example={"items": [schemas.EXAMPLE], "total": 1})
def index() -> dict[str, Any]:
    """List endpoints

    All of them, without their secrets.
    """
    items = [schemas.endpoint(one.endpoint) for one in queries.all_endpoints()]
    return {"items": items, "total": len(items)}


@bp.route("", methods=["POST"])
@api_access(WRITE)
@problems(*_OF_VALUES, "too_many_endpoints")
@bp.arguments(schemas.NewEndpointSchema, example=schemas.NEW_ENDPOINT)
@bp.response(
    201,
    schemas.EndpointWithSecretSchema,
    example=schemas.SECRET_EXAMPLE,
    headers={"Location": {"description": "Address of the endpoint.", "schema": {"type": "string"}}},
)
def create(body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Add an endpoint

    The answer has the secret, once. A repetition is refused, because an address has one endpoint; when the answer was
    lost, rotate the secret.
    """
    try:
        endpoint_id, secret = endpoints.create(body["url"], body["description"], body["event_types"], by=_actor())
    except Refusal as refusal:
        raise _pointed(refusal) from refusal
    return _body(endpoint_id) | {"secret": secret}, {"Location": f"{request.path}/{endpoint_id}"}


@bp.route("/<endpoint_id>", methods=["GET"], parameters=PARAMETERS)
@api_access(READ)
@problems("unknown_endpoint")
@bp.response(200, schemas.EndpointSchema, example=schemas.EXAMPLE)
def show(endpoint_id: str) -> dict[str, Any]:
    """Show an endpoint

    `failing_since` is the time since which no delivery has succeeded.
    """
    return _body(endpoint_id)


@bp.route("/<endpoint_id>", methods=["PATCH"], parameters=PARAMETERS)
@api_access(WRITE)
@problems(*_OF_VALUES, "unknown_endpoint")
@bp.arguments(schemas.ChangeEndpointSchema, example={"is_enabled": True})
@bp.response(200, schemas.EndpointSchema, example=schemas.EXAMPLE)
def change(body: dict[str, Any], endpoint_id: str) -> dict[str, Any]:
    """Change, enable or disable an endpoint

    Queued deliveries go to a changed address; those of an endpoint that is disabled fail.
    """
    actor = _actor()
    is_enabled = body.pop("is_enabled", None)
    try:
        endpoints.change(endpoint_id, **body, by=actor)
    except Refusal as refusal:
        raise _pointed(refusal) from refusal
    if is_enabled is not None:
        (endpoints.enable if is_enabled else endpoints.disable)(endpoint_id, by=actor)
    return _body(endpoint_id)


@bp.route("/<endpoint_id>", methods=["DELETE"], parameters=PARAMETERS)
@api_access(WRITE)
@problems("unknown_endpoint")
@bp.response(204)
def delete(endpoint_id: str) -> None:
    """Delete an endpoint

    Its secrets are erased, and its queued deliveries fail.
    """
    endpoints.delete(endpoint_id, by=_actor())


@bp.route("/<endpoint_id>/rotate-secret", methods=["POST"], parameters=PARAMETERS)
@api_access(WRITE)
@problems("unknown_endpoint", "secret_changed")
@bp.arguments(schemas.RotateSchema, example={"rotations": 0}, required=False)
@bp.response(200, schemas.EndpointWithSecretSchema, example=schemas.SECRET_EXAMPLE | {"rotations": 1})
def rotate(body: dict[str, Any], endpoint_id: str) -> dict[str, Any]:
    """Rotate the secret

    The answer has the new secret, once. The former one signs too for 24 hours.
    """
    secret = endpoints.rotate(endpoint_id, by=_actor(), seen=body.get("rotations"))
    return _body(endpoint_id) | {"secret": secret}


@bp.route("/<endpoint_id>/test", methods=["POST"], parameters=PARAMETERS)
@api_access(WRITE)
@problems("unknown_endpoint", "endpoint_disabled", "tests_wait")
@bp.response(202, schemas.DeliverySchema, example=schemas.DELIVERY | {"type": "endpoint.test"})
def test(endpoint_id: str) -> dict[str, Any]:
    """Send a test event

    An event `endpoint.test`, to this endpoint alone. `GET …/deliveries` shows what came of it.
    """
    return _delivery(endpoint_id, resend.test(endpoint_id, by=_actor()))


@bp.route("/<endpoint_id>/deliveries", methods=["GET"], parameters=PARAMETERS)
@api_access(READ)
@problems("unknown_endpoint", "bad_position")
@paging.lists(bp, schemas.DeliveryQuery, schemas.DeliveryPageSchema, schemas.DELIVERY)
def deliveries(query: dict[str, Any], endpoint_id: str) -> tuple[dict[str, Any], dict[str, str]]:
    """List deliveries, the newest first

    A delivery is an event for this endpoint. `state=FAILED` lists those that were given up.
    """
    _endpoint(endpoint_id)
    page, state = paging.wanted(query), query.get("state")
    before = page.after.id if page.after else None
    rows, total = queries.page_of_deliveries(
        endpoint_id,
        DeliveryState(state) if state else None,
        offset=page.offset,
        before=before,
        limit=page.limit,
    )
    shown = rows[: page.limit]
    following = shown[-1].delivery if len(rows) > page.limit else None
    cursor = Position(following.created_at, following.id) if following else None
    is_exact = total <= queries.COUNTED
    items = [schemas.delivery(row) for row in shown]
    return paging.answer(items, min(total, queries.COUNTED), page, is_exact=is_exact, next_cursor=cursor)


@bp.route("/<endpoint_id>/deliveries/<int:delivery_id>", methods=["GET"], parameters=OF_DELIVERY)
@api_access(READ)
@problems("unknown_endpoint", "unknown_delivery")
@bp.response(200, schemas.DeliveryWithAttemptsSchema, example=schemas.DELIVERY | {"log": []})
def show_delivery(endpoint_id: str, delivery_id: int) -> dict[str, Any]:
    """Show a delivery with its attempts

    The newest attempt is the first of `log`.
    """
    _endpoint(endpoint_id)
    log = [schemas.attempt(one) for one in queries.attempts(delivery_id)]
    return _delivery(endpoint_id, delivery_id) | {"log": log}


@bp.route("/<endpoint_id>/deliveries/<int:delivery_id>/resend", methods=["POST"], parameters=OF_DELIVERY)
@api_access(WRITE)
@problems("unknown_endpoint", "unknown_delivery", "endpoint_disabled", "delivery_queued")
@bp.response(202, schemas.DeliverySchema, example=schemas.DELIVERY)
def send_again(endpoint_id: str, delivery_id: int) -> dict[str, Any]:
    """Send an event again

    With the same id and the same body.
    """
    resend.resend(endpoint_id, delivery_id, by=_actor())
    return _delivery(endpoint_id, delivery_id)


@bp.route("/<endpoint_id>/resend-failed", methods=["POST"], parameters=PARAMETERS)
@api_access(WRITE, policy=BULK)
@idempotent(required=False)
@problems("unknown_endpoint", "endpoint_disabled")
@bp.arguments(schemas.SinceSchema, example=schemas.SINCE)
@bp.response(202, schemas.QueuedSchema, example=schemas.QUEUED)
def send_failed_again(body: dict[str, Any], endpoint_id: str) -> dict[str, Any]:
    """Send the failed deliveries of events since a time again

    With the same ids and bodies. A repetition queues only those that have failed again.
    """
    return schemas.queued(resend.resend_failed(endpoint_id, body["since"], by=_actor()))


@bp.route("/<endpoint_id>/backfill", methods=["POST"], parameters=PARAMETERS)
@api_access(WRITE, policy=BULK)
@idempotent(required=False)
@problems("unknown_endpoint", "endpoint_disabled", "too_long_ago")
@bp.arguments(schemas.SinceSchema, example=schemas.SINCE)
@bp.response(202, schemas.QueuedSchema, example=schemas.QUEUED)
def backfill(body: dict[str, Any], endpoint_id: str) -> dict[str, Any]:
    """Send events since a time that the endpoint has never had

    Those of its present types, for example from before it was added. Events are kept for 30 days. A repetition queues
    nothing twice.
    """
    return schemas.queued(resend.backfill(endpoint_id, body["since"], by=_actor()))


def _actor() -> Actor:
    return caller().actor(WRITE)


def _endpoint(endpoint_id: str) -> WebhookEndpoint:
    """The endpoint. Raises Refusal `unknown_endpoint`."""
    found = queries.endpoint(endpoint_id)
    if found is None:
        raise Refusal("unknown_endpoint", "There is no such endpoint.")
    return found.endpoint


def _body(endpoint_id: str) -> dict[str, Any]:
    return schemas.endpoint(_endpoint(endpoint_id))


def _delivery(endpoint_id: str, delivery_id: int) -> dict[str, Any]:
    row = queries.delivery(endpoint_id, delivery_id)
    if row is None:
        raise Refusal("unknown_delivery", "There is no such delivery.")
    return schemas.delivery(row)


def _pointed(refusal: Refusal) -> Refusal:
    """The refusal with the field of the body that it is about."""
    pointer = _FIELDS.get(refusal.code)
    return pointed(refusal, pointer) if pointer else refusal
