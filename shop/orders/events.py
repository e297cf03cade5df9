"""Numbered events of an order: what pages replay, what streams carry, what the history is."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update

from shop.core import clock, outbox
from shop.core.db import db
from shop.orders.models import Order, OrderEvent


def record(order_id: int, kind: str, *, actor: str, stream: str = outbox.ORDERS, **data: Any) -> int:
    """Append an event to the order's history in the current unit and return its number.

    Numbers come from the order's row and not from a sequence: a sequence hands out numbers that commit out of order, and
    whoever reads "after 7" would miss a 6 that commits late.
    """
    columns = {name: data.pop(name, None) for name in ("source", "target", "because")}
    row = db.session.execute(
        update(Order)
        .where(Order.id == order_id)
        .values(event_seq=Order.event_seq + 1)
        .returning(Order.event_seq, Order.number)
    ).one()
    db.session.add(
        OrderEvent(order_id=order_id, seq=row.event_seq, kind=kind, actor=actor, at=clock.now(), data=data, **columns)
    )
    told = {key: value for key, value in columns.items() if value is not None}
    payload = {"orderId": order_id, "orderNo": row.number, "seq": row.event_seq, "at": clock.now().isoformat()}
    outbox.emit(stream, kind, row.number, payload | told | data)
    outbox.wake(f"{outbox.LIVE}:{order_id}", {"order": order_id, "seq": row.event_seq, "kind": kind})
    return row.event_seq


def since(order_id: int, seq: int) -> list[OrderEvent]:
    """The events after number `seq`, in order."""
    return list(
        db.session.scalars(
            select(OrderEvent).where(OrderEvent.order_id == order_id, OrderEvent.seq > seq).order_by(OrderEvent.seq)
        )
    )


def last_seq(order_id: int) -> int:
    """The number of the order's latest event, 0 when there is none."""
    return db.session.scalar(select(Order.event_seq).where(Order.id == order_id)) or 0
