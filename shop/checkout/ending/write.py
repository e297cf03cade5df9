"""Write the end of an order and the request to cancel it: one statement each, in a fixed order.

The caller has locked the payments and then the order. Stock rows are locked last, because other customers wait for
them.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, exists, update

from shop.checkout import saga
from shop.checkout.ending.decide import End, RequestCancellation
from shop.core.actor import Actor, ActorKind
from shop.core.db import db, table
from shop.core.event_types import OrderCancelRequested
from shop.orders import events
from shop.orders.models import Order
from shop.orders.move import move
from shop.payments.records.models import Payment
from shop.payments.records.states import STILL_OPEN

_PAYMENTS = table(Payment)
_NOTE_REQUEST = (
    update(events.ORDERS)
    .where(events.ORDERS.c.id == bindparam("order"), events.ORDERS.c.cancel_requested_at.is_(None))
    .values(cancel_requested_at=bindparam("at"), event_seq=events.ORDERS.c.event_seq + 1)
    .returning(events.ORDERS.c.event_seq, events.ORDERS.c.number)
)
_CLOSE = (
    update(_PAYMENTS)
    .where(_PAYMENTS.c.id.in_(bindparam("payments", expanding=True)), _PAYMENTS.c.cancel_requested_at.is_(None))
    .values(cancel_requested_at=bindparam("at"), next_check_at=bindparam("now"))
)


def end(order_id: int, decision: End) -> bool:
    """Transition the order and undo its saga. False when the order has changed or a payment may still be captured."""
    may_bring_money = exists().where(Payment.order_id == Order.id, Payment.state.in_(STILL_OPEN))
    if not move(order_id, decision.target, decision.because, actor=Actor(ActorKind.CLOSING), unless=may_bring_money):
        return False
    saga.undo(order_id)
    return True


def request_cancellation(order_id: int, decision: RequestCancellation, now: datetime, actor: Actor) -> None:
    """Record the request on the order and make its open payments due to be closed."""
    if decision.is_first:
        row = db.session.execute(_NOTE_REQUEST, {"order": order_id, "at": decision.requested_at}).one()
        about = events.About(order_id, row.number, row.event_seq, actor, now)
        events.write(about, OrderCancelRequested())
    if decision.payment_ids:
        values = {"payments": list(decision.payment_ids), "at": decision.requested_at, "now": now}
        db.session.execute(_CLOSE, values)
