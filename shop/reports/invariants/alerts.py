"""7. Each alert exists once: not twice, and not never."""

from __future__ import annotations

from datetime import timedelta

from shop.core import clock
from shop.reports.invariants.scope import Rows, Scope

_SLACK = timedelta(seconds=90)


def each_once(scope: Scope) -> Rows:
    """Money that pays nothing has exactly one alert of the rule that says why, unless its order is about to be looked
    at.
    """
    return scope.rows(
        f"""
        SELECT c.id, c.payment_id, c.standing, COUNT(a.id) AS alerts
        FROM captures c JOIN payments p ON p.id = c.payment_id
        LEFT JOIN alerts a ON a.order_id = p.order_id AND a.cause = 'capture ' || c.id
              AND a.rule = CASE c.standing WHEN 'late' THEN 'RULE_C' WHEN 'second' THEN 'RULE_D' ELSE 'RULE_E' END
        WHERE {scope.only("p.order_id")} AND c.standing <> 'paid' AND c.heard_at < :late
          AND NOT EXISTS (SELECT 1 FROM watch_list w WHERE w.order_id = p.order_id AND w.due_at >= :late)
        GROUP BY c.id, c.payment_id, c.standing HAVING COUNT(a.id) <> 1
        """,  # noqa: S608 - constants of ours
        late=clock.now() - _SLACK,
    )
