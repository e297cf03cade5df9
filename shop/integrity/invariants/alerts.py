"""7. Each alert exists exactly once."""

from __future__ import annotations

from datetime import timedelta

from shop.core import clock
from shop.integrity.invariants.scope import Rows, Scope

_SLACK = timedelta(seconds=90)


def each_once(scope: Scope) -> Rows:
    """Captures of unallocated funds without exactly one alert of their rule, and outside refunds without exactly one
    alert, unless a check of the order is due.
    """
    late = clock.now() - _SLACK
    return scope.rows(
        f"""
        SELECT c.id, c.payment_id, c.allocation, COUNT(a.id) AS alerts
        FROM captures c JOIN payments p ON p.id = c.payment_id
        LEFT JOIN alerts a ON a.order_id = p.order_id AND a.cause = 'capture ' || c.id
              AND a.rule = CASE c.allocation WHEN 'late' THEN 'RULE_C' WHEN 'duplicate' THEN 'RULE_D' ELSE 'RULE_E' END
        WHERE {scope.only("p.order_id")} AND c.allocation <> 'pays_order' AND c.received_at < :late
          AND NOT EXISTS (SELECT 1 FROM watch_list w WHERE w.order_id = p.order_id AND w.due_at >= :late)
        GROUP BY c.id, c.payment_id, c.allocation HAVING COUNT(a.id) <> 1
        """,  # noqa: S608 - constants of ours
        late=late,
    ) + scope.rows(
        f"""
        SELECT r.id, r.payment_id, COUNT(a.id) AS alerts FROM refunds r
        LEFT JOIN alerts a ON a.order_id = r.order_id AND a.cause = 'refund ' || r.id AND a.rule = 'OPS_REFUND_OUTSIDE'
        WHERE {scope.only("r.order_id")} AND r.kind = 'outside' AND r.created_at < :late
          AND NOT EXISTS (SELECT 1 FROM watch_list w WHERE w.order_id = r.order_id AND w.due_at >= :late)
        GROUP BY r.id, r.payment_id HAVING COUNT(a.id) <> 1
        """,  # noqa: S608 - constants of ours
        late=late,
    )
