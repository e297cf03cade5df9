"""Lists of orders for programs: whole orders with their lines, by page number or after a position, the newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, bindparam, func, literal, select, tuple_

from shop.core.db import db, table
from shop.core.keyset import Position
from shop.order_search import conditions, pages
from shop.order_search.conditions import NOT_FEW, Few
from shop.order_search.filters import Filters
from shop.order_search.pages import COUNTED, Total
from shop.orders.models import Order, OrderLine

_O, _L = table(Order).c, table(OrderLine).c
_ORDER = (
    *(_O.id, _O.number, _O.token, _O.state, _O.currency, _O.total_amount, _O.credit_amount, _O.user_id, _O.email),
    *(_O.name, _O.line1, _O.line2, _O.city, _O.region, _O.postcode, _O.country, _O.phone, _O.placed_at, _O.pay_by),
    *(_O.paid_at, _O.ended_at, _O.cancel_requested_at, _O.review_since, _O.fulfilment),
)
_LINES = (
    select(_L.order_id, _L.kind, _L.sku, _L.name, _L.quantity, _L.unit_amount, _L.currency, _L.is_included, _L.rate)
    .where(_L.order_id.in_(bindparam("orders", expanding=True)))
    .order_by(_L.order_id, _L.position)
)


@dataclass(frozen=True)
class Listed:
    """A page of orders as rows of columns, which cost less than objects, with the lines of each by its id; and the
    position of the last one if others follow.
    """

    orders: Sequence[Any]
    lines: Mapping[int, Sequence[Any]]
    total: Total
    next: Position | None


def find(
    filters: Filters,
    zone: ZoneInfo,
    *,
    limit: int,
    offset: int = 0,
    after: Position | None = None,
    user_id: int | None = None,
    email: str | None = None,
) -> Listed:
    """The orders that match, of one customer and with one e-mail address in its normal form, if these are given. Three
    statements, one more for payments and amounts. The total is exact to COUNTED, for payments and amounts that many
    orders have to `pages.CHECKED`.
    """
    of_one = [Order.user_id == user_id] if user_id is not None else []
    of_one += [Order.email == email] if email is not None else []
    few = NOT_FEW if of_one else _few(filters)
    which = [*conditions.of(filters, zone, few=few), *of_one]
    total = _counted(which) if of_one else pages.count(filters, zone, few=few)
    if after is not None:
        which.append(tuple_(Order.placed_at, Order.id) < tuple_(literal(after.at, Order.placed_at.type), after.id))
    page = select(*_ORDER).where(*which).order_by(Order.placed_at.desc(), Order.id.desc())
    found = db.session.execute(page.limit(limit + 1).offset(offset)).all()
    shown = found[:limit]
    lines: dict[int, list[Any]] = {one.id: [] for one in shown}
    for line in db.session.execute(_LINES, {"orders": list(lines)}) if lines else ():
        lines[line.order_id].append(line)
    last = Position(shown[-1].placed_at, shown[-1].id) if len(found) > limit else None
    return Listed(shown, lines, total, last)


def _few(filters: Filters) -> Few:
    """The value for `conditions.of`, which one statement selects where the filters name payments or amounts."""
    if not (filters.payment_states or filters.providers or filters.least or filters.most):
        return NOT_FEW
    return Few(*map(bool, db.session.execute(conditions.are_few(filters)).one()))


def _counted(which: list[ColumnElement[bool]]) -> Total:
    """The number of orders of one customer that match."""
    counted = select(literal(1)).select_from(Order).where(*which).limit(COUNTED + 1).subquery()
    number = db.session.scalar(select(func.count()).select_from(counted)) or 0
    return Total(min(number, COUNTED), number <= COUNTED)
