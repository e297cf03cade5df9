"""Row locks of an order. All transactions lock in this order: webhook event, the order's payments by id, the order, its
refunds, store credit, the rows of a discount code, stock by SKU. Codes and stock are last, because other customers wait
for them. Captures and reservations change only while their order is locked, so they are read with the order or after
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import Select, bindparam, select
from sqlalchemy.exc import NoResultFound

from shop.core.db import db, read_together, table
from shop.orders.models import Order
from shop.payments.records.models import Payment

Found = list[dict[str, Any]]
_PAYMENTS, _ORDERS = table(Payment), table(Order)
_ALL_PAYMENTS = select(Payment).where(Payment.order_id == bindparam("order"))
_ORDER = select(Order).where(Order.id == bindparam("order"))


def rows(payments: Select[Any], order: Select[Any], values: Mapping[str, Any], *, lock: bool) -> tuple[Found, Found]:
    """Rows of a query of an order's payments, by id, and of one of the order, by column name; with `lock`, locked until
    the transaction ends. Both queries get `values` (strings and integers) and find the same order.

    Both come in one round trip on PostgreSQL. The second one waits for the locks of the first and sees what was
    committed meanwhile. Raises NoResultFound if `values` names an `order` that does not exist.
    """
    found, of_order = read_together(_in_order_of_locking(payments, order, lock), values)
    if "order" in values and not of_order:
        raise NoResultFound(f"order {values['order']}")
    return found, of_order


@cache
def _in_order_of_locking(payments: Select[Any], order: Select[Any], lock: bool) -> tuple[Select[Any], Select[Any]]:
    payments = payments.order_by(_PAYMENTS.c.id)
    if not lock:
        return payments, order
    return payments.with_for_update(of=_PAYMENTS), order.with_for_update(of=_ORDERS)


def order_with_payments(order_id: int) -> tuple[Order, list[Payment]]:
    """The order and its payments, oldest first, locked until the transaction ends. Raises NoResultFound."""
    db.session.flush()
    payments, order = _in_order_of_locking(_ALL_PAYMENTS, _ORDER, True)
    fresh = {"populate_existing": True}
    found = db.session.scalars(payments, {"order": order_id}, execution_options=fresh).all()
    return db.session.scalars(order, {"order": order_id}, execution_options=fresh).one(), list(found)
