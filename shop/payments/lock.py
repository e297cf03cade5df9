"""The order in which rows are locked: payments of an order by id, then the order, then stock by SKU. All units keep to
it.
"""

from __future__ import annotations

from sqlalchemy import select

from shop.core.db import db
from shop.orders.models import Order
from shop.payments.models import Payment


def order_with_payments(order_id: int) -> tuple[Order, list[Payment]]:
    """The order and its payments, oldest first, locked until the unit ends. Raises NoResultFound."""
    fresh = {"populate_existing": True}
    payments = db.session.scalars(
        select(Payment).where(Payment.order_id == order_id).order_by(Payment.id).with_for_update(),
        execution_options=fresh,
    ).all()
    order = db.session.scalars(
        select(Order).where(Order.id == order_id).with_for_update(of=Order), execution_options=fresh
    ).one()
    return order, list(payments)
