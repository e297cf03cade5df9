"""Finding orders by what their reader holds."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from shop.core import clock
from shop.core.db import db
from shop.orders.models import Order

READABLE_AFTER_END = timedelta(days=30)


def by_token(token: str) -> Order | None:
    """The order that `token` opens: valid from placing until 30 days after the order's end."""
    order = db.session.scalars(select(Order).where(Order.token == token)).one_or_none()
    if order is None or (order.ended_at and order.ended_at + READABLE_AFTER_END < clock.now()):
        return None
    return order


def by_number(number: str) -> Order | None:
    """The order of that number, in either case and with blanks around it, for staff: it is no secret, and no right to
    see anything.
    """
    return db.session.scalars(select(Order).where(Order.number == number.strip().upper())).one_or_none()


def of_user(user_id: int) -> list[Order]:
    """A customer's orders, newest first."""
    return list(db.session.scalars(select(Order).where(Order.user_id == user_id).order_by(Order.id.desc()).limit(200)))


def of_email(email: str) -> list[Order]:
    """Orders placed with this address whose link still works, newest first."""
    orders = db.session.scalars(select(Order).where(Order.email == email.lower()).order_by(Order.id.desc()).limit(200))
    oldest = clock.now() - READABLE_AFTER_END
    return [order for order in orders if order.ended_at is None or order.ended_at > oldest]
