"""Sample orders in memory, one for each status of the order page, for the pages of the team in development.

Nothing is stored: the rows belong to no session, and `order_status` decides their status as it does for stored rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

from flask import current_app

from shop.catalogue import initial_catalogue
from shop.checkout.order_status import OrderStatus, status_of
from shop.core import clock
from shop.core.languages import text_in
from shop.core.line_kinds import LineKind
from shop.fulfilment.find import Package, PackedLine, Shipping
from shop.fulfilment.states import ShipmentState
from shop.orders import states as order_states
from shop.orders.fulfilment_states import FulfilmentState
from shop.orders.models import Order, OrderLine
from shop.orders.states import OrderState
from shop.payments.providers.types import ActionKind, EndReason, PaymentState, RefundState
from shop.payments.records import refund_states
from shop.payments.records.models import Payment, Refund
from shop.payments.records.types import Allocation, RefundDestination, RefundKind
from shop.pricing import demo_pricing
from shop.returns.states import ReturnState
from shop.returns.views import NONE, OrderReturns, ReturnView

NUMBER, TOKEN, PAYMENT = "7K3M-9QXT-2F", "sample", "PSAMPLE"
_QR_PATH = "/pay/sample"
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
_GOODS = (("BOWL-NEST", 1), ("PENCIL-SIX", 2))
_CHARGES = {
    "en": ("Express", "VAT"),
    "zh_Hant": ("快速配送", "營業稅"),
    "zh_Hans": ("加急配送", "增值税"),
    "ja": ("お急ぎ便", "消費税"),
}
"""Names of the delivery method and of the tax, by language."""
_CODE_AMOUNT, _DELIVERY_AMOUNT = {"TWD": 5000, "JPY": 200, "USD": 150}, {"TWD": 12000, "JPY": 600, "USD": 900}
_ADDRESSES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "en": (
        "USD",
        {"name": "May Lin", "line1": "500 Howard Street, Apt 12", "city": "San Francisco", "region": "CA"}
        | {"postcode": "94105", "country": "US", "phone": "+1 415 555 0132"},
    ),
    "zh_Hant": (
        "TWD",
        {"name": "林美玲", "line1": "永康街12號3樓", "city": "臺北市大安區", "postcode": "106", "country": "TW"},
    ),
    "zh_Hans": (
        "TWD",
        {"name": "林美玲", "line1": "乌节路2号", "line2": "#05-12", "city": "", "postcode": "238823", "country": "SG"},
    ),
    "ja": (
        "JPY",
        {"name": "林 美咲", "line1": "丸の内1-2-3", "city": "千代田区", "region": "Tokyo", "postcode": "100-0005"}
        | {"country": "JP"},
    ),
}
"""Currency and address of a customer, by language."""


@dataclass(frozen=True)
class Refunded:
    """A refund of all that was paid, of the first product, or of all but the first product."""

    kind: RefundKind = RefundKind.CUSTOMER
    state: RefundState = RefundState.DONE
    part: Literal["all", "first", "rest"] = "all"
    destination: RefundDestination = RefundDestination.PROVIDER


@dataclass(frozen=True)
class Sample:
    """The differences to an order that waits for its payment: columns of the order and of its payment, allocations of
    its captures, and refunds. A `timedelta` stands for a time relative to now.
    """

    state: OrderState = OrderState.WAITING_PAYMENT
    payment: Mapping[str, Any] | None = field(default_factory=dict)
    order: Mapping[str, Any] = field(default_factory=dict)
    allocations: frozenset[str | None] = frozenset()
    refunds: tuple[Refunded, ...] = ()
    attempts: int = 1
    """Payments like this one."""
    currency: str = ""
    """Of the customer's language unless stated."""
    shipped: int = 0
    """Products of the order, from the first, that are in a package that has left."""
    returned: ReturnState | None = None
    """State of a return of the first product."""


def _payment(state: PaymentState, **columns: Any) -> dict[str, Any]:
    return {"state": state, **columns}


