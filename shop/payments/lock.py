"""The order in which rows are locked: payments of an order by id, then the order, then stock by SKU. All units keep to
it.
"""

from __future__ import annotations

from sqlalchemy import bindparam, select
from sqlalchemy.orm import aliased

from shop.core.db import db
from shop.orders.models import Order
from shop.payments.models import Capture, Payment

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


def order_with_payments(order_id: int) -> tuple[Order, list[Payment]]:
    """The order and its payments, oldest first, locked until the unit ends. Raises NoResultFound."""
    payments = db.session.scalars(_PAYMENTS, {"order": order_id}, execution_options=_FRESH).all()
    order = db.session.scalars(_ORDER, {"order": order_id}, execution_options=_FRESH).one()
    return order, list(payments)


def around(payment_id: str, provider: str | None = None) -> tuple[Order, list[Payment], set[str]] | None:
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
