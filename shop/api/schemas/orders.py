"""Orders: bodies of requests, parameters and answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates, validates_schema

from shop.api.schemas.fields import (
    LARGEST,
    EmailAddress,
    Line,
    MoneySchema,
    OneOf,
    QueryNumber,
    Strict,
    Time,
    WholeNumber,
    changed_schema,
)
from shop.api.schemas.pages import PageQuery, page_schema
from shop.api.schemas.times import stamp
from shop.checkout.cart import MOST
from shop.core.countries import SHIPS_TO
from shop.core.line_kinds import LineKind
from shop.core.money import CURRENCIES
from shop.core.postal import formats, regions
from shop.explain.next_step import Step
from shop.explain.timeline import Entry
from shop.fulfilment.find import Package
from shop.fulfilment.states import ShipmentState
from shop.order_search.filters import Flag, Method
from shop.orders.fulfilment_states import FulfilmentState
from shop.orders.states import STATES, OrderState
from shop.payments.records.states import STATES as PAYMENT_STATES

LARGEST_ORDER = 50
"""Different products of an order."""
_NOT_REPEATED = "A product is named twice. Add up its units."


class ItemSchema(Strict):
    """Units of a product."""

    sku = Line(64, required=True, metadata={"example": "KETTLE-01"})
    quantity = WholeNumber(required=True, validate=validate.Range(1, MOST), metadata={"example": 2})


class AddressSchema(Strict):
    """A delivery address. The country is one that the shop ships to; it decides which of the other fields are required,
    as in the checkout: a Japanese address needs `postcode` and `state`, one in Singapore no `city`.
    """

    name = Line(100, required=True, metadata={"example": "May Lin"})
    line1 = Line(120, required=True, metadata={"example": "12 Yongkang Street"})
    line2 = Line(120, load_default="")
    city = Line(80, load_default="", metadata={"example": "Taipei", "description": "Required in most countries."})
    state = Line(
        80,
        load_default="",
        metadata={"description": "State, prefecture or province: its name, or the abbreviation of the country's post."},
    )
    postcode = Line(
        16, load_default="", metadata={"example": "106", "description": "Checked against the forms of the country."}
    )
    country = OneOf(*sorted(SHIPS_TO), required=True, metadata={"example": "TW"})
    phone = Line(40, load_default="", metadata={"description": "For questions of the carrier."})

    @validates_schema
    def check_for_country(self, data: dict[str, str], **_: Any) -> None:
        """Check the parts against the country. Raises ValidationError with their fields."""
        _, wrong = formats.checked(data["country"], _parts(data))
        problems = {_NAMES.get(part, part): [_problem(part, data)] for part in wrong}
        if data["phone"] and not formats.is_phone(data["phone"]):
            problems["phone"] = ["This must be a phone number such as +886 2 2345 6789."]
        if problems:
            raise ValidationError(problems)

    @post_load
    def as_stored(self, data: dict[str, str], **_: Any) -> dict[str, str]:
        """Write postcode and state as the country writes them. Parts that its forms do not have are kept."""
        stored, _ = formats.checked(data["country"], _parts(data))
        return data | {_NAMES.get(part, part): value for part, value in stored.items() if value}


_NAMES = {"region": "state"}
"""Names of the parts of an address, where they differ from those of the shop."""


def _parts(data: dict[str, str]) -> dict[str, str]:
    return {part: data[_NAMES.get(part, part)] for part in formats.FIELDS}


def _problem(part: str, data: dict[str, str]) -> str:
    """Sentence about a part of an address that does not fit its country."""
    if not data[_NAMES.get(part, part)]:
        return "This field is required."
    wanted, country = formats.of(data["country"]), data["country"]
    if part == "postcode":
        noun = "ZIP code" if wanted.postcode is formats.ZIP else "postcode"
        return f"This must be a {noun} of {country}, such as {wanted.example}."
    listed = ", ".join(key for key, _ in regions.listed(country, "en"))
    return f"This must be a {wanted.region.label.lower()} of {country}: {listed}."


class NewOrderSchema(Strict):
    """An order to place, at the present prices of the catalogue."""

    items = fields.List(
        fields.Nested(ItemSchema),
        required=True,
        validate=validate.Length(1, LARGEST_ORDER),
        error_messages={"required": "This field is required.", "invalid": "This must be a list."},
    )
    currency = OneOf(*CURRENCIES, required=True, metadata={"example": "TWD"})
    email = EmailAddress(metadata={"description": "Guests need it; that of the account by default."})
    address = fields.Nested(AddressSchema, required=True, error_messages={"required": "This field is required."})
    delivery = Line(40, load_default="", metadata={"description": "Key of a delivery method; the first by default."})
    discount_code = Line(40, load_default="")

    @validates("items")
    def check_items(self, items: list[dict[str, Any]], **_: Any) -> None:
        """Refuse a product that is named twice. Items that are not valid have lost fields. Raises ValidationError."""
        skus = [item["sku"] for item in items if "sku" in item]
        if len(set(skus)) < len(skus):
            raise ValidationError(_NOT_REPEATED)


class CancelSchema(Strict):
    """Reason for a cancellation, and the state of the order that the caller has seen."""

    reason = Line(500, load_default="", metadata={"description": "Kept in the history; staff give one."})
    expected_state = OneOf(*STATES)


class ChangeOrderSchema(Strict):
    """Change of an order: its whole delivery address."""

    address = fields.Nested(AddressSchema, required=True, error_messages={"required": "This field is required."})


class OrderQuery(PageQuery):
    """Filters of orders; all that are given have to hold. Days are in the time zone of the shop, both included.
    `payment`, `provider` and `method` hold for the same payment of the order.
    """

    state = OneOf(*STATES, metadata={"description": "Orders in this state."})
    payment = OneOf(*PAYMENT_STATES, metadata={"description": "Orders with a payment in this state."})
    provider = Line(40, metadata={"description": "Orders with a payment at this provider.", "example": "kpay"})
    method = OneOf(*Method, metadata={"description": "Orders with a payment by this method."})
    currency = OneOf(*CURRENCIES, metadata={"description": "Orders in this currency."})
    total_from = QueryNumber(
        digits=15,
        validate=validate.Range(0, LARGEST),
        metadata={"description": "Least total in minor units; needs `currency`."},
    )
    total_to = QueryNumber(
        digits=15,
        validate=validate.Range(0, LARGEST),
        metadata={"description": "Largest total in minor units; needs `currency`."},
    )
    placed_from = fields.Date(metadata={"description": "First day.", "example": "2026-12-01"})
    placed_to = fields.Date(metadata={"description": "Last day."})
    email = EmailAddress(metadata={"description": "Orders of this address. For staff with `order.read`."})
    flag = OneOf(*Flag, metadata={"description": "Orders that staff may have to look at. Needs `order.read`."})

    @validates_schema
    def check_ranges(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse ranges that no order can match, and amounts without a currency. Raises ValidationError."""
        if ("total_from" in data or "total_to" in data) and "currency" not in data:
            raise ValidationError("An amount needs the currency that it is in.", "currency")
        for first, last in (("total_from", "total_to"), ("placed_from", "placed_to")):
            if first in data and last in data and data[first] > data[last]:
                raise ValidationError(f"This is less than `{first}`.", last)


