"""Changed orders: those with events since the last check, published or not."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from shop.core.db import db
from shop.core.event_types import Stream
from shop.core.outbox import OutboxRow
from shop.orders.models import Order

MOST = 2000
"""Events per check; the rest is left for the next check."""


@dataclass(frozen=True)
class Changed:
    """Ids of orders, and the event up to which they were searched."""

    orders: list[int]
    position: int


def newest() -> int:
    """The number of the newest event."""
    found = db.session.scalar(select(func.max(OutboxRow.id))) or 0
    db.session.rollback()
    return found


def since(position: int) -> Changed:
    """Orders with events after `position`. The cost depends on the number of these events, not on the size of the shop.

    Events may be committed in another order than they are numbered, so the caller repeats the range of the previous
    check.
    """
    events = (
        select(OutboxRow.id, OutboxRow.subject)
        .where(OutboxRow.id > position, OutboxRow.stream.in_((Stream.ORDERS, Stream.PAYMENTS)))
        .order_by(OutboxRow.id)
        .limit(MOST)
    )
    rows = db.session.execute(events).all()
    numbers = sorted({row.subject for row in rows})
    orders = list(db.session.scalars(select(Order.id).where(Order.number.in_(numbers)))) if numbers else []
    db.session.rollback()
    return Changed(orders, max([position, *(row.id for row in rows)]))
