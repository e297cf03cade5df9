"""Numbered events of an order: its history, the source of live pages and streams."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from shop.core import clock, event_types, outbox
from shop.core.actor import Actor
from shop.core.db import db, table
from shop.orders.models import Order, OrderEvent

ORDERS = table(Order)
_TAKE = (
    update(ORDERS)
    .where(ORDERS.c.id == bindparam("order"))
    .values(event_seq=ORDERS.c.event_seq + bindparam("many"))
    .returning(ORDERS.c.event_seq, ORDERS.c.number)
)
_NEW_EVENT = insert(table(OrderEvent)).inline()


def record(order_id: int, kind: str, *, actor: Actor, stream: str = outbox.ORDERS, **data: Any) -> int:
    """Append an event to the order's history in the current transaction and return its number.

    Numbers come from the order's row, not from a sequence: numbers of a sequence may commit out of order, and a reader
    of "after 7" would miss a 6 that commits later.
    """
    return record_all(order_id, [(kind, data)], actor=actor, stream=stream)


def record_all(order_id: int, new_events: Iterable[tuple[str, dict[str, Any]]], *, actor: Actor, stream: str) -> int:
    """Append several events, each given by kind and data, and return the number of the last."""
    new_events = list(new_events)
    last_seq, number = db.session.execute(_TAKE, {"order": order_id, "many": len(new_events)}).one()
    for seq, (kind, data) in enumerate(new_events, start=last_seq - len(new_events) + 1):
        write(About(order_id, number, seq, kind, actor, clock.now()), stream, data)
    return int(last_seq)


@dataclass(frozen=True)
class About:
    """Identity of an event. The caller has taken its number `seq` from the order's row."""

    order_id: int
    order_number: str
    seq: int
    kind: str
    actor: Actor
    at: datetime


def write(about: About, stream: str, data: Mapping[str, Any]) -> None:
    """Write an event into the history and the outbox."""
    row, payload = rows(about, data)
    db.session.execute(_NEW_EVENT, [row])
    outbox.emit(stream, about.kind, about.order_number, payload)
    wake(about)


def rows(about: About, data: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Columns of an event's history row, and its payload for a stream."""
    columns = {name: data.get(name) for name in ("source", "target", "because")}
    rest = {name: value for name, value in data.items() if name not in columns}
    named = {"order_id": about.order_id, "seq": about.seq, "kind": about.kind, "actor": about.actor, "at": about.at}
    present = {name: value for name, value in columns.items() if value is not None} | rest
    which = {"order_id": about.order_id, "order_no": about.order_number, "seq": about.seq, "at": about.at.isoformat()}
    return {**named, **columns, "data": rest}, event_types.typed(about.kind, present).payload() | which


def wake(about: About) -> None:
    """Notify open pages of the order of an event after the commit."""
    message = {"order": about.order_id, "seq": about.seq, "kind": about.kind}
    outbox.wake(f"{outbox.LIVE}:{about.order_id}", message)


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