OF_STAFF = ("email", "flag")
"""Filters for staff."""


class OrderLineSchema(Strict):
    """A product, or a charge: delivery, discount, or tax. Tax that is included adds nothing to the total."""

    kind = OneOf(*LineKind, required=True)
    sku = fields.String(required=True)
    name = fields.String(required=True)
    quantity = fields.Integer(required=True)
    unit_price = fields.Nested(MoneySchema, required=True)
    total = fields.Nested(MoneySchema, required=True)
    is_included = fields.Boolean(required=True)
    rate = fields.Integer(
        allow_none=True, required=True, metadata={"description": "Tax in thousandths of a percent: 5000 is 5 %."}
    )


class ShippedLineSchema(Strict):
    """Units of a product in a package."""

    sku = fields.String(required=True)
    name = fields.String(required=True)
    quantity = fields.Integer(required=True)


class ShipmentSchema(Strict):
    """A package of an order. Carrier and tracking are empty while they are not known."""

    number = fields.Integer(required=True, metadata={"description": "Number of the package in its order."})
    state = OneOf(ShipmentState.PACKED, ShipmentState.SHIPPED, required=True)
    carrier = fields.String(required=True)
    tracking_number = fields.String(required=True)
    tracking_url = fields.String(required=True)
    packed_at = Time(required=True)
    shipped_at = Time(allow_none=True, required=True)
    lines = fields.List(fields.Nested(ShippedLineSchema), required=True)


