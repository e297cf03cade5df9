"""2. No more units are packed and shipped than were bought, and the state of the fulfilment is that of the units."""

from __future__ import annotations

from shop.integrity.invariants.scope import Rows, Scope


def units_are_bought(scope: Scope) -> Rows:
    """Orders with a line of which more units are in packages or withdrawn than were bought, and orders whose
    fulfilment differs from their units. The states are those of `shop.fulfilment.decide.state_of`.
    """
    return scope.rows(
        f"""
        SELECT * FROM (
          SELECT o.number, o.fulfilment, u.ordered, u.packed, u.shipped, u.withdrawn, u.excess,
                 CASE WHEN shipped > 0 AND shipped + withdrawn = ordered THEN 'SHIPPED'
                      WHEN shipped > 0 THEN 'PARTLY_SHIPPED'
                      WHEN packed > 0 AND packed + withdrawn = ordered THEN 'PACKED'
                      WHEN packed > 0 THEN 'PARTLY_PACKED'
                      WHEN withdrawn = ordered THEN 'NOTHING_TO_SHIP' ELSE 'TO_PACK' END AS expected
          FROM orders o
          JOIN (SELECT l.order_id, SUM(l.quantity) AS ordered, SUM(l.withdrawn) AS withdrawn,
                       SUM(COALESCE(p.packed, 0)) AS packed, SUM(COALESCE(p.shipped, 0)) AS shipped,
                       MAX(COALESCE(p.packed, 0) + COALESCE(p.shipped, 0) + l.withdrawn - l.quantity) AS excess
                FROM order_lines l
                LEFT JOIN (SELECT s.order_id, c.sku,
                                  SUM(CASE s.state WHEN 'PACKED' THEN c.quantity ELSE 0 END) AS packed,
                                  SUM(CASE s.state WHEN 'SHIPPED' THEN c.quantity ELSE 0 END) AS shipped
                           FROM shipments s JOIN shipment_lines c ON c.shipment_id = s.id
                           WHERE s.state <> 'CANCELLED' AND {scope.only("s.order_id")}
                           GROUP BY s.order_id, c.sku) p ON p.order_id = l.order_id AND p.sku = l.sku
                WHERE l.kind = 'item' AND {scope.only("l.order_id")}
                GROUP BY l.order_id) u ON u.order_id = o.id
          WHERE {scope.only("o.id")}) AS x
        WHERE excess > 0 OR fulfilment <> expected
        """  # noqa: S608
    )
