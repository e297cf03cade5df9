"""While money that does not match, or could not be sent back, waits for people, its order waits too."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select

from shop.core import clock
from shop.core.db import db
from shop.orders import events
from shop.orders import states as order_states
from shop.orders.models import Order
from shop.payments import refund_states
from shop.payments.models import Capture, Payment, Refund
from shop.payments.settlement_models import charged_back

AFTER_REVIEW = timedelta(minutes=10)
"""What a buyer has at least to pay once wrong money has gone back."""


def begin(order: Order) -> None:
    """Have people look at what came for the order, if any of it waits for them. Part of a unit that has it locked."""
    db.session.flush()
    if _waits(order):
        order.review_since = order.review_since or clock.now()


def end(order: Order) -> None:
    """Let the order go on when none of its money waits for people any more. Part of a unit that has its row locked.

    Its buyer gets some time to pay after all.
    """
    db.session.flush()
    if order.review_since is None or _waits(order):
        return
    order.review_since = None
    if order.state in order_states.PAYABLE:
        order.pay_by = max(order.pay_by, clock.now() + AFTER_REVIEW)
    db.session.flush()
    events.record(order.id, "order.review_ended", actor="staff")


def _waits(order: Order) -> bool:
    """Whether money that pays nothing is still here, or wrong money not back for good. What a bank keeps is gone."""
    gone = select(func.coalesce(func.sum(Refund.amount), 0)).where(
        Refund.capture_id == Capture.id, Refund.state == refund_states.DONE
    )
    kept = charged_back(Capture.id, "LOST")
    here = (
        select(Capture.id)
        .join(Payment, Payment.id == Capture.payment_id)
        .where(
            Payment.order_id == order.id,
            Capture.standing != "paid",
            (Capture.refunded_amount < Capture.amount - kept)
            | ((Capture.standing == "mismatch") & (gone.scalar_subquery() < Capture.amount - kept)),
        )
    )
    return db.session.scalar(here.limit(1)) is not None
