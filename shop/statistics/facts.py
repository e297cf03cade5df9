"""Read the facts of a time, along the indexes on their times.

Facts are rows that are added and never changed: events of orders, payments by their creation, alerts by their
detection. What is read beside them does not change either: the currency and total of an order, the provider of a
payment, the time and source of a capture that paid its order.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Text,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    null,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy.orm import aliased

from shop.alerts.models import Alert
from shop.core.db import UtcDateTime, db
from shop.core.event_types import EventKind
from shop.orders.models import Order, OrderEvent
from shop.payments.records.models import Capture, Payment, Refund
from shop.payments.records.settlement_models import Dispute
from shop.payments.records.types import Allocation
from shop.statistics.decide import ALERT_RAISED, EVENTS, PAYMENT_INITIATED, Fact

_OF_ORDERS = (EventKind.ORDER_PLACED, EventKind.ORDER_MOVED)
_ENDS = (EventKind.PAYMENT_FAILED, EventKind.PAYMENT_CANCELLED, EventKind.PAYMENT_EXPIRED, EventKind.PAYMENT_DECLINED)
_NO_TIME = cast(null(), UtcDateTime)


def between(first: datetime, end: datetime) -> list[Fact]:
    """The facts from `first` until before `end`. One statement."""
    return [Fact(*row) for row in db.session.execute(_between(), {"first": first, "end": end})]


def step(first: datetime, end: datetime, many: int) -> datetime:
    """The end of a step from `first` until `end` at the latest that has about `many` events of orders, and more only if
    they have one time.
    """
    later = select(OrderEvent.at).where(OrderEvent.at >= first, OrderEvent.at < end).order_by(OrderEvent.at)
    last = db.session.scalar(later.offset(many).limit(1))
    if last is not None and last <= first:
        last = db.session.scalar(select(func.min(OrderEvent.at)).where(OrderEvent.at > first, OrderEvent.at < end))
    return last or end


@cache
def _between() -> Any:
    """The query, which is made once: that costs more than a short answer."""
    first, end = bindparam("first", type_=UtcDateTime), bindparam("end", type_=UtcDateTime)
    return union_all(*(query.where(at >= first, at < end) for at, query in (_events(), _payments(), _alerts())))


def _events() -> tuple[Any, Any]:
    """Time and query of the events. Refunds and disputes are looked up and not joined: PostgreSQL would read all."""
    event, order, payment, capture = OrderEvent, Order, Payment, Capture
    disputed, newest = aliased(Capture), aliased(Payment)
    of_order = (
        select(newest.id)
        .where(newest.order_id == event.order_id, newest.created_at <= event.at)
        .order_by(newest.created_at.desc(), newest.id.desc())
        .limit(1)
        .correlate(event)
        .scalar_subquery()
    )
    of_refund = select(Refund.payment_id).where(Refund.id == _text("refund")).correlate(event).scalar_subquery()
    of_dispute = (
        select(disputed.payment_id)
        .join(Dispute, Dispute.capture_id == disputed.id)
        .where(Dispute.order_id == event.order_id, Dispute.dispute_id == _text("dispute"))
        .limit(1)
        .correlate(event)
        .scalar_subquery()
    )
    named = func.coalesce(_text("payment"), of_refund, of_dispute, case((event.kind.in_(_OF_ORDERS), of_order)))
    amount = func.coalesce(
        cast(_text("amount"), BigInteger), case((event.kind.in_(_ENDS), payment.amount), else_=order.total_amount)
    )
    paid = and_(
        event.kind == EventKind.PAYMENT_CAPTURED,
        _text("allocation") == Allocation.PAYS_ORDER,
        capture.payment_id == payment.id,
        capture.allocation == Allocation.PAYS_ORDER,
    )
    columns = (
        event.at,
        event.kind,
        func.coalesce(event.because, _text("allocation"), _text("code"), ""),
        func.coalesce(_text("currency"), order.currency),
        amount,
        func.coalesce(payment.provider, ""),
        func.coalesce(_text("method"), ""),
        func.coalesce(type_coerce(capture.source, Text), ""),
        capture.captured_at,
    )
    query = (
        select(*columns)
        .select_from(event)
        .join(order, order.id == event.order_id)
        .outerjoin(payment, payment.id == named)
        .outerjoin(capture, paid)
        .where(event.kind.in_(EVENTS))
    )
    return event.at, query


def _payments() -> tuple[Any, Any]:
    one = Payment
    columns = (one.currency, one.amount, one.provider, literal(""), literal(""), _NO_TIME)
    return one.created_at, select(one.created_at, literal(PAYMENT_INITIATED), literal(""), *columns)


def _alerts() -> tuple[Any, Any]:
    nothing = (literal(""), cast(0, BigInteger), literal(""), literal(""), literal(""), _NO_TIME)
    return Alert.detected_at, select(Alert.detected_at, literal(ALERT_RAISED), Alert.rule, *nothing)


def _text(name: str) -> Any:
    """A value of an event's data."""
    return OrderEvent.data[name].as_string()