_VISITED = _payment(PaymentState.OPEN, visited_at=-2 * MINUTE)
_CARD = {"method": "card", "brand": "visa", "last4": "4242"}
_CAPTURED = _payment(PaymentState.CAPTURED, ended_at=-MINUTE, confirmed_at=-30 * SECOND, instrument=_CARD)
_DECLINE = {"code": "insufficient_funds", "class": "other_method"}
_STORE_CODE = {"code": "LLL2612019844", "barcode": "LLL2612019844"}
_PAID = {"paid_at": -MINUTE, "paid_by": PAYMENT}
_ENDED = {"ended_at": -MINUTE, "pay_by": -2 * MINUTE}
_MORE_THAN_ALLOWED = 20
_PAYS = frozenset({Allocation.PAYS_ORDER})
_WITHOUT_MONEY = _payment(PaymentState.EXPIRED, ended_at=-MINUTE, end_reason=EndReason.TIME)


def _ended(state: PaymentState, reason: EndReason, **columns: Any) -> Sample:
    """An unpaid order whose payment has ended."""
    columns = {"end_reason": reason, "ended_at": -MINUTE, **columns}
    return Sample(OrderState.FAILED, _payment(state, **columns))


def _paid(state: OrderState, *refunds: Refunded, **order: Any) -> Sample:
    return Sample(state, _CAPTURED, _PAID | order, _PAYS, refunds)


def _twice(refund: RefundState) -> Sample:
    paying_for_nothing = Refunded(RefundKind.DUPLICATE, refund)
    return Sample(OrderState.PAID, _CAPTURED, _PAID, _PAYS | {Allocation.DUPLICATE}, (paying_for_nothing,))


def _late(refund: RefundState) -> Sample:
    sent = Refunded(RefundKind.LATE, refund)
    return Sample(OrderState.EXPIRED, _CAPTURED, _ENDED, frozenset({Allocation.LATE}), (sent,))


SAMPLES: dict[str, Sample] = {
    "preparing": Sample(OrderState.PENDING, _payment(PaymentState.CREATED)),
    "choose": Sample(OrderState.PENDING, None),
    "choose-declined": _ended(PaymentState.FAILED, EndReason.REFUSED, last_decline=_DECLINE),
    "unavailable": _ended(PaymentState.FAILED, EndReason.UNAVAILABLE),
    "waiting": Sample(),
    "waiting-qr": Sample(
        payment={"provider": "paypay", "action": {"kind": ActionKind.QR, "url": _QR_PATH, "fields": {}}},
        currency="JPY",
    ),
    "waiting-credit": Sample(order={"credit_amount": 1000}),
    "finish_in_tab": Sample(payment=_VISITED),
    "confirming": Sample(payment=_VISITED | {"returned_at": -20 * SECOND}),
    "still_waiting": Sample(payment=_VISITED | {"returned_at": -95 * SECOND}),
    "store_code": Sample(
        payment={
            "provider": "tpay",
            "expires_at": DAY,
            "action": {"kind": ActionKind.STORE_CODE, "url": "", "fields": _STORE_CODE},
        },
        order={"pay_by": DAY},
        currency="TWD",
    ),
    "declined": Sample(payment=_VISITED | {"last_decline": _DECLINE}),
    "failed": _ended(PaymentState.FAILED, EndReason.DECLINES, last_decline=_DECLINE),
    "failed-often": Sample(
        OrderState.FAILED, _ended(PaymentState.FAILED, EndReason.DECLINES).payment, attempts=_MORE_THAN_ALLOWED
    ),
    "session_ended": _ended(PaymentState.EXPIRED, EndReason.TIME),
    "cancelled_there": _ended(PaymentState.CANCELLED, EndReason.CUSTOMER),
    "closing": Sample(
        payment=_payment(PaymentState.OPEN, cancel_requested_at=-5 * SECOND),
        order={"cancel_requested_at": -5 * SECOND},
    ),
    "expiring": Sample(order={"pay_by": -10 * SECOND}),
    "expired": Sample(OrderState.EXPIRED, _WITHOUT_MONEY, _ENDED),
    "cancelled": Sample(OrderState.CANCELLED, _payment(PaymentState.CANCELLED, ended_at=-MINUTE), _ENDED),
    "late": _late(RefundState.PENDING),
    "late-refunded": _late(RefundState.DONE),
    "review": Sample(payment=_CAPTURED, order={"review_since": -MINUTE}, allocations=frozenset({Allocation.MISMATCH})),
    "paid": _paid(OrderState.PAID),
    "paid-part_shipped": replace(_paid(OrderState.PAID), shipped=1),
    "paid-shipped": replace(_paid(OrderState.PAID), shipped=2),
    "paid-return": replace(_paid(OrderState.PAID), shipped=2, returned=ReturnState.ACCEPTED),
    "paid-credit": _paid(OrderState.PAID, credit_amount=1000),
    "paid-free": Sample(OrderState.PAID, None, {"paid_at": -MINUTE, "paid_by": order_states.NOTHING_DUE}),
    "twice": _twice(RefundState.PENDING),
    "twice-refunded": _twice(RefundState.DONE),
    "refund_pending": _paid(OrderState.PAID, Refunded(state=RefundState.PENDING)),
    "partly_refunded": _paid(OrderState.PARTIALLY_REFUNDED, Refunded(part="first")),
    "refunded": _paid(OrderState.REFUNDED, Refunded()),
    "refunded-bank": _paid(
        OrderState.REFUNDED,
        Refunded(part="first", destination=RefundDestination.STORE_CREDIT),
        Refunded(part="rest", destination=RefundDestination.BANK),
    ),
}
"""By the key of the status, and a variant of it after a hyphen."""


