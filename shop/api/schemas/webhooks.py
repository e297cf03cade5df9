"""Outgoing webhooks: bodies of endpoints, deliveries and events, and the webhooks of the OpenAPI document."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from marshmallow import ValidationError, fields, validate

from shop.api.schemas.fields import Line, OneOf, QueryNumber, Strict, Switch, Time, WholeNumber
from shop.api.schemas.pages import LARGEST_LIMIT, LIMIT, PageQuery, page_schema
from shop.api.schemas.times import stamp
from shop.core.public_address import LONGEST
from shop.outgoing_webhooks.endpoints import LONGEST_DESCRIPTION, OVERLAP
from shop.outgoing_webhooks.kinds import TEST, DeliveryState, DisabledBecause, EventType
from shop.outgoing_webhooks.models import DeliveryAttempt, OutgoingEvent, WebhookEndpoint
from shop.outgoing_webhooks.queries import DeliveryRow
from shop.outgoing_webhooks.resend import AT_ONCE

_REQUIRED: dict[str, Any] = {"required": "This field is required.", "invalid": "This must be a list."}
_YEARS = range(2000, 2101)


class Moment(fields.AwareDateTime):
    """A time with its zone in the query of an address."""

    default_error_messages = {"invalid": "This must be a time such as 2026-12-01T09:30:00Z."}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        try:
            found: datetime = super()._deserialize(value, attr, data, **kwargs)
            if found.year in _YEARS:
                return found.astimezone(UTC)
        except (ValidationError, OverflowError) as error:
            raise self.make_error("invalid", input=value) from error
        raise self.make_error("invalid", input=value)


class NewEndpointSchema(Strict):
    """An endpoint to add."""

    url = fields.String(
        required=True,
        validate=validate.Length(1, LONGEST),
        metadata={"example": "https://warehouse.example/webhooks", "description": "Public https address."},
    )
    description = Line(LONGEST_DESCRIPTION, load_default="")
    event_types = fields.List(
        OneOf(*EventType), required=True, validate=validate.Length(1, len(EventType)), error_messages=_REQUIRED
    )


class ChangeEndpointSchema(Strict):
    """Values of an endpoint to change; what is left out stays."""

    url = fields.String(validate=validate.Length(1, LONGEST))
    description = Line(LONGEST_DESCRIPTION)
    event_types = fields.List(OneOf(*EventType), validate=validate.Length(1, len(EventType)), error_messages=_REQUIRED)
    is_enabled = Switch(metadata={"description": "Queued deliveries of a disabled endpoint fail."})


class RotateSchema(Strict):
    """The rotation of a secret."""

    rotations = WholeNumber(
        validate=validate.Range(0, 10**6),
        metadata={"description": "`rotations` of the endpoint. A repetition with it changes nothing."},
    )


class EndpointSchema(Strict):
    """An endpoint. Its secret is in the answers that make one, and nowhere else."""

    id = fields.String(required=True)
    url = fields.String(required=True)
    description = fields.String(required=True)
    event_types = fields.List(OneOf(*EventType), required=True)
    is_enabled = fields.Boolean(required=True)
    disabled_because = OneOf(*DisabledBecause, required=True, allow_none=True)
    created_at = Time(required=True)
    succeeded_at = Time(required=True, allow_none=True, metadata={"description": "Last successful delivery."})
    failing_since = Time(required=True, allow_none=True)
    rotations = fields.Integer(required=True)


class EndpointWithSecretSchema(EndpointSchema):
    """An endpoint with its new secret, which is shown once."""

    secret = fields.String(required=True, metadata={"description": "Verify webhooks with it. Keep it private."})


class EndpointListSchema(Strict):
    """All endpoints."""

    items = fields.List(fields.Nested(EndpointSchema), required=True)
    total = fields.Integer(required=True)


class DeliverySchema(Strict):
    """The delivery of an event. `attempts` are counted since it was sent the last time."""

    id = fields.Integer(required=True)
    event_id = fields.String(required=True)
    type = fields.String(required=True)
    state = OneOf(*DeliveryState, required=True)
    created_at = Time(required=True)
    attempts = fields.Integer(required=True)
    next_attempt_at = Time(required=True, allow_none=True)
    delivered_at = Time(required=True, allow_none=True)
    error = fields.String(required=True, allow_none=True)


DeliveryPageSchema = page_schema(DeliverySchema)


class DeliveryQuery(PageQuery):
    """Parameters of the list of deliveries."""

    state = OneOf(*DeliveryState, metadata={"description": "Deliveries in this state."})


class AttemptSchema(Strict):
    """An attempt: the status of the answer and the beginning of its body, or the failure in words."""

    at = Time(required=True)
    ms = fields.Integer(required=True)
    status = fields.Integer(required=True, allow_none=True)
    answer = fields.String(required=True)
    error = fields.String(required=True, allow_none=True)


class DeliveryWithAttemptsSchema(DeliverySchema):
    """A delivery with its newest attempts."""

    log = fields.List(fields.Nested(AttemptSchema), required=True)


class EventQuery(Strict):
    """Parameters of the list of events."""

    since = Moment(required=True, format="iso", metadata={"description": "Events from this time on."})
    type = OneOf(*EventType, metadata={"description": "Events of this type."})
    limit = QueryNumber(
        load_default=LIMIT,
        validate=validate.Range(1, LARGEST_LIMIT),
        metadata={"description": "Events of a page."},
    )
    cursor = fields.String(
        validate=validate.Regexp("[0-9]{1,17}-[0-9]{1,18}\\Z", error="This is not a cursor of a list."),
        metadata={"description": "`next_cursor` of the page before."},
    )


class SinceSchema(Strict):
    """The time of the first event that counts."""

    since = Moment(
        required=True,
        format="iso",
        error_messages={"required": "This field is required."},
        metadata={"description": "Events from this time on.", "example": "2026-12-01T09:30:00Z"},
    )


class QueuedSchema(Strict):
    """Deliveries that a call has queued."""

    queued = fields.Integer(required=True, metadata={"description": "0 when a repetition finds nothing left to do."})
    is_complete = fields.Boolean(
        required=True,
        metadata={"description": f"False after the oldest {AT_ONCE:,}: repeat the call for those that follow."},
    )


class EventSchema(Strict):
    """An event, as it is sent to endpoints; `webhooks` describes `data` of each type."""

    id = fields.String(required=True)
    type = OneOf(*EventType, required=True)
    timestamp = Time(required=True)
    data = fields.Dict(required=True)


class EventListSchema(Strict):
    """A page of events, oldest first."""

    items = fields.List(fields.Nested(EventSchema), required=True)
    next_cursor = fields.String(metadata={"description": "Cursor of the next page, if there is one."})


NEW_ENDPOINT: dict[str, Any] = {
    "url": "https://warehouse.example/webhooks",
    "description": "Warehouse",
    "event_types": ["order.paid", "order.cancelled"],
}
EXAMPLE: dict[str, Any] = NEW_ENDPOINT | {
    "id": "W1M8QPRTKBY253VMRYQV",
    "is_enabled": True,
    "disabled_because": None,
    "created_at": "2026-12-01T09:30:00Z",
    "succeeded_at": None,
    "failing_since": None,
    "rotations": 0,
}
SECRET_EXAMPLE: dict[str, Any] = EXAMPLE | {"secret": "whsec_c2hvd24gb25jZSBhbmQga2VwdCBwcml2YXRlLi4uLi4="}
DELIVERY: dict[str, Any] = {
    "id": 7,
    "event_id": "evt_1M8QP9SP3H8HQJRGENY",
    "type": "order.paid",
    "state": "DELIVERED",
    "created_at": "2026-12-01T09:30:00Z",
    "attempts": 1,
    "next_attempt_at": None,
    "delivered_at": "2026-12-01T09:30:01Z",
    "error": None,
}


SINCE = {"since": "2026-12-01T09:30:00Z"}
QUEUED = {"queued": 12, "is_complete": True}
EVENT: dict[str, Any] = {
    "id": "evt_1M8QP9SP3H8HQJRGENY",
    "type": "order.paid",
    "timestamp": "2026-12-01T09:30:00.123456Z",
    "data": {
        "order": {
            "id": 42,
            "number": "7K3M-9QXT-2F",
            "state": "PAID",
            "total": {"amount": 118000, "currency": "TWD"},
            "placed_at": "2026-12-01T09:28:11.402113Z",
        }
    },
}


def endpoint(found: WebhookEndpoint) -> dict[str, Any]:
    """The body of an endpoint."""
    return {
        "id": found.id,
        "url": found.url,
        "description": found.description,
        "event_types": found.event_types,
        "is_enabled": found.disabled_at is None,
        "disabled_because": found.disabled_because and str(found.disabled_because),
        "created_at": stamp(found.created_at),
        "succeeded_at": stamp(found.succeeded_at),
        "failing_since": stamp(found.failing_since),
        "rotations": found.rotations,
    }


def queued(number: int) -> dict[str, Any]:
    """The body of an answer with the number of queued deliveries."""
    return {"queued": number, "is_complete": number < AT_ONCE}


def delivery(row: DeliveryRow) -> dict[str, Any]:
    """The body of a delivery."""
    found = row.delivery
    return {
        "id": found.id,
        "event_id": row.event_id,
        "type": row.type,
        "state": str(found.state),
        "created_at": stamp(found.created_at),
        "attempts": found.tries,
        "next_attempt_at": stamp(found.next_attempt_at),
        "delivered_at": stamp(found.delivered_at),
        "error": found.error,
    }


def attempt(found: DeliveryAttempt) -> dict[str, Any]:
    """The body of an attempt."""
    return {
        "at": stamp(found.at),
        "ms": found.ms,
        "status": found.status,
        "answer": found.answer,
        "error": found.error,
    }


def event(found: OutgoingEvent) -> dict[str, Any]:
    """The body of an event, as it was sent."""
    body: dict[str, Any] = json.loads(found.body)
    return body


# --- webhooks of the document ----------------------------------------------------------------------------------------

_TEXT = {"type": "string"}
_WHEN = {"type": "string", "format": "date-time"}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


_AMOUNT = _object(amount={"type": "integer", "description": "Minor units."}, currency=_TEXT)
_ORDER = _object(id={"type": "integer"}, number=_TEXT, state=_TEXT, total=_AMOUNT, placed_at=_WHEN)
_PAYMENT = _object(id=_TEXT, provider=_TEXT, state=_TEXT, amount=_AMOUNT)
_CAPTURED = _object(id=_TEXT, provider=_TEXT, state=_TEXT, amount=_AMOUNT, allocation=_TEXT)
_MAYBE = {"type": ["string", "null"]}
_REFUND = _object(id=_TEXT, payment=_MAYBE, state=_TEXT, kind=_TEXT, destination=_TEXT, amount=_AMOUNT)
_DISPUTE = _object(id=_TEXT, payment=_MAYBE, state=_TEXT, kind=_TEXT, reason=_TEXT, amount=_AMOUNT)
_ONLY_ORDER = _object(order=_ORDER)
_UNITS = {"type": "array", "items": _object(sku=_TEXT, quantity={"type": "integer"})}
_SHIPMENT = _object(number={"type": "integer"}, fulfilment=_TEXT, lines=_UNITS)
DATA: dict[str, dict[str, Any]] = {
    EventType.ORDER_CREATED: _ONLY_ORDER,
    EventType.ORDER_PAID: _ONLY_ORDER,
    EventType.ORDER_EXPIRED: _ONLY_ORDER,
    EventType.ORDER_CANCELLED: _ONLY_ORDER,
    EventType.ORDER_SHIPPED: _object(order=_ORDER, shipment=_SHIPMENT),
    EventType.PAYMENT_CAPTURED: _object(order=_ORDER, payment=_CAPTURED),
    EventType.PAYMENT_FAILED: _object(order=_ORDER, payment=_PAYMENT),
    EventType.REFUND_SUCCEEDED: _object(order=_ORDER, refund=_REFUND),
    EventType.REFUND_FAILED: _object(order=_ORDER, refund=_REFUND),
    EventType.DISPUTE_OPENED: _object(order=_ORDER, dispute=_DISPUTE),
    EventType.DISPUTE_CLOSED: _object(order=_ORDER, dispute=_DISPUTE),
    TEST: _object(endpoint=_TEXT),
}
"""JSON Schema of `data`, by the type of the event."""
_ORDER_EXAMPLE: dict[str, Any] = EVENT["data"]["order"]
_OF_PAYMENT = {"id": "P0K9J3X2M14C7T8QZ5RW", "provider": "kpay", "amount": _ORDER_EXAMPLE["total"]}
_REFUND_EXAMPLE = {
    "id": "R0K9J3X2M14C7T8QZ5RW",
    "payment": _OF_PAYMENT["id"],
    "state": "DONE",
    "kind": "customer",
    "destination": "provider",
    "amount": {"amount": 18000, "currency": "TWD"},
}
_DISPUTE_EXAMPLE = {
    "id": "dp_7f3a",
    "payment": _OF_PAYMENT["id"],
    "state": "OPEN",
    "kind": "chargeback",
    "reason": "not_received",
    "amount": _ORDER_EXAMPLE["total"],
}
_SHIPMENT_EXAMPLE = {"number": 1, "fulfilment": "SHIPPED", "lines": [{"sku": "KETTLE-01", "quantity": 2}]}
EXAMPLES: dict[str, dict[str, Any]] = {
    EventType.ORDER_CREATED: {"order": _ORDER_EXAMPLE | {"state": "PENDING"}},
    EventType.ORDER_PAID: {"order": _ORDER_EXAMPLE},
    EventType.ORDER_EXPIRED: {"order": _ORDER_EXAMPLE | {"state": "EXPIRED"}},
    EventType.ORDER_CANCELLED: {"order": _ORDER_EXAMPLE | {"state": "CANCELLED"}},
    EventType.ORDER_SHIPPED: {"shipment": _SHIPMENT_EXAMPLE},
    EventType.PAYMENT_CAPTURED: {"payment": _OF_PAYMENT | {"state": "CAPTURED", "allocation": "PAYS_ORDER"}},
    EventType.PAYMENT_FAILED: {"payment": _OF_PAYMENT | {"state": "FAILED"}},
    EventType.REFUND_SUCCEEDED: {"refund": _REFUND_EXAMPLE},
    EventType.REFUND_FAILED: {"refund": _REFUND_EXAMPLE | {"state": "REJECTED"}},
    EventType.DISPUTE_OPENED: {"dispute": _DISPUTE_EXAMPLE},
    EventType.DISPUTE_CLOSED: {"dispute": _DISPUTE_EXAMPLE | {"state": "WON"}},
    TEST: {"endpoint": EXAMPLE["id"]},
}
"""Example of `data` beside the order, by the type of the event."""
_HEADERS = {
    "webhook-id": "Id of the event, the same on each repetition: deduplicate by it.",
    "webhook-timestamp": "Time of the attempt in seconds since 1970. Refuse one that differs by five minutes.",
    "webhook-signature": "Signatures over id, timestamp and body, separated by spaces: `v1,` and HMAC-SHA256 (base64)."
    f" For {OVERLAP.total_seconds() / 3600:.0f} hours after a rotation there are two.",
}


def body_schema(type_: str) -> dict[str, Any]:
    """JSON Schema of the body of an event."""
    return _object(id=_TEXT, type={"const": str(type_)}, timestamp=_WHEN, data=DATA[type_])


def body_example(type_: str) -> dict[str, Any]:
    """An example of the body of an event."""
    order = {} if type_ == TEST else {"order": _ORDER_EXAMPLE}
    return EVENT | {"type": str(type_), "data": order | EXAMPLES[type_]}


def section() -> dict[str, Any]:
    """The webhooks of the OpenAPI document."""
    return {str(type_): {"post": _webhook(type_)} for type_ in DATA}


def _webhook(type_: str) -> dict[str, Any]:
    content = {"schema": body_schema(type_), "example": body_example(type_)}
    parameters = [
        {"name": name, "in": "header", "required": True, "description": words, "schema": _TEXT}
        for name, words in _HEADERS.items()
    ]
    return {
        "summary": f"Event {type_}",
        "description": "Signed as Standard Webhooks say. Store the event, answer at once, and process it afterwards.",
        "operationId": f"on_{type_.replace('.', '_')}",
        "parameters": parameters,
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": {
            "2XX": {"description": "Delivered."},
            "410": {"description": "The endpoint is disabled."},
            "default": {"description": "Tried again, with growing pauses, for three days."},
        },
    }
