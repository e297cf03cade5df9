"""Keyset pages of the list of orders, the newest first, in both directions.

Statements are kept by their filters: to make one takes longer than most of the queries. They depend on nothing else,
and a page's position is a parameter.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    BigInteger,
    Select,
    Subquery,
    and_,
    bindparam,
    case,
    exists,
    func,
    join,
    literal,
    select,
    true,
    tuple_,
)
from sqlalchemy.orm import aliased

from shop.core import keyset
from shop.core.db import db
from shop.core.keyset import ON_A_PAGE, Page, Place, Position
from shop.core.money import Money
from shop.order_search import conditions
from shop.order_search import filters as filters_of
from shop.order_search.conditions import NOT_FEW, Few
from shop.order_search.filters import Filters, Flag
from shop.orders.models import Order
from shop.orders.states import OrderState
from shop.payments.providers.types import PaymentState, RefundState
from shop.payments.records.models import Payment, Refund

COUNTED, CHECKED = 10_000, 1000
"""Orders that a count looks at, the newest that the indexes find; and if it has to check each of them."""
_KEPT = 256
"""Statements that are kept."""
_NONE, _FOUND, _UNKNOWN = 0, 1, 2


@dataclass(frozen=True)
class Row:
    """An order in the list. The payment is its latest one; `refunded` is the sum of its completed refunds."""

    id: int
    number: str
    placed_at: datetime
    state: OrderState
    total: Money
    refunded: Money
    payment_state: PaymentState | None
    provider: str | None
    instrument: dict[str, Any] | None
    flags: tuple[Flag, ...]

    @property
    def position(self) -> Position:
        return Position(self.placed_at, self.id)


@dataclass(frozen=True)
class Total:
    """The number of orders that match; there may be more unless it is exact."""

    number: int
    is_exact: bool


def find(
    filters: Filters, zone: ZoneInfo, place: Place = keyset.FIRST, *, limit: int = ON_A_PAGE, few: Few = NOT_FEW
) -> Page[Row]:
    """A page of the orders that match. One statement. `few` as for `conditions.of`."""
    query = _page(filters, zone, few, _Search.of(place), limit + 1)
    found = db.session.execute(query, _position(place)).mappings().all()
    return keyset.page([_row(dict(one)) for one in found], place, limit)


def find_with_total(
    filters: Filters, zone: ZoneInfo, place: Place = keyset.FIRST, *, few: Few = NOT_FEW
) -> tuple[Page[Row], Total]:
    """The results of `find` and `count`. One statement; two for a page without rows that is not the first."""
    query = _page_with_total(filters, zone, few, _Search.of(place), ON_A_PAGE + 1, COUNTED, CHECKED)
    found = db.session.execute(query, _position(place)).mappings().all()
    if not found:
        return Page([]), Total(0, True) if place == keyset.FIRST else count(filters, zone, few=few)
    rows = [dict(one) for one in found]
    totals = [(one.pop("number_of_all"), one.pop("looked_at"), one.pop("most")) for one in rows]
    return keyset.page([_row(one) for one in rows], place, ON_A_PAGE), _total(*totals[0])


def count(filters: Filters, zone: ZoneInfo, *, few: Few = NOT_FEW) -> Total:
    """The number of orders that match. One statement, which looks at the newest COUNTED or CHECKED orders, or at all of
    the few that have such a payment or amount.
    """
    return _total(*db.session.execute(_counted(filters, zone, few, COUNTED, CHECKED)).one())


@lru_cache(maxsize=_KEPT)
def _counted(filters: Filters, zone: ZoneInfo, few: Few, counted: int, checks: int) -> Select[Any]:
    """Select the number of orders that match, of those that were looked at, and the most that are looked at."""
    looked_at, most = _looked_at(filters, zone, few, counted, checks)
    number = func.coalesce(func.sum(looked_at.c.matches), 0).label("number_of_all")
    return select(number, func.count().label("looked_at"), literal(most).label("most")).select_from(looked_at)


def _looked_at(filters: Filters, zone: ZoneInfo, few: Few, counted: int, checks: int) -> tuple[Subquery, int]:
    """The newest orders that the indexes find, with 1 as `matches` if the rest holds, and the most of them: `counted`,
    or `checks` if each is checked. There is one more if others follow.
    """
    which, checked = conditions.along_index(filters, zone, few=few), conditions.in_rows(filters, few=few)
    if few != NOT_FEW:
        which, checked = [*which, *checked], []
    matches = case((and_(*checked), 1), else_=0) if checked else literal(1)
    most = checks if checked else counted
    newest = select(matches.label("matches")).select_from(Order).where(*which)
    return newest.order_by(Order.placed_at.desc()).limit(most + 1).subquery(), most  # the index of a state has no id


def _total(number: int, looked_at: int, most: int) -> Total:
    return Total(min(int(number), most), looked_at <= most)


def count_up_to(most: int, filters: Filters, zone: ZoneInfo) -> int:
    """The number of orders that match; more than `most` are `most` + 1. One statement, which looks at all orders."""
    matching = select(Order.id).where(*conditions.of(filters, zone)).limit(most + 1).subquery()
    return db.session.scalar(select(func.count()).select_from(matching)) or 0


def found_without(filters: Filters, zone: ZoneInfo, *, few: Few = NOT_FEW) -> dict[str, bool | None]:
    """Each filter that is set, and whether orders match all others; None if none of the newest CHECKED does. One
    statement. `few` is that of the filters.
    """
    without = {name: filters_of.without(filters, name) for name, _ in filters_of.pairs(filters)}
    if not without:
        return {}
    columns = []
    for one in without.values():
        has_same_amounts = (one.least, one.most) == (filters.least, filters.most)
        rows, most = _looked_at(one, zone, Few(amounts=few.amounts and has_same_amounts), 1, CHECKED)
        is_one = exists(select(literal(1)).select_from(rows).where(rows.c.matches == 1))
        number = select(func.count()).select_from(rows).scalar_subquery()
        columns.append(case((is_one, _FOUND), (number > most, _UNKNOWN), else_=_NONE))
    known = {_FOUND: True, _NONE: False}
    return {
        name: known.get(value) for name, value in zip(without, db.session.execute(select(*columns)).one(), strict=True)
    }


@dataclass(frozen=True)
class _Search:
    """The direction of the search for a page, and whether it begins at a position."""

    is_backwards: bool
    has_position: bool

    @classmethod
    def of(cls, place: Place) -> _Search:
        return cls(place.is_backwards, place.beyond is not None)


def _position(place: Place) -> dict[str, Any]:
    """The parameters of a statement."""
    return {"beyond_at": place.beyond.at, "beyond_id": place.beyond.id} if place.beyond else {}


@lru_cache(maxsize=_KEPT)
def _page_with_total(
    filters: Filters, zone: ZoneInfo, few: Few, search: _Search, limit: int, counted: int, checks: int
) -> Select[Any]:
    """Select the orders of a page, each with the values of a total. A set of orders is read once for both."""
    if not conditions.is_set(filters, few):
        totals = _counted(filters, zone, few, counted, checks).subquery("counted")
        return _page(filters, zone, few, search, limit).add_columns(*totals.c).join(totals, true())
    matching = select(Order.id, Order.placed_at).where(*conditions.of(filters, zone, few=few)).cte("matching")
    number = func.count()
    columns = (number.label("number_of_all"), number.label("looked_at"), literal(counted).label("most"))
    totals = select(*columns).select_from(matching).subquery("counted")
    chosen = _chosen(select(matching.c.id), (matching.c.placed_at, matching.c.id), search, limit)
    return _shown_of(chosen, search).add_columns(*totals.c).join(totals, true())


@lru_cache(maxsize=_KEPT)
def _page(filters: Filters, zone: ZoneInfo, few: Few, search: _Search, limit: int) -> Select[Any]:
    matching = select(Order.id).where(*conditions.of(filters, zone, few=few))
    return _shown_of(_chosen(matching, (Order.placed_at, Order.id), search, limit), search)


def _chosen(matching: Select[Any], key: tuple[Any, Any], search: _Search, limit: int) -> Subquery:
    """The ids of a page, in the direction of the search; `key` are time and id of the orders that match."""
    if search.has_position:
        at, id = bindparam("beyond_at", type_=Order.placed_at.type), bindparam("beyond_id", type_=BigInteger())
        beyond = tuple_(at, id)
        matching = matching.where(tuple_(*key) > beyond if search.is_backwards else tuple_(*key) < beyond)
    return matching.order_by(*_sorted(key, search.is_backwards)).limit(limit).subquery("page")


def _shown_of(chosen: Subquery, search: _Search) -> Select[Any]:
    """Select what the list shows of the chosen orders, in the direction of the search."""
    order, payment, shown = _shown()
    latest = select(func.max(Payment.id)).where(Payment.order_id == order.id).scalar_subquery()
    found = join(chosen, order, order.id == chosen.c.id).outerjoin(payment, payment.id == latest)
    return shown.select_from(found).order_by(*_sorted((order.placed_at, order.id), search.is_backwards))


@cache
def _shown() -> tuple[Any, Any, Select[Any]]:
    """The order and the payment that a row shows, and the columns of the list. Made once, because that takes longer
    than the query; a time in the condition of a flag would stay the first one.
    """
    order, payment = aliased(Order, name="shown"), aliased(Payment, name="latest")
    done = (Refund.order_id == order.id, Refund.state == RefundState.DONE, Refund.currency == order.currency)
    refunded = select(func.coalesce(func.sum(Refund.amount), 0)).where(*done).scalar_subquery()
    columns = (order.id, order.number, order.placed_at, order.state, order.total_amount, order.currency)
    flags = [conditions.has_flag(flag, order).label(flag.value) for flag in Flag]
    state, provider, instrument = payment.state.label("payment_state"), payment.provider, payment.instrument
    return order, payment, select(*columns, state, provider, instrument, refunded.label("refunded"), *flags)


def _sorted(key: tuple[Any, Any], is_backwards: bool) -> tuple[Any, Any]:
    return key if is_backwards else (key[0].desc(), key[1].desc())


_FLAGS = tuple((flag, flag.value) for flag in Flag)


def _row(found: dict[str, Any]) -> Row:
    flags = tuple([flag for flag, name in _FLAGS if found.pop(name)])
    currency = found.pop("currency")
    total, refunded = Money(found.pop("total_amount"), currency), Money(int(found.pop("refunded")), currency)
    return Row(**found, total=total, refunded=refunded, flags=flags)
