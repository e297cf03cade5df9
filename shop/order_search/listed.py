"""Lists of orders for programs: whole orders with their lines, by page number or after a position, the newest first."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from sqlalchemy import func, literal, select, tuple_
from sqlalchemy.orm import selectinload

from shop.core.db import db
from shop.core.keyset import Position
from shop.order_search import conditions
from shop.order_search.filters import Filters
from shop.order_search.pages import COUNTED, Total
from shop.orders.models import Order


@dataclass(frozen=True)
class Listed:
    """A page of orders, and the position of the last one if others follow."""

    orders: list[Order]
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
) -> Listed:
    """The orders that match, of one customer if `user_id` is given. Three statements; the total is exact to COUNTED."""
    which = conditions.of(filters, zone)
    if user_id is not None:
        which.append(Order.user_id == user_id)
    counted = select(literal(1)).select_from(Order).where(*which).limit(COUNTED + 1).subquery()
    number = db.session.scalar(select(func.count()).select_from(counted)) or 0
    if after is not None:
        which.append(tuple_(Order.placed_at, Order.id) < tuple_(literal(after.at, Order.placed_at.type), after.id))
    page = select(Order).where(*which).order_by(Order.placed_at.desc(), Order.id.desc())
    found = list(db.session.scalars(page.options(selectinload(Order.all_lines)).limit(limit + 1).offset(offset)))
    shown = found[:limit]
    last = Position(shown[-1].placed_at, shown[-1].id) if len(found) > limit else None
    return Listed(shown, Total(min(number, COUNTED), number <= COUNTED), last)
