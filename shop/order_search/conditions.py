"""SQL conditions of the filters of orders.

Filters that match few orders are sets of ids, read from partial indexes; the others are checked along the index in
which the list is sorted.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, exists, or_, select, text, union_all

from shop.core import clock, days
from shop.order_search.filters import Filters, Flag, Method
from shop.orders.models import IS_LIVE, Order
from shop.payments.records.models import NOT_PAYING, REFUND_UNDER_WAY, Capture, Payment, Refund
from shop.payments.records.settlement_models import Dispute
from shop.payments.records.states import STILL_OPEN
from shop.payments.records.types import Allocation

_ALLOCATIONS = {
    Flag.LATE: Allocation.LATE,
    Flag.DUPLICATE: Allocation.DUPLICATE,
    Flag.WRONG_AMOUNT: Allocation.MISMATCH,
}
_UNPAID_FOR = timedelta(minutes=2)
_OPEN = text("payments.state IN ({})".format(", ".join(f"'{state}'" for state in sorted(STILL_OPEN))))
"""With literals, because a partial index is used for literals only."""


_METHOD = Payment.instrument["method"].as_string()
_STORE = "convenience store"
"""Word of the providers for Method.STORE."""
_BY_METHOD = {
    Method.CARD: _METHOD == "card",
    Method.STORE: _METHOD == _STORE,
    Method.OTHER: _METHOD.not_in(("", "card", _STORE)),
}


def of(filters: Filters, zone: ZoneInfo) -> list[ColumnElement[bool]]:
    """The conditions of the filters that are set. Days begin at midnight in `zone`."""
    return list(_conditions(filters, zone))


def flagged(flag: Flag) -> Select[Any]:
    """Ids of the orders with this flag."""
    if flag in _ALLOCATIONS:
        captured = select(Payment.order_id).join(Capture, Capture.payment_id == Payment.id)
        return captured.where(NOT_PAYING, Capture.allocation == _ALLOCATIONS[flag])
    if flag is Flag.IN_REVIEW:
        return select(Order.id).where(Order.review_since.is_not(None))
    if flag is Flag.DISPUTED:
        return select(Dispute.order_id)
    if flag is Flag.UNPAID:
        return select(Order.id).where(IS_LIVE, Order.placed_at < clock.now() - _UNPAID_FOR)
    return select(Refund.order_id).where(REFUND_UNDER_WAY)


def _conditions(filters: Filters, zone: ZoneInfo) -> Iterator[ColumnElement[bool]]:
    if filters.states:
        yield Order.state.in_(filters.states)
    if filters.currencies:
        yield Order.currency.in_(filters.currencies)
    if filters.least:
        yield Order.total_amount >= filters.least.amount
    if filters.most:
        yield Order.total_amount <= filters.most.amount
    if filters.placed_from:
        yield Order.placed_at >= days.midnight(filters.placed_from, zone)
    if filters.placed_to:
        yield Order.placed_at < days.midnight(filters.placed_to + timedelta(days=1), zone)
    if filters.flags:
        yield Order.id.in_(union_all(*(flagged(flag) for flag in filters.flags)))
    if filters.payment_states or filters.providers or filters.methods:
        yield _has_payment(filters)


def _has_payment(filters: Filters) -> ColumnElement[bool]:
    """The order has a payment in one of the states, at one of the providers, by one of the methods."""
    wanted: list[ColumnElement[bool]] = [Payment.state.in_(filters.payment_states)] if filters.payment_states else []
    wanted += [Payment.provider.in_(filters.providers)] if filters.providers else []
    if filters.methods:
        wanted.append(or_(*(_BY_METHOD[method] for method in filters.methods)))
    if filters.payment_states and STILL_OPEN.issuperset(filters.payment_states):
        return Order.id.in_(select(Payment.order_id).where(_OPEN, *wanted))
    return exists().where(Payment.order_id == Order.id, *wanted)
