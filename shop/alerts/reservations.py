"""Alerts on clients that keep exceeding the reservation limits, and on products mostly held by unpaid orders."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Integer, Text, bindparam, func, select, text

from shop.alerts.episodes import AT_ONCE, TEN_MINUTES, CheckRun, follow, since
from shop.alerts.models import Alert
from shop.alerts.store import WATCH, Cause
from shop.core.db import UtcDateTime, db

REFUSALS = 10
"""Refusals of one network without a pause of ten minutes; a real customer pays or waits after the first one."""
LARGE_SHARE = 50
"""Per cent of a product's stock in unpaid orders that are older than PAID_BY_THEN."""
LEAST = 10
"""Units; half of a smaller stock is not alerted."""
PAID_BY_THEN = timedelta(minutes=10)
_REFUSED = (
    text(
        "SELECT network, first_at, refusals, counted_by FROM reservation_refusals "
        "WHERE last_at > :quiet AND refusals >= :many ORDER BY last_at LIMIT :most"
    )
    .bindparams(bindparam("quiet", type_=UtcDateTime))
    .columns(network=Text, first_at=UtcDateTime, refusals=Integer, counted_by=Text)
)
_HELD = (  # SQLite joins in the order of CROSS JOIN, and so begins with the live orders
    text(
        """
        SELECT h.sku AS sku, h.held AS held, h.orders AS orders, s.on_hand AS on_hand
        FROM (SELECT r.sku AS sku, SUM(r.quantity) AS held, COUNT(*) AS orders
              FROM orders o CROSS JOIN reservations r
              WHERE o.state IN ('FAILED', 'PENDING', 'WAITING_PAYMENT') AND o.pay_by > :long_ago
                AND o.placed_at <= :placed_before AND o.review_since IS NULL
                AND r.order_id = o.id AND r.state = 'HELD'
              GROUP BY r.sku) h
        JOIN stock s ON s.sku = h.sku
        WHERE h.held >= :least AND h.held * 100 >= s.on_hand * :share
        ORDER BY h.sku
        """
    )
    .bindparams(bindparam("long_ago", type_=UtcDateTime), bindparam("placed_before", type_=UtcDateTime))
    .columns(sku=Text, held=Integer, orders=Integer, on_hand=Integer)
)


def refused(run: CheckRun) -> None:
    """Alert on a network that repeatedly exceeds the limits on unpaid orders; over after ten minutes without a
    refusal.
    """
    rows = db.session.execute(_REFUSED, {"quiet": run.at - TEN_MINUTES, "many": REFUSALS, "most": AT_ONCE}).all()
    found = [
        Cause(
            rule="OPS_UNPAID_LIMIT",
            subject=row.network,
            cause=since(row.first_at),
            source=WATCH,
            observed={"since": row.first_at.isoformat(), "refusals": row.refusals, "countedBy": row.counted_by},
            expected={"refusals": 0},
        )
        for row in rows
    ]
    follow(run, "OPS_UNPAID_LIMIT", found, "None for ten minutes.", complete=len(found) < AT_ONCE)


def held(run: CheckRun) -> None:
    """Alert when unpaid orders older than ten minutes reserve at least half of a product's stock."""
    values = {"long_ago": run.at - timedelta(days=365), "placed_before": run.at - PAID_BY_THEN}
    rows = db.session.execute(_HELD, {**values, "least": LEAST, "share": LARGE_SHARE}).all()
    known = {alert.subject: alert.cause for alert in run.open("OPS_STOCK_HELD")}
    found = [
        Cause(
            rule="OPS_STOCK_HELD",
            subject=row.sku,
            cause=known.get(row.sku) or _next_episode(row.sku),
            source=WATCH,
            observed={"units": row.held, "orders": row.orders, "onHand": row.on_hand},
            expected={"unitsBelow": max(LEAST, row.on_hand * LARGE_SHARE // 100)},
        )
        for row in rows
    ]
    follow(run, "OPS_STOCK_HELD", found, "Unpaid orders reserve less of the stock again.")


def _next_episode(sku: str) -> str:
    """A cause that no earlier alert on the product has, even after older ones were deleted."""
    last = db.session.scalar(select(func.max(Alert.id)).where(Alert.rule == "OPS_STOCK_HELD", Alert.subject == sku))
    return f"after alert {last}" if last else "first"
