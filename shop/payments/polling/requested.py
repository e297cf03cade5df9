"""Queries that staff request: the acquirer is asked now, not when the payment is due."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import or_, select, update

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.core import audit, clock
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import db, transactional
from shop.core.errors import BadInput
from shop.orders.models import Order
from shop.payments.polling import poll
from shop.payments.records.models import Payment
from shop.payments.records.states import STILL_OPEN
from shop.payments.records.types import Source

AT_ONCE = 50
"""Orders of one selection."""


def query_now(order: Order, *, by: Actor) -> None:
    """Poll the order's open payments at once, each at most every two seconds. Failures of the acquirer are not raised.

    Raises Forbidden.
    """
    order_id = order.id
    _record(order.number, by)
    poll.check_now(order_id, Source.VIEW)


@dataclass(frozen=True)
class MadeDue:
    """Number of the orders whose payments are due now, and of those without an open payment to ask about."""

    queried: int
    without: int


@transactional
def query_soon(numbers: Collection[str], *, by: Actor) -> MadeDue:
    """Make the open payments of these orders due; the pollers query them within seconds. An order has an entry if a
    payment of it was made due: one that is due, or was queried within two seconds, has not.

    Raises Forbidden; BadInput `nothing_selected` and `too_many_orders`.
    """
    rights.demand(by, Permission.PAYMENT_SYNC)
    if not numbers:
        raise BadInput("nothing_selected", "Select at least one order.")
    if len(numbers) > AT_ONCE:
        raise BadInput("too_many_orders", f"Select at most {AT_ONCE} orders.")
    orders = select(Order.id, Order.number).where(Order.number.in_(numbers)).order_by(Order.id)
    number_of = {row.id: row.number for row in db.session.execute(orders)}
    now = clock.now()
    rested = or_(Payment.polled_at.is_(None), Payment.polled_at <= now - poll.MIN_INTERVAL)
    which = (Payment.order_id.in_(number_of), Payment.state.in_(sorted(STILL_OPEN)), Payment.next_check_at > now)
    made_due = update(Payment).where(*which, rested).values(next_check_at=now).returning(Payment.order_id)
    queried = sorted(set(db.session.scalars(made_due)))
    for order_id in queried:
        audit.record(by, Act.PAYMENT_QUERIED, Subject(SubjectKind.ORDER, number_of[order_id]))
    return MadeDue(len(queried), len(number_of) - len(queried))


@transactional
def _record(number: str, by: Actor) -> None:
    rights.demand(by, Permission.PAYMENT_SYNC)
    audit.record(by, Act.PAYMENT_QUERIED, Subject(SubjectKind.ORDER, number))