class DeliveryAddressSchema(Strict):
    """The delivery address of an order."""

    name = fields.String(required=True)
    line1 = fields.String(required=True)
    line2 = fields.String(required=True)
    city = fields.String(required=True)
    state = fields.String(required=True)
    postcode = fields.String(required=True)
    country = fields.String(required=True)
    phone = fields.String(required=True)


class OrderSchema(Strict):
    """An order. `token` is the right to see and pay it without an account: keep it private. Staff do not get it."""

    id = fields.Integer(required=True)
    number = fields.String(required=True, metadata={"description": "Number for people. It grants nothing."})
    token = fields.String(allow_none=True, required=True)
    state = OneOf(*STATES, required=True)
    total = fields.Nested(MoneySchema, required=True)
    to_pay = fields.Nested(MoneySchema, required=True, metadata={"description": "The total less store credit."})
    placed_at = Time(required=True)
    pay_by = Time(required=True, metadata={"description": "The order expires then, unless it is paid."})
    paid_at = Time(allow_none=True, required=True)
    ended_at = Time(allow_none=True, required=True)
    is_being_cancelled = fields.Boolean(required=True)
    is_under_review = fields.Boolean(required=True)
    email = fields.String(required=True)
    address = fields.Nested(DeliveryAddressSchema, required=True)
    lines = fields.List(fields.Nested(OrderLineSchema), required=True)
    fulfilment = OneOf(
        *FulfilmentState, required=True, metadata={"description": "Packing and shipping; `TO_PACK` before payment."}
    )
    shipments = fields.List(fields.Nested(ShipmentSchema), required=True)


SEEN = ("id", "number", "state", "is_being_cancelled")
"""Fields of a changed order that callers see who may not read it."""
OrderPageSchema = page_schema(OrderSchema)
ChangedOrderSchema = changed_schema(OrderSchema, *SEEN)


class TimelineEntrySchema(Strict):
    """Something that happened, and when the shop learned of it."""

    kind = fields.String(required=True)
    happened_at = Time(required=True)
    received_at = Time(required=True)
    what = fields.String(required=True)
    actor = fields.String(required=True)
    outcome = fields.String(required=True)
    details = fields.Dict(keys=fields.String(), values=fields.String(), required=True)


class TimelineSchema(Strict):
    """The timeline of an order, the last received first."""

    items = fields.List(fields.Nested(TimelineEntrySchema), required=True)


class StepSchema(Strict):
    """A step that happens without a person; a time in the past is due now."""

    at = Time(required=True)
    what = fields.String(required=True)


class ExplanationSchema(Strict):
    """Explanation of the state of an order, and its next automatic steps."""

    state = OneOf(*STATES, required=True)
    why = fields.String(required=True)
    next_steps = fields.List(fields.Nested(StepSchema), required=True)


