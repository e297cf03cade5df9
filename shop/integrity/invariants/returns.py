"""2. Returned units were bought, and are in stock as received. 3. Refunds of returns are what was granted."""

from __future__ import annotations

from shop.integrity.invariants.scope import Rows, Scope

_UNITS = "CASE WHEN r.state IN ('RECEIVED', 'CLOSED') THEN l.restocked + l.not_restocked ELSE l.quantity END"


def returns_add_up(scope: Scope) -> Rows:
    """Lines of which more units are returned than were bought, restocked units without their stock movement, and
    amounts that differ from their lines and refunds.
    """
    return (
        scope.rows(
            f"""
            SELECT * FROM (
              SELECT r.order_id, l.sku, SUM({_UNITS}) AS returned, MAX(o.quantity) AS bought
              FROM order_returns r JOIN order_return_lines l ON l.return_id = r.id
              LEFT JOIN order_lines o ON o.order_id = r.order_id AND o.sku = l.sku AND o.kind = 'item'
              WHERE r.state NOT IN ('DECLINED', 'WITHDRAWN') AND {scope.only("r.order_id")}
              GROUP BY r.order_id, l.sku) AS found
            WHERE bought IS NULL OR returned > bought
            """  # noqa: S608 - constants of ours
        )
        + scope.rows(
            f"""
            SELECT r.reference, l.sku, l.restocked, m.quantity AS moved
            FROM order_returns r JOIN order_return_lines l ON l.return_id = r.id
            LEFT JOIN stock_movements m ON m.form_id = 'return ' || r.reference || ' ' || l.sku
            WHERE {scope.only("r.order_id")} AND l.restocked <> COALESCE(m.quantity, 0)
            """  # noqa: S608
        )
        + scope.rows(
            f"""
            SELECT * FROM (
              SELECT r.reference, r.goods_amount, r.granted_amount,
                     (SELECT SUM(l.amount) FROM order_return_lines l WHERE l.return_id = r.id) AS lines,
                     (SELECT COALESCE(SUM(f.amount), 0) FROM order_return_refunds x JOIN refunds f ON f.id = x.refund_id
                      WHERE x.return_id = r.id) AS refunds
              FROM order_returns r WHERE {scope.only("r.order_id")}) AS found
            WHERE goods_amount <> lines OR COALESCE(granted_amount, 0) <> refunds
            """  # noqa: S608
        )
    )
