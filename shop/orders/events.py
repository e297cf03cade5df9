"""Numbered events of an order: what pages replay, what streams carry, what the history is."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update

from shop.core import clock, outbox
from shop.core.db import db
from shop.orders.models import Order, OrderEvent

NEXT_NUMBER: dict[str, Any] = {"event_seq": Order.event_seq + 1}
"""What an UPDATE of the order's row sets to take the next event number."""


def record(order_id: int, kind: str, *, actor: str, stream: str = outbox.ORDERS, **data: Any) -> int:
    """Append an event to the order's history in the current unit and return its number.

    Numbers come from the order's row and not from a sequence: a sequence hands out numbers that commit out of order,
    and whoever reads "after 7" would miss a 6 that commits late.
    """
    with db.session.no_autoflush:  # rows of one unit go out together
        row = db.session.execute(
            update(Order).where(Order.id == order_id).values(**NEXT_NUMBER).returning(Order.event_seq, Order.number)
        ).one()
    write(order_id, row.event_seq, row.number, kind, actor=actor, stream=stream, **data)
    return row.event_seq


def write(order_id: int, seq: int, order_number: str, kind: str, *, actor: str, stream: str, **data: Any) -> None:
    """Write the event whose number `seq` the caller has taken from the order's row with `NEXT_NUMBER`."""
    columns = {name: data.pop(name, None) for name in ("source", "target", "because")}
    at = clock.now()
    db.session.add(OrderEvent(order_id=order_id, seq=seq, kind=kind, actor=actor, at=at, data=data, **columns))
    told = {key: value for key, value in columns.items() if value is not None}
    payload = {"orderId": order_id, "orderNo": order_number, "seq": seq, "at": at.isoformat()}
    outbox.emit(stream, kind, order_number, payload | told | data)
    outbox.wake(f"{outbox.LIVE}:{order_id}", {"order": order_id, "seq": seq, "kind": kind})


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
