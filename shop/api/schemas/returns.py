"""Returns: bodies of requests, parameters and answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from marshmallow import ValidationError, fields, validate, validates

from shop.api.schemas.fields import LARGEST, Line, MoneySchema, OneOf, Strict, Time, WholeNumber, changed_schema, money
from shop.api.schemas.orders import LARGEST_ORDER, ItemSchema
from shop.api.schemas.pages import PageQuery, page_schema
from shop.api.schemas.refunds import EXAMPLE as REFUND
from shop.api.schemas.refunds import RefundSchema
from shop.api.schemas.times import stamp
from shop.checkout.cart import MOST
from shop.core import reasons
from shop.payments.records.types import RefundDestination
from shop.returns import pages
from shop.returns.decide import LONGEST_COMMENT
from shop.returns.models import Return
from shop.returns.states import ReturnReason, ReturnState

_WRONG: dict[str, Any] = {"required": "This field is required.", "invalid": "This must be a list."}


def _named_once(lines: list[dict[str, Any]]) -> None:
    """Refuse a product that is named twice. Lines that are not valid have lost fields. Raises ValidationError."""
    skus = [line["sku"] for line in lines if "sku" in line]
    if len(set(skus)) < len(skus):
        raise ValidationError("A product is named twice. Add up its units.")


class NewReturnSchema(Strict):
    """Units of an order that its customer sends back."""

    lines = fields.List(
        fields.Nested(ItemSchema), required=True, validate=validate.Length(1, LARGEST_ORDER), error_messages=_WRONG
    )
    reason = OneOf(*ReturnReason, required=True, metadata={"example": "damaged"})
    comment = Line(LONGEST_COMMENT, load_default="")

    @validates("lines")
    def check_lines(self, lines: list[dict[str, Any]], **_: Any) -> None:
        """Refuse a product that is named twice."""
        _named_once(lines)


class AcceptSchema(Strict):
    """A message to the customer, beside the address to which the items are sent."""

    message = Line(reasons.LONGEST, load_default="")


class DeclineReturnSchema(Strict):
    """The reason, which the customer reads."""

    message = Line(reasons.LONGEST, required=True, metadata={"example": "The seal is broken"})


class ArrivedSchema(Strict):
    """Units of a product that have arrived: put back into stock, and not."""

    sku = Line(64, required=True, metadata={"example": "KETTLE-01"})
    restocked = WholeNumber(load_default=0, validate=validate.Range(0, MOST))
    not_restocked = WholeNumber(load_default=0, validate=validate.Range(0, MOST))


class ReceiveSchema(Strict):
    """Units that have arrived. Those that are not restocked need a reason."""

    lines = fields.List(
        fields.Nested(ArrivedSchema), required=True, validate=validate.Length(1, LARGEST_ORDER), error_messages=_WRONG
    )
    reason = Line(reasons.LONGEST, load_default="")

    @validates("lines")
    def check_lines(self, lines: list[dict[str, Any]], **_: Any) -> None:
        """Refuse a product that is named twice."""
        _named_once(lines)


class RefundReturnSchema(Strict):
    """A refund of a part or all of what the units of a return cost, in minor units of the currency of its order."""

    amount = WholeNumber(required=True, validate=validate.Range(1, LARGEST), metadata={"example": 9000})
    expected_refundable = WholeNumber(
        required=True,
        validate=validate.Range(0, LARGEST),
        metadata={
            "description": "`refundable` of `GET /returns/{id}` as the caller saw it. Nothing is done if it changed.",
            "example": 9000,
        },
    )
    reason = Line(reasons.LONGEST, required=True, metadata={"example": "The lid was damaged"})
    destination = OneOf(
        *RefundDestination,
        load_default=str(RefundDestination.PROVIDER),
        metadata={"description": "`bank`: staff send the money themselves."},
    )


class CloseReturnSchema(Strict):
    """Reason for closing a return without a refund."""

    reason = Line(reasons.LONGEST, required=True, metadata={"example": "Refunded with the whole order"})


class ReturnQuery(PageQuery):
    """Filters of returns; they have to hold together."""

    state = OneOf(*ReturnState, metadata={"description": "State of the return."})
    reason = OneOf(*ReturnReason, metadata={"description": "Reason of the customer."})


class ListedReturnSchema(Strict):
    """A return in a list. `amount` is what the units that arrived have cost, and 0 before; `granted` what of it is
    refunded, once that is decided.
    """

    id = fields.Integer(required=True)
    reference = fields.String(required=True)
    order_number = fields.String(required=True)
    state = OneOf(*ReturnState, required=True)
    reason = OneOf(*ReturnReason, required=True)
    requested_at = Time(required=True)
    amount = fields.Nested(MoneySchema, required=True)
    granted = fields.Nested(MoneySchema, required=True, allow_none=True)


class ReturnLineSchema(Strict):
    """Units of a product in a return: requested, and arrived."""

    sku = fields.String(required=True)
    name = fields.String(required=True)
    quantity = fields.Integer(required=True)
    restocked = fields.Integer(required=True)
    not_restocked = fields.Integer(required=True)


class ReturnSchema(ListedReturnSchema):
    """A return. `comment` is the customer's, `message` that of the shop to the customer."""

    comment = fields.String(required=True)
    message = fields.String(required=True)
    lines = fields.List(fields.Nested(ReturnLineSchema), required=True)