def key_of(name: str) -> str:
    """The key of the status that a sample shows."""
    return name.partition("-")[0]


def status(name: str, locale: str) -> OrderStatus:
    """The status of a sample whose customer reads this language. Raises KeyError for an unknown name."""
    sample, at = SAMPLES[name], clock.now()
    order = order_of(name, locale)
    attempts = range(0 if sample.payment is None else sample.attempts)
    payments = [_payment_of(order, sample.payment or {}, at) for _ in attempts]
    refunds = [_refund_of(order, refund, at) for refund in sample.refunds]
    shipping, returns, seq = _shipping(name, order), _returns(name, order, at), order.event_seq
    return status_of(order, payments, set(sample.allocations), refunds, at, seq, shipping=shipping, returns=returns)


def packages(name: str, locale: str) -> tuple[Package, ...]:
    """The packages of a sample that have left."""
    shipping = _shipping(name, order_of(name, locale))
    return shipping.packages if shipping else ()


def _shipping(name: str, order: Order) -> Shipping | None:
    if order.paid_at is None or order.state != OrderState.PAID:
        return None
    lines = [PackedLine(line.sku, line.name, line.quantity) for line in order.lines]
    number, at = SAMPLES[name].shipped, clock.now()
    if not number:
        return Shipping(FulfilmentState.TO_PACK, (), tuple(lines))
    tracking = ("DHL", "JD014600003RU", "https://www.dhl.com/track?id=JD014600003RU")
    package = Package(0, 1, ShipmentState.SHIPPED, *tracking, at, at, tuple(lines[:number]))
    state = FulfilmentState.SHIPPED if number == len(lines) else FulfilmentState.PARTLY_SHIPPED
    return Shipping(state, (package,), tuple(lines[number:]))


def _returns(name: str, order: Order, at: datetime) -> OrderReturns:
    state, first = SAMPLES[name].returned, order.lines[0]
    if state is None:
        return NONE
    granted = first.total if state == ReturnState.CLOSED else None
    return OrderReturns((ReturnView(f"{NUMBER}-R1", state, ((first.name, 1),), "", granted, at),), can_request=True)


