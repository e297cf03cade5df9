"""Origins of orders: the client that placed an order, and a visitor's own unpaid orders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, select, union, update
from sqlalchemy.orm import selectinload

from shop.core.db import db, table
from shop.orders.models import IS_LIVE, Order, OrderOrigin

MOST = 20
"""Own orders on a page; the limits on unpaid orders are lower."""


def note(order_id: int, visitor: str, network: str) -> None:
    """Record the client that has placed an order. Part of the caller's transaction."""
    values = {"order_id": order_id, "visitor": visitor, "network": network}
    db.session.execute(table(OrderOrigin).insert(), values)


def carry_over(visitor: str, to: str) -> None:
    """Apply a new id of the browser's cart. Part of the caller's transaction."""
    db.session.execute(update(OrderOrigin).where(OrderOrigin.visitor == visitor).values(visitor=to))


def placed_by(visitor: Any) -> Select[int]:
    """Ids of the orders that this browser has placed; `visitor` is a value or a bind parameter."""
    return select(OrderOrigin.order_id).where(OrderOrigin.visitor == visitor)


def is_own(visitor: Any, user_id: Any) -> ColumnElement[bool]:
    """The condition that an order was placed by this browser or, unless it is None, this customer; values or bind
    parameters.
    """
    placed_here = placed_by(visitor)
    if user_id is None:
        return Order.id.in_(placed_here)
    return Order.id.in_(union(placed_here, select(Order.id).where(Order.user_id == user_id, IS_LIVE)).scalar_subquery())


def is_from(network: Any) -> ColumnElement[bool]:
    """The condition that an order came from this network."""
    return Order.id.in_(select(OrderOrigin.order_id).where(OrderOrigin.network == network))


def own_unpaid(visitor: str | None, user_id: int | None) -> Sequence[Order]:
    """The visitor's own orders that wait for a payment, newest first, with their lines. Guests see none of accounts:
    the browser may have the id of an account's cart from a sign-in that has ended.
    """
    if not visitor and user_id is None:
        return ()
    query = select(Order).where(IS_LIVE, Order.cancel_requested_at.is_(None), is_own(visitor or "", user_id))
    if user_id is None:
        query = query.where(Order.user_id.is_(None))
    return list(db.session.scalars(query.order_by(Order.id.desc()).limit(MOST).options(selectinload(Order.all_lines))))
