"""The only writer of an order's status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any

from sqlalchemy import ColumnElement, bindparam, select, update
from sqlalchemy.orm.attributes import set_committed_value

from shop.core import clock, logs, metrics, outbox
from shop.core.db import db, rows
from shop.core.later import after_commit, change_last
from shop.orders import events, states
from shop.orders.models import Order

log = logs.get()


@dataclass(frozen=True)
class _Step:
    """A move from the state that was seen, what is written together with it, and what is told of it."""

    order_id: int
    source: str
    target: str
    because: str
    actor: str
    values: dict[str, Any]
    then: Sequence[tuple[str, str, dict[str, Any]]]
    data: dict[str, Any]

    @cached_property
    def change(self) -> dict[str, Any]:
        ends = self.target in states.ENDED and self.source not in states.ENDED
        return {"state": self.target, **self.values} | ({"ended_at": clock.now()} if ends else {})

    @property
    def many(self) -> int:
        """How many event numbers it takes."""
        return 1 + len(self.then)

    @property
    def written(self) -> dict[str, Any]:
        new = {f"new_{name}": value for name, value in self.change.items()}
        return {"the_order": self.order_id, "seen": self.source, "many": self.many} | new

    def tell(self, last_seq: int, number: str) -> None:
        """Its history, in the unit that has written it; `last_seq` is the last of the numbers that it has taken."""
        _remember(self.order_id, self.change | {"event_seq": last_seq})
        told = {"source": self.source, "target": self.target, "because": self.because, **self.data}
        news = [(outbox.ORDERS, "order.moved", told), *self.then]
        for seq, (stream, kind, says) in enumerate(news, start=last_seq - len(self.then)):
            events.write(self.order_id, seq, number, kind, actor=self.actor, stream=stream, **says)
        after_commit(partial(_tell, self.order_id, self.source, self.target, self.because))


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
    db.session.flush()
    seen = _state(order_id)
    while seen is not None and seen in allowed:
        step = _Step(order_id, seen, target, because, actor, values or {}, (), data)
        statement = _writes(tuple(step.change))
        if unless is None:
            won = rows(statement, **step.written)
        else:
            won = [tuple(row) for row in db.session.execute(statement.where(~unless), step.written)]
        if won:
            step.tell(*won[0])
            return True
        again = _state(order_id)
        if again == seen:
            return False
        seen = again
    return False


def move_locked(
    order: Order,
    target: str,
    because: str,
    *,
    actor: str,
    values: dict[str, Any],
    last: bool = False,
    then: Sequence[tuple[str, str, dict[str, Any]]] = (),
    **data: Any,
) -> bool:
    """As `move`, for a unit that has locked the order's row and so need not look. `then` are events that follow the
    move's, each a stream, a kind and what it says.

    If nothing else in the unit writes or reads the row, the move may come `last`, at the unit's end.
    """
    if order.state not in states.sources(target, because):
        return False
    step = _Step(order.id, order.state, target, because, actor, values, then, data)
    if last:
        change_last(_writes(tuple(step.change), tells=False), **step.written)
        won = [(order.event_seq + step.many, order.number)]
    else:
        won = rows(_writes(tuple(step.change)), **step.written)
    if won:
        step.tell(*won[0])
    return bool(won)


def _state(order_id: int) -> str | None:
    return db.session.scalar(select(Order.state).where(Order.id == order_id))


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