def order_of(name: str, locale: str) -> Order:
    """The order of a sample, with two products, a discount, delivery and tax; another discount makes it free."""
    sample, at = SAMPLES[name], clock.now()
    home, address = _ADDRESSES[locale]
    currency = sample.currency or home
    lines = _lines(currency, locale, is_free=sample.order.get("paid_by") == order_states.NOTHING_DUE)
    columns: dict[str, Any] = {
        **{"id": None, "number": NUMBER, "token": TOKEN, "checkout_key": "", "state": sample.state, "user_id": None},
        **{"currency": currency, "locale": locale, "email": "may@example.com", "event_seq": 3, "credit_amount": 0},
        "fulfilment": FulfilmentState.TO_PACK,
        **{"line2": "", "region": "", "phone": "", **address, "placed_at": -3 * MINUTE, "pay_by": 27 * MINUTE},
        "total_amount": sum(line.total.amount for line in lines if not line.is_included),
        **sample.order,
    }
    return Order(all_lines=lines, **_at(columns, at))


def _lines(currency: str, locale: str, *, is_free: bool) -> list[OrderLine]:
    goods = [_item(number, *wanted, currency, locale) for number, wanted in enumerate(_GOODS)]
    value = sum(line.total.amount for line in goods)
    delivery = 0 if is_free else _DELIVERY_AMOUNT[currency]
    discount = -value if is_free else -_CODE_AMOUNT[currency]
    taxed, step = value + delivery + discount, 100 if currency == "TWD" else 1
    charges = [
        (LineKind.DISCOUNT, demo_pricing.CODE, discount, {}),
        (LineKind.DELIVERY, _CHARGES[locale][0], delivery, {}),
        (LineKind.TAX, _CHARGES[locale][1], taxed * 5 // 105 // step * step, {"rate": 5000, "is_included": True}),
    ]
    return goods + [
        _line(len(goods) + number, f"{kind}:sample", name, amount, currency, kind=kind, **more)
        for number, (kind, name, amount, more) in enumerate(charges)
    ]


def _item(position: int, sku: str, quantity: int, currency: str, locale: str) -> OrderLine:
    product = _products()[sku]
    name = text_in(product["texts"], locale, "name", product["name"])
    where = {"slug": product["slug"], "image": product["image"]}
    return _line(position, sku, name, product["prices"][currency], currency, quantity=quantity, **where)


def _line(position: int, sku: str, name: str, amount: int, currency: str, **more: Any) -> OrderLine:
    values: dict[str, Any] = {"quantity": 1, "slug": "", "image": "", "kind": LineKind.ITEM, "is_included": False}
    values |= {"withdrawn": 0}
    values |= {"position": position, "sku": sku, "name": name, "unit_amount": amount, "currency": currency, **more}
    return OrderLine(**values)


@lru_cache
def _products() -> dict[str, dict[str, Any]]:
    return {product["sku"]: product for product in initial_catalogue.read()["product"]}


def _payment_of(order: Order, columns: Mapping[str, Any], at: datetime) -> Payment:
    values: dict[str, Any] = {
        **{"id": PAYMENT, "provider": "kpay", "state": PaymentState.OPEN, "confirm_misses": 0, "provider_data": {}},
        **{"amount": max(order.to_pay.amount, 1), "currency": order.currency, "checks": 1},
        **{"created_at": -3 * MINUTE, "opened_at": -3 * MINUTE, "expires_at": 27 * MINUTE, **columns},
    }
    if "action" in columns:
        path = columns["action"]["url"]
        values["action"] = {**columns["action"], "url": acquirer_page(path) if path else ""}
    return Payment(**_at(values, at))


def acquirer_page(path: str = _QR_PATH) -> str:
    """The address of a page at the acquirer; by default of the one in the QR code."""
    return f"{str(current_app.config['ACQUIRER_PUBLIC_URL']).rstrip('/')}{path}"


def _refund_of(order: Order, refund: Refunded, at: datetime) -> Refund:
    first = order.lines[0].total
    money = {"all": order.to_pay, "first": first, "rest": order.to_pay + first * -1}[refund.part]
    ended = None if refund.state in refund_states.UNDER_WAY else at
    what = {"kind": refund.kind, "state": refund.state, "destination": refund.destination, "needs_two": False}
    return Refund(amount=money.amount, currency=money.currency, created_at=at - MINUTE, ended_at=ended, **what)


def _at(columns: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """The columns with times in place of times relative to now."""
    return {name: at + value if isinstance(value, timedelta) else value for name, value in columns.items()}
