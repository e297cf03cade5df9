"""Transitions of an order's state: one conditional UPDATE."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

from sqlalchemy import ColumnElement, bindparam, select, update
from sqlalchemy.orm.attributes import set_committed_value

from shop.core import clock, logs, metrics
from shop.core.actor import Actor
from shop.core.db import after_commit, db
from shop.core.event_types import OrderMoved
from shop.orders import events, states
from shop.orders.models import Order

log = logs.get()


def move(
    order_id: int,
    target: str,
    because: str,
    *,
    actor: Actor,
    unless: ColumnElement[bool] | None = None,
    refunded: int | None = None,
) -> bool:
    """Transition an order to `target` if the state table allows it from the current state; False if not, or if another
    transaction was first.

    One conditional UPDATE on (id, state that was read) decides races. The winner writes the history row and the outbox
    event in the same transaction. `unless` must not hold for the order's row. Raises KeyError when the table has no
    such transition.
    """
    allowed = states.sources(target, because)
    db.session.flush()
    seen = _state(order_id)
    while seen is not None and seen in allowed:
        ends = target in states.ENDED and seen not in states.ENDED
        change = {"state": target} | ({"ended_at": clock.now()} if ends else {})
        statement = conditional(tuple(change)).returning(events.ORDERS.c.event_seq, events.ORDERS.c.number)
        if unless is not None:
            statement = statement.where(~unless)
        new = {f"new_{name}": value for name, value in change.items()}
        won = db.session.execute(statement, {"the_order": order_id, "seen": seen, "many": 1, **new}).one_or_none()
        if won is not None:
            seq, number = won
            _refresh_loaded(order_id, change | {"event_seq": seq})
            moved = OrderMoved(seen, target, because, refunded=refunded)
            events.write(events.About(order_id, number, seq, actor, clock.now()), moved)
            after_commit(partial(log_transition, order_id, seen, target, because))
            return True
        again = _state(order_id)
        if again == seen:
            return False
        seen = again
    return False


@cache
def conditional(columns: tuple[str, ...]) -> Any:
    """The conditional UPDATE of an order: sets `columns` (parameters new_…) and takes `many` event numbers of the order
    `the_order`, if its state is still `seen`.
    """
    orders = events.ORDERS
    new: dict[str, Any] = {name: bindparam(f"new_{name}") for name in columns}
    return (
        update(orders)
        .where(orders.c.id == bindparam("the_order"), orders.c.state == bindparam("seen"))
        .values(new | {"event_seq": orders.c.event_seq + bindparam("many")})
    )


def log_transition(order_id: int, source: str, target: str, because: str) -> None:
    """Count and log a transition that was committed."""
    metrics.ORDER_TRANSITIONS.labels(target, because).inc()
    log.info("order.moved", order=order_id, source=source, target=target, because=because)


def _state(order_id: int) -> str | None:
    return db.session.scalar(select(Order.state).where(Order.id == order_id))


def _refresh_loaded(order_id: int, change: dict[str, Any]) -> None:
    """Set the written values on the order object of this session, if it is loaded."""
    session = db.session()
    order = session.identity_map.get(session.identity_key(Order, order_id))
    if order is not None:
        for name, value in change.items():
            set_committed_value(order, name, value)
