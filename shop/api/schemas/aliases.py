"""Aliases: bodies of requests, with amounts in major units."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from marshmallow import fields, validate

from shop.api.schemas.fields import Line, Strict, WholeNumber
from shop.core import reasons


class Major(fields.Float):
    """An amount in major units, as a JSON number: 1180, or 12.5. Read as its decimal text."""

    default_error_messages = {"invalid": "This must be a number.", "required": "This field is required."}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if type(value) not in (int, float):
            raise self.make_error("invalid", input=value)
        return f"{Decimal(str(value)):f}"


class PayByAliasSchema(Strict):
    """An order to pay, the provider, and the amount that the caller expects to pay."""

    provider = Line(40, required=True, metadata={"example": "kpay"})
    amount = Major(required=True, metadata={"description": "Major units of the order's currency.", "example": 1180})
    order_id = WholeNumber(
        required=True, data_key="orderId", validate=validate.Range(1, 2**31 - 1), metadata={"example": 42}
    )


class RefundByAliasSchema(Strict):
    """A refund in major units, and the refundable amount that the caller has seen."""

    amount = Major(required=True, metadata={"example": 180})
    expected_refundable = Major(metadata={"description": "Needed: without it a repetition could refund twice."})
    reason = Line(reasons.LONGEST, load_default="")
