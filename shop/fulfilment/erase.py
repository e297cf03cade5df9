"""Erase tracking numbers together with the personal data of their orders."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import update

from shop.core.db import db
from shop.fulfilment.models import Shipment


def tracking(order_ids: Sequence[int]) -> None:
    """Erase the tracking numbers and links of these orders: at the carrier they lead to the address. The packages, with
    their units, times and carriers, stay.
    """
    erased = {"tracking_number": "", "tracking_url": ""}
    db.session.execute(update(Shipment).where(Shipment.order_id.in_(order_ids)).values(erased))
