"""Erase the texts of returns, which may name a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import update

from shop.core.db import db
from shop.orders.models import ERASED
from shop.returns.models import Return


def texts(order_ids: Sequence[Any]) -> None:
    """Erase the texts of customers and of staff in the returns of these orders, in the caller's transaction."""
    of_orders = update(Return).where(Return.order_id.in_(order_ids))
    db.session.execute(of_orders.where(Return.comment != "").values(comment=ERASED))
    db.session.execute(of_orders.where(Return.message != "").values(message=ERASED))
