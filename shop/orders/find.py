"""Lookup of orders by token, number, customer or address."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import current_app
from sqlalchemy import ColumnElement, Text, bindparam, exists, func, or_, select
from sqlalchemy.orm import selectinload

from shop.core import clock, email_address, ids
from shop.core.db import db
from shop.core.event_types import EventKind
from shop.orders import links
from shop.orders.models import Order, OrderEvent

READABLE_AFTER_END = timedelta(days=30)
_STEPS = (EventKind.SHIPMENT_SHIPPED, *(kind for kind in EventKind if kind.startswith("return.")))
"""Events that a customer may answer by a return, or that are about one."""
ORDERS_ON_A_PAGE = 50
_OF_NUMBER = select(Order).where(Order.number == bindparam("number", type_=Text))


@dataclass(frozen=True)
class Orders:
    """A page of a list of orders, newest first. Pages are numbered from 1; an empty list has one page."""

    orders: list[Order]
    page: int
    pages: int


def by_token(token: str) -> Order | None:
    """The order of `token`: valid from placing until 30 days after the order's end, and longer while its items can be
    returned, or a return was handled lately.
    """
    return db.session.scalars(select(Order).where(Order.token == token, _is_readable())).one_or_none()


def by_token_of_owner(token: str, user_id: int) -> Order | None:
    """The order of `token` if the customer placed it, however long ago it ended."""
    return db.session.scalars(select(Order).where(Order.token == token, Order.user_id == user_id)).one_or_none()


def by_return_token(return_token: str) -> Order | None:
    """The order of a return token, as long as its order token is valid."""
    number, _, _ = return_token.partition(".")
    order = db.session.scalars(select(Order).where(Order.number == number, _is_readable())).one_or_none()
    if order is None or not links.same(links.return_token(order.number, order.token), return_token):
        return None
    return order


def by_number(number: str) -> Order | None:
    """The order with that number in any spelling, for staff: the number is not secret and grants nothing."""
    return db.session.scalars(_OF_NUMBER, {"number": ids.read_order_number(number)}).one_or_none()


def of_user(user_id: int, page: int = 1) -> Orders | None:
    """A page of a customer's orders; None if the list has no such page."""
    return _page(page, Order.user_id == user_id)


def of_user_by_ids(user_id: int, order_ids: Iterable[int]) -> dict[int, Order]:
    """The customer's orders with these ids."""
    found = select(Order).where(Order.user_id == user_id, Order.id.in_(set(order_ids)))
    return {order.id: order for order in db.session.scalars(found)}


def of_email(email: str, page: int = 1) -> Orders | None:
    """A page of the orders placed with this address whose token is valid; None if the list has no such page."""
    return _page(page, Order.email == email_address.for_lookup(email), _is_readable())


def _page(page: int, *which: Any) -> Orders | None:
    count = db.session.scalar(select(func.count()).select_from(Order).where(*which)) or 0
    pages = max(1, -(-count // ORDERS_ON_A_PAGE))
    if not 1 <= page <= pages:
        return None
    newest = select(Order).where(*which).order_by(Order.id.desc()).options(selectinload(Order.all_lines))
    rows = db.session.scalars(newest.limit(ORDERS_ON_A_PAGE).offset((page - 1) * ORDERS_ON_A_PAGE))
    return Orders(list(rows), page, pages)


def _is_readable() -> ColumnElement[bool]:
    """Condition for orders whose token is valid. The days for returns count from the last package, or the payment."""
    now = clock.now()
    returnable: datetime = now - timedelta(days=current_app.config["RETURN_DAYS"])
    steps = exists().where(OrderEvent.order_id == Order.id, OrderEvent.kind.in_(_STEPS), OrderEvent.at >= returnable)
    ended = Order.ended_at >= now - READABLE_AFTER_END
    return or_(Order.ended_at.is_(None), ended, Order.paid_at >= returnable, steps)
