"""The only writer of an order's status."""

from __future__ import annotations

from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, select, update

from shop.core import clock, logs, metrics, outbox
from shop.core.db import after_commit, db
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
    **data: Any,
) -> bool:
    """Move an order to `target` if the table allows it from where it is now; False when it does not, or somebody was
    first.

    One conditional UPDATE on (id, the state that was just seen): whether it finds its row decides races. The winner
    writes the history row and the outbox event in the same unit. `unless` must not hold for the order's row; `values`
    are written together with the state. Raises KeyError when the table knows no such move.
    """
    allowed = states.sources(target, because)
    seen = db.session.scalar(select(Order.state).where(Order.id == order_id))
    while seen is not None and seen in allowed:
        change: dict[str, Any] = {"state": target, **events.NEXT_NUMBER, **(values or {})}
        if target in states.ENDED and seen not in states.ENDED:
            change["ended_at"] = clock.now()
        statement = update(Order).where(Order.id == order_id, Order.state == seen)
        if unless is not None:
            statement = statement.where(~unless)
        won = db.session.execute(statement.values(**change).returning(Order.event_seq, Order.number)).one_or_none()
        if won:
            told = {"source": seen, "target": target, "because": because, **data}
            events.write(order_id, won.event_seq, won.number, "order.moved", actor=actor, stream=outbox.ORDERS, **told)
            after_commit(partial(_tell, order_id, seen, target, because))
            return True
        again = db.session.scalar(select(Order.state).where(Order.id == order_id))
        if again == seen:
            return False
        seen = again
    return False


def _tell(order_id: int, source: str, target: str, because: str) -> None:
    metrics.MOVES.labels(target, because).inc()
    log.info("order.moved", order=order_id, source=source, target=target, because=because)
