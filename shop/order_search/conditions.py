"""SQL conditions of the filters of orders.

Filters that match few orders are sets of ids, read from indexes; the others are checked along the index in which the
list is sorted. States and providers of payments, and amounts, are either, by the number that match.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    and_,
    bindparam,
    case,
    exists,
    false,
    func,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.orm import aliased

from shop.core import clock, days
from shop.order_search.filters import Filters, Flag, Method
from shop.orders.models import IS_LIVE, Order
from shop.payments.providers.types import PaymentState
from shop.payments.records.models import (
    HAS_ENDED,
    IS_STILL_OPEN,
    NOT_PAYING,
    REFUND_UNDER_WAY,
    Capture,
    Payment,
    Refund,
)
from shop.payments.records.settlement_models import Dispute
from shop.payments.records.states import STILL_OPEN
from shop.payments.records.types import Allocation

_ALLOCATIONS = {
    Flag.LATE: Allocation.LATE,
    Flag.DUPLICATE: Allocation.DUPLICATE,
    Flag.WRONG_AMOUNT: Allocation.MISMATCH,
}
_UNPAID_FOR = timedelta(minutes=2)
_UNPAID_BEFORE = bindparam(
    "unpaid_before", callable_=lambda: clock.now() - _UNPAID_FOR, type_=Order.placed_at.type, unique=True
)
"""Read when the statement is executed, because statements are kept."""
_METHOD = Payment.instrument["method"].as_string()
_STORE = "convenience store"
"""Word of the providers for Method.STORE."""
_BY_METHOD = {
    Method.CARD: _METHOD == "card",
    Method.STORE: _METHOD == _STORE,
    Method.OTHER: _METHOD.not_in(("", "card", _STORE)),
}


FEW = 2000
"""Up to this number, the orders of payments that match, and those with an amount, are read as a set."""


@dataclass(frozen=True)
class Few:
    """True for payments or amounts that few orders have: these orders are read as a set."""

    payments: bool = False
    amounts: bool = False


NOT_FEW = Few()


def of(filters: Filters, zone: ZoneInfo, *, few: Few = NOT_FEW) -> list[ColumnElement[bool]]:
    """The conditions of the filters that are set. Days begin at midnight in `zone`. `few` is what `are_few` selects; it
    changes the cost and not the result.
    """
    return [*along_index(filters, zone, few=few), *in_rows(filters, few=few)]


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
        return select(Order.id).where(IS_LIVE, Order.placed_at < _UNPAID_BEFORE)
    return select(Refund.order_id).where(REFUND_UNDER_WAY)


def has_flag(flag: Flag, order: Any) -> ColumnElement[bool]:
    """The order, an alias, has this flag. Read from the order to its payments: the index of all captures that pay for
    nothing is long.
    """
    if flag is Flag.IN_REVIEW:
        return cast("ColumnElement[bool]", order.review_since.is_not(None))
    if flag in _ALLOCATIONS:
        captured = exists().where(Payment.order_id == order.id, Capture.payment_id == Payment.id)
        return captured.where(Capture.allocation == _ALLOCATIONS[flag])
    ids = flagged(flag)
    return exists(ids.where(ids.selected_columns[0] == order.id))


def is_set(filters: Filters, few: Few) -> bool:
    """True if all orders that match are found as a set of ids, which is read as a whole."""
    return few != NOT_FEW or (bool(filters.flags) and not in_rows(filters, few=few))


def along_index(filters: Filters, zone: ZoneInfo, *, few: Few) -> list[ColumnElement[bool]]:
    """The conditions for which an index finds the orders: states, days, flags, and what few have."""
    return list(_along_index(filters, zone, few))


def in_rows(filters: Filters, *, few: Few) -> list[ColumnElement[bool]]:
    """The conditions that are checked for one order after the other: amounts, currencies and payments of many."""
    return list(_in_rows(filters, few))


def may_be_few(filters: Filters) -> Filters:
    """The filters on which `are_few` depends, without the others."""
    of_payments = Filters(payment_states=filters.payment_states, providers=filters.providers)
    if filters.payment_states or filters.providers:
        of_payments = replace(of_payments, methods=filters.methods)
    if filters.least or filters.most:
        return replace(of_payments, currencies=filters.currencies, least=filters.least, most=filters.most)
    return of_payments


def are_few(filters: Filters) -> Select[bool, bool]:
    """Select the values of a `Few`: whether the filters name states or providers of payments, or amounts, and at most
    FEW payments or orders have them.
    """
    of_payments = _order_ids(filters) if filters.payment_states or filters.providers else None
    of_amounts = select(Order.id).where(*_of_amounts(filters)) if filters.least or filters.most else None
    return select(_is_few(of_payments).label("payments"), _is_few(of_amounts).label("amounts"))


def _is_few(ids: Select[Any] | CompoundSelect[Any] | None) -> ColumnElement[bool]:
    if ids is None:
        return false()
    return select(func.count() <= FEW).select_from(ids.limit(FEW + 1).subquery()).scalar_subquery()


def _of_amounts(filters: Filters, order: Any = Order) -> Iterator[ColumnElement[bool]]:
    """The index on amounts finds the orders."""
    yield order.currency.in_(filters.currencies)
    if filters.least:
        yield order.total_amount >= filters.least.amount
    if filters.most:
        yield order.total_amount <= filters.most.amount


def _along_index(filters: Filters, zone: ZoneInfo, few: Few) -> Iterator[ColumnElement[bool]]:
    if filters.states:
        yield Order.state.in_(filters.states)
    if filters.placed_from:
        yield Order.placed_at >= days.midnight(filters.placed_from, zone)
    if filters.placed_to:
        yield Order.placed_at < days.midnight(filters.placed_to + timedelta(days=1), zone)
    if filters.flags:
        yield Order.id.in_(union_all(*(flagged(flag) for flag in filters.flags)))
    if few.payments:
        yield Order.id.in_(_order_ids(filters))
    if few.amounts:
        with_amount = aliased(Order, name="with_amount")
        yield Order.id.in_(select(with_amount.id).where(*_of_amounts(filters, with_amount)))


def _in_rows(filters: Filters, few: Few) -> Iterator[ColumnElement[bool]]:
    if filters.currencies and not few.amounts:
        # as a CASE without their index, which would find many, unsorted; PostgreSQL expects half of the rows to match
        yield case((and_(*_of_amounts(filters)), true()), else_=false())
    if few.payments:
        return
    if filters.payment_states or filters.providers or filters.methods:
        matching = select(Payment.id).where(Payment.order_id == Order.id, *_of_payment(filters))
        yield matching.limit(1).offset(0).exists()  # with OFFSET, PostgreSQL does not read all matching payments first


def _of_payment(filters: Filters) -> list[ColumnElement[bool]]:
    """The payment is in one of the states, at one of the providers, by one of the methods."""
    wanted: list[ColumnElement[bool]] = [Payment.state.in_(filters.payment_states)] if filters.payment_states else []
    wanted += [Payment.provider.in_(filters.providers)] if filters.providers else []
    return wanted + ([or_(*(_BY_METHOD[method] for method in filters.methods))] if filters.methods else [])


def _order_ids(filters: Filters) -> CompoundSelect[Any]:
    """Orders of the payments that match: the ended ones and the open ones, each along its partial index."""
    states, wanted = filters.payment_states or tuple(PaymentState), _of_payment(filters)
    ended = [Payment.state.in_([state for state in states if state not in STILL_OPEN]), HAS_ENDED]
    return union_all(*(select(Payment.order_id).where(*wanted, *half) for half in (ended, [IS_STILL_OPEN])))
