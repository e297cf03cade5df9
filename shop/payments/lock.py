"""The order in which rows are locked: payments of an order by id, then the order, then stock by SKU. All units keep to
it.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import bindparam, exists, select
from sqlalchemy.orm import aliased

from shop.core.db import db, table
from shop.orders.models import Order
from shop.orders.states import PAYABLE
from shop.payments.models import Capture, Payment

Around = tuple[Order, list[Payment], set[str]]
"""An order, all its payments, and the acquirer's ids of what one of them has captured so far."""
_FRESH = {"populate_existing": True}
_SAME = aliased(Payment)
_LOCKED = select(Payment).order_by(Payment.id).with_for_update(of=Payment)
_PAYMENTS = _LOCKED.where(Payment.order_id == bindparam("order"))
_PAYMENTS_BESIDE = _LOCKED.where(
    Payment.order_id == select(_SAME.order_id).where(_SAME.id == bindparam("payment")).scalar_subquery()
)
_ORDER = select(Order).where(Order.id == bindparam("order")).with_for_update(of=Order)
_ORDER_AND_BOOKED = (
    select(Order, Capture.capture_id)
    .outerjoin(Capture, Capture.payment_id == bindparam("payment"))
    .where(Order.id == bindparam("order"))
    .with_for_update(of=Order)
)
_BESIDE, _BOOKED = aliased(Payment), table(Capture)
_PLAIN = (
    select(Payment, Order)
    .join(Order, Order.id == Payment.order_id)
    .where(Payment.id.in_(bindparam("payments", expanding=True)))
    .where(~exists().where(_BESIDE.order_id == Payment.order_id, _BESIDE.id != Payment.id))
    .where(~exists().where(_BOOKED.c.payment_id == Payment.id))
    .order_by(Payment.id)
    .with_for_update(skip_locked=True)
)


def order_with_payments(order_id: int) -> tuple[Order, list[Payment]]:
    """The order and its payments, oldest first, locked until the unit ends. Raises NoResultFound."""
    payments = db.session.scalars(_PAYMENTS, {"order": order_id}, execution_options=_FRESH).all()
    order = db.session.scalars(_ORDER, {"order": order_id}, execution_options=_FRESH).one()
    return order, list(payments)


def around(payment_id: str, provider: str | None = None) -> Around | None:
    """The order of a payment, all its payments, and the acquirer's ids of what this one has captured so far; locked as
    above. None for an unknown payment, or one that `provider`, when given, does not run.

    Captures are read after the payment was locked: nobody books one for it meanwhile.
    """
    payments = db.session.scalars(_PAYMENTS_BESIDE, {"payment": payment_id}, execution_options=_FRESH).all()
    if not any(payment.id == payment_id and provider in (None, payment.provider) for payment in payments):
        return None
    both = {"order": payments[0].order_id, "payment": payment_id}
    rows = db.session.execute(_ORDER_AND_BOOKED, both, execution_options=_FRESH).all()
    return rows[0][0], list(payments), {row[1] for row in rows if row[1] is not None}


def plain(payment_ids: Collection[str]) -> dict[str, Around]:
    """What is around each of these payments, as far as it is locked at once and holds no surprise: an open payment
    that has captured nothing, the only one of an order that may be paid and that no store credit pays for.

    Nobody is waited for, so locking many orders before their payments breaks no order of locks. A capture that was
    booked a moment ago may be missed: then its payment is no longer open, or the unique index refuses the second one.
    """
    found = db.session.execute(_PLAIN, {"payments": list(payment_ids)})
    return {
        payment.id: (order, [payment], set())
        for payment, order in found
        if payment.is_open and order.state in PAYABLE and not order.credit_amount
    }
