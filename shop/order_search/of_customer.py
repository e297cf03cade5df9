"""Orders of a customer, in keyset pages, the newest first."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import literal, select, tuple_

from shop.core import keyset
from shop.core.db import db
from shop.core.keyset import ON_A_PAGE, Page, Place, Position
from shop.core.money import Money
from shop.orders.models import Order
from shop.orders.states import OrderState


@dataclass(frozen=True)
class Row:
    """An order of the customer."""

    position: Position
    number: str
    state: OrderState
    total: Money


def find(user_id: int, place: Place = keyset.FIRST, *, limit: int = ON_A_PAGE) -> Page[Row]:
    """A page of the orders of an account. One statement."""
    columns = (Order.id, Order.number, Order.placed_at, Order.state, Order.total_amount, Order.currency)
    query = select(*columns).where(Order.user_id == user_id)
    key = (Order.placed_at, Order.id)
    if place.beyond is not None:
        beyond = tuple_(literal(place.beyond.at, Order.placed_at.type), place.beyond.id)
        query = query.where(tuple_(*key) > beyond if place.is_backwards else tuple_(*key) < beyond)
    query = query.order_by(*(key if place.is_backwards else (one.desc() for one in key))).limit(limit + 1)
    found = [
        Row(Position(row.placed_at, row.id), row.number, row.state, Money(row.total_amount, row.currency))
        for row in db.session.execute(query)
    ]
    return keyset.page(found, place, limit)
