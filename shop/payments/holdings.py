"""What an order holds while it may be paid, stock and store credit, as one thing."""

from __future__ import annotations

from shop.core.db import db
from shop.inventory import stock
from shop.ledger import store_credit
from shop.orders.models import Order


def use(order: Order) -> None:
    """The order was paid: units leave the shelf, credit is spent. Harmless the second time."""
    stock.confirm(order.id)
    if order.credit_amount:
        store_credit.use(order.id)


def hold_again(order_id: int) -> bool:
    """Hold what was released when the order ended, all of it or nothing. False when some of it is gone."""
    with db.session.begin_nested() as savepoint:
        if not (stock.hold_again(order_id) and store_credit.hold_again(order_id)):
            savepoint.rollback()
            return False
    return True
