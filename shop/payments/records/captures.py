"""Captures of an order."""

from __future__ import annotations

from sqlalchemy import select

from shop.core.db import db
from shop.core.errors import BadInput
from shop.payments.records.models import Capture, Payment


def of_order(order_id: int, capture_id: int | None = None) -> Capture:
    """The capture of an order with this id, or its only one. Raises BadInput `choose_capture`, which lists them."""
    found = db.session.scalars(select(Capture).join(Payment).where(Payment.order_id == order_id)).all()
    chosen = [capture for capture in found if capture_id in (None, capture.id)]
    if len(chosen) == 1:
        return chosen[0]
    known = "; ".join(f"{c.id}: {c.money.with_code()} by {c.provider}, {c.allocation}" for c in found)
    message = f"Choose a capture: {known}." if known else "No payment has been captured for this order."
    raise BadInput("choose_capture", message)
