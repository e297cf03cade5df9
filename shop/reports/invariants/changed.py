"""Which orders have changed: those of which the outbox has told, or is about to tell, since the last look."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from shop.core.db import db
from shop.core.outbox import ORDERS, PAYMENTS, OutboxRow
from shop.orders.models import Order

MOST = 2000
"""Events in one look; what is left is for the next one."""


@dataclass(frozen=True)
class Changed:
    """Ids of orders, and up to which event they were looked for."""

    orders: list[int]
    position: int


def newest() -> int:
    """The number of the newest event."""
    found = db.session.scalar(select(func.max(OutboxRow.id))) or 0
    db.session.rollback()
    return found


def since(position: int) -> Changed:
    """Orders with events after `position`. The cost is that of these events, whatever the shop has sold before.

    Numbers are handed out in another order than they are committed in: whoever asks goes back by one look.
    """
    told = (
        select(OutboxRow.id, OutboxRow.subject)
        .where(OutboxRow.id > position, OutboxRow.stream.in_((ORDERS, PAYMENTS)))
        .order_by(OutboxRow.id)
        .limit(MOST)
    )
    rows = db.session.execute(told).all()
    numbers = sorted({row.subject for row in rows})
    orders = list(db.session.scalars(select(Order.id).where(Order.number.in_(numbers)))) if numbers else []
    db.session.rollback()
    return Changed(orders, max([position, *(row.id for row in rows)]))
