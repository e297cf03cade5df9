"""Row locks of an order. All transactions lock in this order: its payments by id, the order, stock by SKU, store
credit.
"""

from __future__ import annotations

from sqlalchemy import bindparam, select

from shop.core.db import db
from shop.orders.models import Order
from shop.payments.records.models import Payment

_FRESH = {"populate_existing": True}
_PAYMENTS = (
    select(Payment).where(Payment.order_id == bindparam("order")).order_by(Payment.id).with_for_update(of=Payment)
)
_ORDER = select(Order).where(Order.id == bindparam("order")).with_for_update(of=Order)


def order_with_payments(order_id: int) -> tuple[Order, list[Payment]]:
    """The order and its payments, oldest first, locked until the transaction ends. Raises NoResultFound."""
    payments = db.session.scalars(_PAYMENTS, {"order": order_id}, execution_options=_FRESH).all()
    order = db.session.scalars(_ORDER, {"order": order_id}, execution_options=_FRESH).one()
    return order, list(payments)
