"""Numbered events of an order: what pages replay, what streams carry, what the history is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import bindparam, select, update

from shop.core import clock, outbox
from shop.core.db import db, rows, table
from shop.core.later import add_last
from shop.orders.models import Order, OrderEvent

ORDERS = table(Order)
_TAKE = (
    update(ORDERS)
    .where(ORDERS.c.id == bindparam("order"))
    .values(event_seq=ORDERS.c.event_seq + bindparam("many"))
    .returning(ORDERS.c.event_seq, ORDERS.c.number)
)


def record(order_id: int, kind: str, *, actor: str, stream: str = outbox.ORDERS, **data: Any) -> int:
    """Append an event to the order's history in the current unit and return its number.

    Numbers come from the order's row and not from a sequence: a sequence hands out numbers that commit out of order,
    and whoever reads "after 7" would miss a 6 that commits late.
    """
    return record_all(order_id, [(kind, data)], actor=actor, stream=stream)


def record_all(order_id: int, news: Iterable[tuple[str, dict[str, Any]]], *, actor: str, stream: str) -> int:
    """Append several events, each a kind and what it says, and return the number of the last one."""
    news = list(news)
    [(last_seq, number)] = rows(_TAKE, order=order_id, many=len(news))
    for seq, (kind, data) in enumerate(news, start=last_seq - len(news) + 1):
        write(order_id, seq, number, kind, actor=actor, stream=stream, **data)
    return int(last_seq)


def write(order_id: int, seq: int, order_number: str, kind: str, *, actor: str, stream: str, **data: Any) -> None:
    """Write the event whose number `seq` the caller has taken from the order's row."""
    columns = {name: data.pop(name, None) for name in ("source", "target", "because")}
    at = clock.now()
    add_last(OrderEvent, order_id=order_id, seq=seq, kind=kind, actor=actor, at=at, data=data, **columns)
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
