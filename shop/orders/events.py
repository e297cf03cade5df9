"""Numbered events of an order: its history, the source of live pages and streams."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from shop.core import clock, outbox
from shop.core.actor import Actor
from shop.core.db import db, table
from shop.core.event_types import Event
from shop.orders.models import Order, OrderEvent

ORDERS = table(Order)
_NEXT_SEQ = (
    update(ORDERS)
    .where(ORDERS.c.id == bindparam("order"))
    .values(event_seq=ORDERS.c.event_seq + 1)
    .returning(ORDERS.c.event_seq, ORDERS.c.number)
)
_NEW_EVENT = insert(table(OrderEvent)).inline()


def record(order_id: int, event: Event, *, actor: Actor) -> int:
    """Append an event to the order's history in the current transaction and return its number.

    Numbers come from the order's row, not from a sequence: numbers of a sequence may commit out of order, and a reader
    of "after 7" would miss a 6 that commits later.
    """
    seq, number = db.session.execute(_NEXT_SEQ, {"order": order_id}).one()
    write(About(order_id, number, seq, actor, clock.now()), event)
    return int(seq)


@dataclass(frozen=True)
class About:
    """Order, number and origin of an event. The caller has taken its number `seq` from the order's row."""

    order_id: int
    order_number: str
    seq: int
    actor: Actor
    at: datetime


def write(about: About, event: Event) -> None:
    """Write an event into the history and the outbox."""
    row, outbox_row = rows(about, event)
    db.session.execute(_NEW_EVENT, [row])
    outbox.write(outbox_row)
    wake(about, event)


def rows(about: About, event: Event) -> tuple[dict[str, Any], dict[str, Any]]:
    """Columns of an event's rows in the history and in the outbox. All events of orders get their rows here."""
    data = event.data()
    row = {"order_id": about.order_id, "seq": about.seq, "kind": event.KIND, "actor": about.actor, "at": about.at}
    row |= {name: data.pop(name, None) for name in ("source", "target", "because")} | {"data": data}
    which = {"order_id": about.order_id, "order_no": about.order_number, "seq": about.seq, "at": about.at.isoformat()}
    return row, outbox.row(event, about.order_number, about.at, which)


def wake(about: About, event: Event) -> None:
    """Notify open pages of the order of an event after the commit."""
    message = {"order": about.order_id, "seq": about.seq, "kind": event.KIND}
    outbox.wake(f"{outbox.LIVE}:{about.order_id}", message)


def wake_unnumbered(order_id: int) -> None:
    """Notify open pages of the order after the commit of a change that is no event of its history."""
    outbox.wake(f"{outbox.LIVE}:{order_id}:state", {"order": order_id, "state": "changed"})


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
