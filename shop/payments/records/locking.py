"""Row locks of an order. All transactions lock in this order: webhook event, the order's payments by id, the order, its
refunds, store credit, stock by SKU. Stock is last, because other customers wait for it. Captures and reservations
change only while their order is locked, so they are read with the order or after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

from sqlalchemy import Row, Select, bindparam, select
from sqlalchemy.exc import NoResultFound

from shop.core.db import db, table
from shop.orders.models import Order
from shop.payments.records.models import Payment

Found = Sequence[Row[Any]]
_FRESH = {"populate_existing": True}
_PAYMENTS, _ORDERS = table(Payment), table(Order)
_ALL_PAYMENTS = select(Payment).where(Payment.order_id == bindparam("order"))
_ORDER = select(Order).where(Order.id == bindparam("order"))


def rows(
    payments: Select[Any], order: Select[Any], values: Mapping[str, Any], *, lock: bool, entities: bool = False
) -> tuple[Found, Found]:
    """Rows of a query of an order's payments, by id, and of one of the order; with `lock`, locked until the transaction
    ends. The queries select columns, or, with `entities`, ORM objects.

    Both queries get `values`. If the order's id is not in it as `order`, it is that of the payments; without payments
    nothing is found. Raises NoResultFound for an unknown order.
    """
    payments, order = _statements(payments, order, lock)
    db.session.flush()
    execute = partial(db.session.execute, execution_options=_FRESH) if entities else db.session.connection().execute
    found = execute(payments, values).all()
    if "order" not in values:
        if not found:
            return [], []
        values = {**values, "order": found[0].order_id}
    of_order = execute(order, values).all()
    if not of_order:
        raise NoResultFound(f"order {values['order']}")
    return found, of_order


@cache
def _statements(payments: Select[Any], order: Select[Any], lock: bool) -> tuple[Select[Any], Select[Any]]:
    """Both queries in the order of locking. Kept, because SQLAlchemy looks a new statement up more slowly."""
    payments = payments.order_by(_PAYMENTS.c.id)
    if not lock:
        return payments, order
    return payments.with_for_update(of=_PAYMENTS), order.with_for_update(of=_ORDERS)


def order_with_payments(order_id: int) -> tuple[Order, list[Payment]]:
    """The order and its payments, oldest first, locked until the transaction ends. Raises NoResultFound."""
    payments, ((order,),) = rows(_ALL_PAYMENTS, _ORDER, {"order": order_id}, lock=True, entities=True)
    return order, [payment for (payment,) in payments]