_MONEY = {"amount": 236000, "currency": "TWD"}
_ADDRESS = {"name": "May Lin", "line1": "12 Yongkang Street", "city": "Taipei", "postcode": "106", "country": "TW"}
NEW_ORDER: dict[str, Any] = {
    "items": [{"sku": "KETTLE-01", "quantity": 2}],
    "currency": "TWD",
    "email": "may@example.com",
    "address": _ADDRESS,
}
EXAMPLE: dict[str, Any] = {
    "id": 42,
    "number": "7K3M-9QXT-2F",
    "token": "Zk3vQ0b8uJx2mB7cYt5rWnA1sD4fGhLe",
    "state": str(OrderState.PENDING),
    "total": _MONEY,
    "to_pay": _MONEY,
    "placed_at": "2026-12-01T09:30:00Z",
    "pay_by": "2026-12-01T10:00:00Z",
    "paid_at": None,
    "ended_at": None,
    "is_being_cancelled": False,
    "is_under_review": False,
    "email": "may@example.com",
    "address": _ADDRESS | {"line2": "", "state": "", "phone": ""},
    "lines": [
        {
            "kind": "item",
            "sku": "KETTLE-01",
            "name": "Kettle",
            "quantity": 2,
            "unit_price": {"amount": 118000, "currency": "TWD"},
            "total": _MONEY,
            "is_included": False,
            "rate": 5000,
        }
    ],
    "fulfilment": str(FulfilmentState.TO_PACK),
    "shipments": [],
}


TIMELINE: dict[str, Any] = {
    "items": [
        {
            "kind": "order",
            "happened_at": "2026-12-01T09:30:00Z",
            "received_at": "2026-12-01T09:30:00Z",
            "what": "order placed",
            "actor": "the customer",
            "outcome": "",
            "details": {"total": "NT$2,360"},
        }
    ]
}
EXPLANATION: dict[str, Any] = {
    "state": str(OrderState.PENDING),
    "why": "Pending because it was placed at 2026-12-01 09:30:00 UTC and no payment is open yet.",
    "next_steps": [{"at": "2026-12-01T10:00:00Z", "what": "Expires"}],
}


def order(found: Any, lines: Iterable[Any], packages: Sequence[Package], *, with_token: bool) -> dict[str, Any]:
    """The body of an order with its lines, each a row or an object with the same columns, and its packages;
    `with_token` for its customer.
    """
    currency = found.currency
    names = ("name", "line1", "line2", "city", "postcode", "country", "phone")
    return {
        "id": found.id,
        "number": found.number,
        "token": found.token if with_token else None,
        "state": str(found.state),
        "total": {"amount": found.total_amount, "currency": currency},
        "to_pay": {"amount": found.total_amount - found.credit_amount, "currency": currency},
        "placed_at": stamp(found.placed_at),
        "pay_by": stamp(found.pay_by),
        "paid_at": stamp(found.paid_at),
        "ended_at": stamp(found.ended_at),
        "is_being_cancelled": found.cancel_requested_at is not None and found.ended_at is None,
        "is_under_review": found.review_since is not None,
        "email": found.email,
        "address": {name: getattr(found, name) for name in names} | {"state": found.region},
        "lines": [_line(line) for line in lines],
        "fulfilment": str(found.fulfilment),
        "shipments": [_shipment(package) for package in packages],
    }


def _line(line: Any) -> dict[str, Any]:
    currency, price, quantity = line.currency, line.unit_amount, line.quantity
    return {
        "kind": str(line.kind),
        "sku": line.sku,
        "name": line.name,
        "quantity": quantity,
        "unit_price": {"amount": price, "currency": currency},
        "total": {"amount": price * quantity, "currency": currency},
        "is_included": line.is_included,
        "rate": line.rate,
    }


def _shipment(package: Package) -> dict[str, Any]:
    names = ("number", "carrier", "tracking_number", "tracking_url")
    lines = [{"sku": line.sku, "name": line.name, "quantity": line.quantity} for line in package.lines]
    times = {"packed_at": stamp(package.packed_at), "shipped_at": stamp(package.shipped_at)}
    return {name: getattr(package, name) for name in names} | {"state": str(package.state), **times, "lines": lines}


def entry(one: Entry) -> dict[str, Any]:
    """The body of an entry of the timeline."""
    return {
        "kind": str(one.kind),
        "happened_at": stamp(one.happened),
        "received_at": stamp(one.received),
        "what": one.what,
        "actor": one.actor,
        "outcome": str(one.outcome),
        "details": dict(one.details),
    }


def step(one: Step) -> dict[str, Any]:
    """The body of a next step."""
    return {"at": stamp(one.at), "what": one.text}
