"""Add orders of guests to the account of a customer, in batches: one conditional UPDATE each."""

from __future__ import annotations

from sqlalchemy import func, select, update

from shop.core import clock
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.event_types import OrderClaimed
from shop.orders import events
from shop.orders.models import Order

BATCH = 100
"""Most orders that one transaction claims."""


def claimable(email: str) -> int:
    """The number of orders that were placed with this address and belong to no account."""
    query = select(func.count()).select_from(Order).where(Order.email == email, Order.user_id.is_(None))
    return db.session.scalar(query) or 0


def assign(user_id: int, email: str) -> int:
    """Make the customer the owner of the oldest orders that were placed with `email` and belong to no account, at most
    BATCH, in the caller's transaction; returns their number. The caller has checked that the customer receives mail at
    `email`, and repeats the call in another transaction while it returns BATCH.
    """
    orders = events.ORDERS
    is_unowned = (orders.c.email == email, orders.c.user_id.is_(None))
    oldest = select(orders.c.id).where(*is_unowned).order_by(orders.c.id).limit(BATCH).with_for_update(key_share=True)
    statement = (
        update(orders)
        .where(orders.c.id.in_(db.session.scalars(oldest).all()), *is_unowned)
        .values(user_id=user_id, event_seq=orders.c.event_seq + 1)
        .returning(orders.c.id, orders.c.number, orders.c.event_seq)
    )
    claimed = db.session.execute(statement).all()
    for order_id, number, seq in claimed:
        about = events.About(order_id, number, seq, Actor.customer(user_id), clock.now())
        events.write(about, OrderClaimed())
    return len(claimed)
