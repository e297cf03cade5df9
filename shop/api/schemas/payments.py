"""Payments: bodies of requests, parameters and answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import fields, validate

from shop.api.schemas.fields import Line, MoneySchema, OneOf, Strict, Time, WholeNumber, changed_schema
from shop.api.schemas.times import stamp
from shop.payments.initiation import initiate
from shop.payments.providers.types import ActionKind, PaymentState
from shop.payments.records.states import STATES, STILL_OPEN

LARGEST_ORDER_ID = 2**31 - 1


class NewPaymentSchema(Strict):
    """An order to pay, and the provider to pay it at."""

    order_id = WholeNumber(required=True, validate=validate.Range(1, LARGEST_ORDER_ID), metadata={"example": 42})
    provider = Line(40, required=True, metadata={"example": "kpay"})
    method = Line(
        40,
        load_default="",
        metadata={"description": "Accepted and not used: the customer chooses on the provider's page."},
    )


class PaymentQuery(Strict):
    """Parameters of reading a payment."""

    refresh = OneOf(
        "true",
        "false",
        load_default="false",
        metadata={"description": "`true` asks the provider first, at most every 2 seconds."},
    )


class NextActionSchema(Strict):
    """Next action of the customer.

    `redirect`: open `url`. `form_post`: post `fields` to `url`. `qr`: show `url` as a QR code. `store_code`: pay at a
    store with the code in `fields`.
    """

    kind = OneOf(*ActionKind, required=True)
    url = fields.String(required=True)
    form = fields.Dict(keys=fields.String(), values=fields.String(), data_key="fields")


class PaymentSchema(Strict):
    """A payment: an attempt to pay an order at one provider."""

    id = fields.String(required=True)
    order_id = fields.Integer(required=True)
    provider = fields.String(required=True)
    state = OneOf(
        *STATES,
        required=True,
        metadata={"description": "UNKNOWN: the provider has not answered yet; the shop asks until it knows."},
    )
    amount = fields.Nested(MoneySchema, required=True)
    next_action = fields.Nested(NextActionSchema, required=True, allow_none=True)
    expires_at = Time(required=True, allow_none=True)
    created_at = Time(required=True)
    ended_at = Time(required=True, allow_none=True)
    end_reason = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "Why it ended without money, such as `refused`, `unavailable` (not reached) or `time`."
        },
    )
    last_decline = fields.String(
        required=True, allow_none=True, metadata={"description": "Code of the last attempt that was declined."}
    )
    is_being_cancelled = fields.Boolean(required=True)


SEEN = ("id", "order_id", "state")
"""Fields of a payment that callers see who had the provider asked, and may not read orders."""
ChangedPaymentSchema = changed_schema(PaymentSchema, *SEEN)
NEW_PAYMENT = {"order_id": 42, "provider": "kpay"}
EXAMPLE: dict[str, Any] = {
    "id": "P0K9J3X2M14C7T8QZ5RW",
    "order_id": 42,
    "provider": "kpay",
    "state": str(PaymentState.OPEN),
    "amount": {"amount": 118000, "currency": "TWD"},
    "next_action": {"kind": "redirect", "url": "https://pay.example/pay/7f3a"},
    "expires_at": "2026-12-01T10:00:00Z",
    "created_at": "2026-12-01T09:30:00Z",
    "ended_at": None,
    "end_reason": None,
    "last_decline": None,
    "is_being_cancelled": False,
}
UNKNOWN = EXAMPLE | {"state": str(PaymentState.UNKNOWN), "next_action": None, "expires_at": None}


def payment(row: Any) -> dict[str, Any]:
    """The body of a payment, from its row or from a row with the same columns."""
    return {
        "id": row.id,
        "order_id": row.order_id,
        "provider": row.provider,
        "state": str(row.state),
        "amount": {"amount": row.amount, "currency": row.currency},
        "next_action": _next_action(row),
        "expires_at": stamp(row.expires_at),
        "created_at": stamp(row.created_at),
        "ended_at": stamp(row.ended_at),
        "end_reason": row.end_reason,
        "last_decline": _code(row.last_decline),
        "is_being_cancelled": row.cancel_requested_at is not None and row.state in STILL_OPEN,
    }


def _next_action(row: Any) -> dict[str, Any] | None:
    action = initiate.next_action(row)
    if action is None:
        return None
    body = {"kind": str(action.kind), "url": action.url}
    return body | ({"fields": dict(action.fields)} if action.fields else {})


def _code(decline: Mapping[str, Any] | None) -> str | None:
    return str(decline["code"]) if decline else None
