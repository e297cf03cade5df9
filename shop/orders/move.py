"""The only writer of an order's status."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

from sqlalchemy import ColumnElement, bindparam, select, update
from sqlalchemy.orm.attributes import set_committed_value

from shop.core import clock, logs, metrics, outbox
from shop.core.db import after_commit, change_last, db, rows
from shop.orders import events, states
from shop.orders.models import Order

log = logs.get()


def move(
    order_id: int,
    target: str,
    because: str,
    *,
    actor: str,
    unless: ColumnElement[bool] | None = None,
    values: dict[str, Any] | None = None,
    locked: Order | None = None,
    last: bool = False,
    then: Sequence[tuple[str, str, dict[str, Any]]] = (),
    **data: Any,
) -> bool:
    """Move an order to `target` if the table allows it from where it is now; False when it does not, or somebody was
    first.

    One conditional UPDATE on (id, the state that was just seen): whether it finds its row decides races. The winner
    writes the history row and the outbox event in the same unit. `unless` must not hold for the order's row; `values`
    are written together with the state. `locked` spares the look at the state: it is the order's row, which the caller
    has locked. If then nothing else in the unit writes or reads that row, the move may come `last`, at the unit's end.
    `then` are events that follow the move's, each a stream, a kind and what it says. Raises KeyError when the table
    knows no such move.
    """
    allowed = states.sources(target, because)
    seen = locked.state if locked else None
    if seen is None:
        db.session.flush()
        seen = db.session.scalar(select(Order.state).where(Order.id == order_id))
    while seen is not None and seen in allowed:
        change: dict[str, Any] = {"state": target, **(values or {})}
        if target in states.ENDED and seen not in states.ENDED:
            change["ended_at"] = clock.now()
        statement = _writes(tuple(change))
        written: dict[str, Any] = {"the_order": order_id, "seen": seen, "many": 1 + len(then)}
        written |= {f"new_{name}": value for name, value in change.items()}
        if locked and last:
            change_last(_writes(tuple(change), tells=False), **written)
            won = [(locked.event_seq + written["many"], locked.number)]
        elif unless is None:
            won = rows(statement, **written)
        else:
            won = [tuple(row) for row in db.session.execute(statement.where(~unless), written)]
        if won:
            last_seq, number = won[0]
            _remember(order_id, change | {"event_seq": last_seq})
            told = {"source": seen, "target": target, "because": because, **data}
            for seq, (stream, kind, says) in enumerate(
                [(outbox.ORDERS, "order.moved", told), *then], start=last_seq - len(then)
            ):
                events.write(order_id, seq, number, kind, actor=actor, stream=stream, **says)
            after_commit(partial(_tell, order_id, seen, target, because))
            return True
        again = db.session.scalar(select(Order.state).where(Order.id == order_id))
        if again == seen:
            return False
        seen = again
    return False


@cache
def _writes(columns: tuple[str, ...], *, tells: bool = True) -> Any:
    """The conditional UPDATE: writes `columns` and takes `many` event numbers where the state is the one seen, and
    `tells` the last of them.
    """
    orders = events.ORDERS
    statement = (
        update(orders)
        .where(orders.c.id == bindparam("the_order"), orders.c.state == bindparam("seen"))
        .values({c: bindparam(f"new_{c}") for c in columns} | {"event_seq": orders.c.event_seq + bindparam("many")})
    )
    return statement.returning(orders.c.event_seq, orders.c.number) if tells else statement


def _remember(order_id: int, change: dict[str, Any]) -> None:
    """The order that this session has read, if it has, says what has just been written."""
    session = db.session()
    order = session.identity_map.get(session.identity_key(Order, order_id))
    if order is not None:
        for name, value in change.items():
            set_committed_value(order, name, value)


def _tell(order_id: int, source: str, target: str, because: str) -> None:
    metrics.MOVES.labels(target, because).inc()
    log.info("order.moved", order=order_id, source=source, target=target, because=because)
