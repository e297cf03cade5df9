"""Refunds: bodies of requests and answers."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from shop.api.schemas.fields import LARGEST, Line, MoneySchema, OneOf, Strict, Switch, Time, WholeNumber, money
from shop.api.schemas.pages import NumberedQuery, page_schema
from shop.api.schemas.times import stamp
from shop.core import reasons
from shop.core.money import CURRENCIES, Money
from shop.payments.providers.types import RefundState
from shop.payments.records.models import Refund
from shop.payments.records.types import Allocation, RefundDestination, RefundKind
from shop.payments.refunds.listed import RefundableCapture


class NewRefundSchema(Strict):
    """A refund of a part or all of a payment, in minor units of its currency."""

    amount = WholeNumber(required=True, validate=validate.Range(1, LARGEST), metadata={"example": 18000})
    currency = OneOf(*CURRENCIES, metadata={"description": "That of the payment by default; another one is refused."})
    reason = Line(reasons.LONGEST, required=True, metadata={"example": "The lid was damaged"})
    expected_refundable = WholeNumber(
        required=True,
        validate=validate.Range(0, LARGEST),
        metadata={
            "description": "`refundable` of `GET /payments/{id}/refunds` that the caller has seen; with `capture_id` "
            "that of the capture. If it has changed, nothing is done.",
            "example": 118000,
        },
    )
    capture_id = WholeNumber(
        validate=validate.Range(1, 2**31 - 1),
        metadata={"description": "Needed if the payment has several captures that can be refunded."},
    )
    destination = OneOf(
        *RefundDestination,
        load_default=str(RefundDestination.PROVIDER),
        metadata={"description": "`bank`: staff send the money themselves."},
    )


class ApproveSchema(Strict):
    """Confirmation by the second person."""

    money_was_sent = Switch(
        load_default=False,
        metadata={"description": "Needed for `bank`: the money has been sent to the customer's account."},
    )


class DeclineSchema(Strict):
    """Reason for declining a request."""

    reason = Line(reasons.LONGEST, required=True, metadata={"example": "Wrong amount"})


class RefundQuery(NumberedQuery):
    """Parameters of the refunds of a payment."""


class RefundSchema(Strict):
    """A refund. Only staff who read orders, or decide about refunds, see `reason`, `requested_by` and `approved_by`."""

    id = fields.String(required=True)
    payment_id = fields.String(required=True, allow_none=True)
    order_id = fields.Integer(required=True)
    capture_id = fields.Integer(required=True, allow_none=True)
    amount = fields.Nested(MoneySchema, required=True)
    destination = OneOf(*RefundDestination, required=True)
    kind = OneOf(*RefundKind, required=True)
    state = OneOf(*RefundState, required=True)
    awaits_approval = fields.Boolean(required=True, metadata={"description": "A second person has to approve it."})
    created_at = Time(required=True)
    ended_at = Time(required=True, allow_none=True)
    reason = fields.String()
    requested_by = fields.String(metadata={"description": "`staff:3` is the account 3."})
    approved_by = fields.String(allow_none=True)


class CaptureSchema(Strict):
    """Captured money of a payment, and how much of it can be refunded."""

    id = fields.Integer(required=True)
    amount = fields.Nested(MoneySchema, required=True)
    allocation = OneOf(*Allocation, required=True)
    refundable = fields.Nested(MoneySchema, required=True)


class RefundPageSchema(page_schema(RefundSchema)):  # type: ignore[misc]
    """The refunds of a payment, its captures, and what of all of them can be refunded in its currency."""

    refundable = fields.Nested(MoneySchema, required=True)
    captures = fields.List(fields.Nested(CaptureSchema), required=True)


NEW_REFUND = {"amount": 18000, "reason": "The lid was damaged", "expected_refundable": 118000}
EXAMPLE: dict[str, Any] = {
    "id": "R0K9J3X2M14C7T8QZ5RW",
    "payment_id": "P0K9J3X2M14C7T8QZ5RW",
    "order_id": 42,
    "capture_id": 17,
    "amount": {"amount": 18000, "currency": "TWD"},
    "destination": "provider",
    "kind": "customer",
    "state": str(RefundState.REQUESTED),
    "awaits_approval": False,
    "created_at": "2026-12-01T09:30:00Z",
    "ended_at": None,
    "reason": "The lid was damaged",
    "requested_by": "staff:3",
    "approved_by": None,
}
CAPTURE = {
    "id": 17,
    "amount": {"amount": 118000, "currency": "TWD"},
    "allocation": "pays_order",
    "refundable": {"amount": 100000, "currency": "TWD"},
}


def refund(found: Refund, *, for_staff: bool) -> dict[str, Any]:
    """The body of a refund, for staff with its reason and the people."""
    body: dict[str, Any] = {
        "id": found.id,
        "payment_id": found.payment_id,
        "order_id": found.order_id,
        "capture_id": found.capture_id,
        "amount": money(found.money),
        "destination": str(found.destination),
        "kind": str(found.kind),
        "state": str(found.state),
        "awaits_approval": found.awaits_approval,
        "created_at": stamp(found.created_at),
        "ended_at": stamp(found.ended_at),
    }
    if for_staff:
        approved_by = str(found.approved_by) if found.approved_by else None
        body |= {"reason": found.reason, "requested_by": str(found.requested_by), "approved_by": approved_by}
    return body


def refundable(captures: list[RefundableCapture], currency: str) -> dict[str, Any]:
    """Refundable amounts, in all and by capture."""
    amount = sum(one.refundable.amount for one in captures if one.refundable.currency == currency)
    return {"refundable": money(Money(amount, currency)), "captures": [_capture(one) for one in captures]}


def _capture(one: RefundableCapture) -> dict[str, Any]:
    row = one.capture
    amounts = {"amount": money(row.money), "refundable": money(one.refundable)}
    return {"id": row.id, "allocation": str(row.allocation)} | amounts