class ShownReturnSchema(ReturnSchema):
    """A return for staff, with what can be refunded for it now, and its refunds."""

    refundable = fields.Nested(MoneySchema, required=True)
    refunds = fields.List(fields.Nested(RefundSchema), required=True)


class RefundedReturnSchema(Strict):
    """A return that is closed, with its refunds."""

    id = fields.Integer(required=True)
    reference = fields.String(required=True)
    state = OneOf(*ReturnState, required=True)
    refunds = fields.List(fields.Nested(RefundSchema), required=True)


class UnitsSchema(Strict):
    """Units of a product."""

    sku = fields.String(required=True)
    quantity = fields.Integer(required=True)


class OrderReturnsSchema(Strict):
    """The returns of an order, the newest first, and the units that its customer can return now."""

    items = fields.List(fields.Nested(ReturnSchema), required=True)
    returnable = fields.List(fields.Nested(UnitsSchema), required=True)


SEEN = ("id", "reference", "state")
"""Fields of a return in the answer to callers that may change it and not read it."""
ChangedReturnSchema = changed_schema(ReturnSchema, *SEEN)
ReturnPageSchema = page_schema(ListedReturnSchema)
NEW_RETURN = {"lines": [{"sku": "KETTLE-01", "quantity": 1}], "reason": "damaged", "comment": "The lid is cracked"}
RECEIVE = {"lines": [{"sku": "KETTLE-01", "restocked": 0, "not_restocked": 1}], "reason": "The lid is cracked"}
REFUND_RETURN = {"amount": 9000, "expected_refundable": 9000, "reason": "The lid was damaged"}
LISTED: dict[str, Any] = {
    "id": 7,
    "reference": "7K3M-9QXT-2F-R1",
    "order_number": "7K3M-9QXT-2F",
    "state": str(ReturnState.REQUESTED),
    "reason": str(ReturnReason.DAMAGED),
    "requested_at": "2026-12-01T09:30:00Z",
    "amount": {"amount": 0, "currency": "TWD"},
    "granted": None,
}
EXAMPLE: dict[str, Any] = LISTED | {
    "comment": "The lid is cracked",
    "message": "",
    "lines": [{"sku": "KETTLE-01", "name": "Kettle", "quantity": 1, "restocked": 0, "not_restocked": 0}],
}
SHOWN: dict[str, Any] = EXAMPLE | {"refundable": {"amount": 0, "currency": "TWD"}, "refunds": []}
REFUNDED: dict[str, Any] = {name: LISTED[name] for name in SEEN} | {
    "state": str(ReturnState.CLOSED),
    "refunds": [REFUND],
}


def listed(row: pages.Row) -> dict[str, Any]:
    """The body of a row of the list."""
    return _common(row, row.number)


def full(one: Return, number: str, lines: Sequence[pages.Line]) -> dict[str, Any]:
    """The body of a return of the order with this number."""
    names = ("sku", "name", "quantity", "restocked", "not_restocked")
    of_lines = [{name: getattr(line, name) for name in names} for line in lines]
    return _common(one, number) | {"comment": one.comment, "message": one.message, "lines": of_lines}


def _common(one: pages.Row | Return, number: str) -> dict[str, Any]:
    return {
        "id": one.id,
        "reference": one.reference,
        "order_number": number,
        "state": str(one.state),
        "reason": str(one.reason),
        "requested_at": stamp(one.requested_at),
        "amount": money(one.amount),
        "granted": None if one.granted is None else money(one.granted),
    }
