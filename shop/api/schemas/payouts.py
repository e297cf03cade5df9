"""Payouts: bodies of requests, parameters and answers."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from shop.api.schemas.fields import LARGEST, Line, MoneySchema, OneOf, Strict, Time, WholeNumber, money
from shop.api.schemas.pages import NumberedQuery, page_schema
from shop.api.schemas.times import stamp
from shop.core import reasons
from shop.core.money import CURRENCIES
from shop.payouts.models import Payout, PayoutState


class NewPayoutSchema(Strict):
    """An amount to pay out, in minor units."""

    amount = WholeNumber(required=True, validate=validate.Range(1, LARGEST), metadata={"example": 5000000})
    currency = OneOf(*CURRENCIES, required=True, metadata={"example": "TWD"})
    note = Line(reasons.LONGEST, required=True, metadata={"example": "Rent for December"})


class RejectSchema(Strict):
    """Reason for rejecting a payout."""

    reason = Line(reasons.LONGEST, required=True, metadata={"example": "Wrong amount"})


class PayoutQuery(NumberedQuery):
    """Filter of payouts."""

    state = OneOf(*PayoutState, metadata={"description": "Payouts in this state."})


class PayoutSchema(Strict):
    """A payout of settled money. `staff:3` is the account 3."""

    id = fields.String(required=True)
    state = OneOf(*PayoutState, required=True)
    amount = fields.Nested(MoneySchema, required=True)
    note = fields.String(required=True)
    requested_at = Time(required=True)
    requested_by = fields.String(required=True)
    decided_at = Time(required=True, allow_none=True)
    decided_by = fields.String(required=True, allow_none=True)


PayoutPageSchema = page_schema(PayoutSchema)
NEW_PAYOUT = {"amount": 5000000, "currency": "TWD", "note": "Rent for December"}
EXAMPLE: dict[str, Any] = {
    "id": "O0K9J3X2M14C7T8QZ5RW",
    "state": "REQUESTED",
    "amount": {"amount": 5000000, "currency": "TWD"},
    "note": "Rent for December",
    "requested_at": "2026-12-01T09:30:00Z",
    "requested_by": "staff:3",
    "decided_at": None,
    "decided_by": None,
}


def payout(found: Payout) -> dict[str, Any]:
    """The body of a payout."""
    return {
        "id": found.id,
        "state": str(found.state),
        "amount": money(found.money),
        "note": found.note,
        "requested_at": stamp(found.requested_at),
        "requested_by": str(found.requested_by),
        "decided_at": stamp(found.decided_at),
        "decided_by": found.decided_by and str(found.decided_by),
    }
