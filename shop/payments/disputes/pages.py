"""Pages of disputes: the open ones by the date until which they have to be answered, then the closed ones, the newest
first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, literal, or_, select, tuple_

from shop.core import keyset
from shop.core.db import UtcDateTime, db
from shop.core.keyset import ON_A_PAGE, Page, Place, Position
from shop.orders.models import Order
from shop.payments.providers.types import DisputeState
from shop.payments.records.settlement_models import Dispute

OPEN, CLOSED = 0, 1
"""Kinds of positions."""
_IS_OPEN = Dispute.state == DisputeState.OPEN
_DUE = func.coalesce(Dispute.respond_by, Dispute.opened_at)


@dataclass(frozen=True)
class Row:
    """A dispute, and the number of its order."""

    dispute: Dispute
    number: str

    @property
    def position(self) -> Position:
        one = self.dispute
        if one.state is DisputeState.OPEN:
            return Position(one.respond_by or one.opened_at, one.id, OPEN)
        return Position(one.opened_at, one.id, CLOSED)


def find(place: Place = keyset.FIRST, *, limit: int = ON_A_PAGE) -> Page[Row]:
    """A page of the disputes. One statement."""
    query = select(Dispute, Order.number).join(Order, Order.id == Dispute.order_id)
    if place.beyond is not None:
        query = query.where(_before(place.beyond) if place.is_backwards else _after(place.beyond))
    by_date = (case((_IS_OPEN, OPEN), else_=CLOSED), case((_IS_OPEN, _DUE)), case((_IS_OPEN, Dispute.id)))
    newest = (Dispute.opened_at, Dispute.id)
    if place.is_backwards:
        query = query.order_by(*(one.desc() for one in by_date), *newest)
    else:
        query = query.order_by(*by_date, *(one.desc() for one in newest))
    found = [Row(dispute, number) for dispute, number in db.session.execute(query.limit(limit + 1))]
    return keyset.page(found, place, limit)


def _after(place: Position) -> ColumnElement[bool]:
    if place.kind == OPEN:
        return or_(~_IS_OPEN, tuple_(_DUE, Dispute.id) > _tuple(place))
    return and_(~_IS_OPEN, tuple_(Dispute.opened_at, Dispute.id) < _tuple(place))


def _before(place: Position) -> ColumnElement[bool]:
    if place.kind == OPEN:
        return and_(_IS_OPEN, tuple_(_DUE, Dispute.id) < _tuple(place))
    return or_(_IS_OPEN, tuple_(Dispute.opened_at, Dispute.id) > _tuple(place))


def _tuple(place: Position) -> Any:
    return tuple_(literal(place.at, UtcDateTime), place.id)
