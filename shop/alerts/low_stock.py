"""Alerts on products of which few units are left. One alert for each time that the available units reach the limit."""

from __future__ import annotations

from sqlalchemy import and_, select

from shop.alerts.episodes import AT_ONCE, CheckRun, follow, since
from shop.alerts.store import WATCH, Cause
from shop.catalogue.models import Product
from shop.core.db import db
from shop.inventory import stock
from shop.inventory.models import Stock

_AVAILABLE = (Stock.on_hand - Stock.reserved).label("available")
_IS_LOW = and_(Stock.on_hand - Stock.reserved <= Stock.low_at, Product.archived_at.is_(None))
_LIMITED = (
    select(Stock.sku, _AVAILABLE, Stock.low_at, Stock.low_since, _IS_LOW.label("is_low"))
    .join(Product, Product.sku == Stock.sku)
    .where(Stock.low_at.is_not(None))
    .order_by(Stock.sku)
)
_CROSSED = _LIMITED.where(Stock.low_since.is_(None) == _IS_LOW)
"""Products that have reached their limit, or have more units again, since the last check."""


def low(run: CheckRun) -> None:
    """Alert when a product that is sold has as few units available as its limit; over when it has more.

    An alert that people resolve while there are still few is not raised again before the units reach the limit again.
    """
    crossed = db.session.execute(_CROSSED.limit(AT_ONCE)).all()
    db.session.rollback()
    if crossed:
        now_low, over = ([row.sku for row in crossed if bool(row.is_low) is wanted] for wanted in (True, False))
        stock.note_crossings(now_low, over, run.at)
    rows = db.session.execute(_LIMITED.where(Stock.low_since.is_not(None)).limit(AT_ONCE)).all()
    found = [
        Cause(
            rule="OPS_STOCK_LOW",
            subject=row.sku,
            cause=since(row.low_since),
            source=WATCH,
            observed={"available": row.available, "since": row.low_since.isoformat()},
            expected={"unitsAbove": row.low_at},
        )
        for row in rows
    ]
    follow(run, "OPS_STOCK_LOW", found, "More units are available again.", complete=len(found) < AT_ONCE)
