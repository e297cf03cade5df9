"""3. Lines sum to totals, discount codes follow their orders, and the ledger has the tax, delivery and discount of each
order.
"""

from __future__ import annotations

from typing import Any

from shop.core.money import smallest
from shop.integrity.invariants.scope import Rows, Scope
from shop.pricing.split import Split


def lines_sum_to_totals(scope: Scope) -> Rows:
    """Orders whose lines do not sum to the total, or whose division differs from the lines.

    Delivery and discount of the division are without tax, and so at most the lines.
    """
    return scope.rows(
        f"""
        SELECT o.number, o.total_amount, l.amount, o.tax_amount, l.tax, o.delivery_amount, l.delivery,
               o.discount_amount, l.discount
        FROM orders o
        LEFT JOIN (SELECT order_id, SUM(CASE WHEN is_included THEN 0 ELSE quantity * unit_amount END) AS amount,
                          SUM(CASE kind WHEN 'tax' THEN quantity * unit_amount ELSE 0 END) AS tax,
                          SUM(CASE kind WHEN 'delivery' THEN quantity * unit_amount ELSE 0 END) AS delivery,
                          SUM(CASE kind WHEN 'discount' THEN -quantity * unit_amount ELSE 0 END) AS discount,
                          SUM(CASE WHEN is_included THEN 1 ELSE 0 END) AS included
                   FROM order_lines WHERE {scope.only("order_id")} GROUP BY order_id) l ON l.order_id = o.id
        WHERE {scope.only("o.id")}
          AND (l.amount IS NULL OR o.total_amount <> l.amount OR o.tax_amount <> l.tax
               OR o.delivery_amount NOT BETWEEN 0 AND l.delivery OR o.discount_amount NOT BETWEEN 0 AND l.discount
               OR (l.included = 0 AND (o.delivery_amount <> l.delivery OR o.discount_amount <> l.discount)))
        """  # noqa: S608
    )


def codes_follow_orders(scope: Scope) -> Rows:
    """Uses of codes that differ from their orders, and codes whose counts differ from their uses."""
    theirs = "TRUE"
    if not scope.is_everything:
        theirs = f"c.code IN (SELECT code FROM discount_uses WHERE {scope.only('order_id')})"  # noqa: S608
    return (
        scope.rows(
            f"""
            SELECT o.number, o.state, u.state AS used, u.amount, l.amount AS line FROM orders o
            LEFT JOIN discount_uses u ON u.order_id = o.id
            LEFT JOIN (SELECT order_id, -SUM(quantity * unit_amount) AS amount FROM order_lines
                       WHERE kind = 'discount' AND {scope.only("order_id")} GROUP BY order_id) l ON l.order_id = o.id
            WHERE {scope.only("o.id")} AND (u.order_id IS NOT NULL OR l.order_id IS NOT NULL)
              AND (u.amount IS NULL OR l.amount IS NULL OR u.amount <> l.amount
                   OR u.state <> CASE WHEN o.state IN ('EXPIRED', 'CANCELLED') THEN 'RELEASED' ELSE 'HELD' END)
            """  # noqa: S608
        )
        + scope.rows(
            f"""
            SELECT * FROM (
              SELECT c.code, c.uses, c.use_limit, (SELECT COUNT(*) FROM discount_uses u
                                                   WHERE u.code = c.code AND u.state = 'HELD') AS used
              FROM discount_codes c WHERE {theirs}) AS found
            WHERE uses <> used OR uses > use_limit
            """  # noqa: S608
        )
        + scope.rows(
            f"""
            SELECT * FROM (
              SELECT c.code, c.currency, c.spent, c.budget,
                     (SELECT COALESCE(SUM(u.amount), 0) FROM discount_uses u
                      WHERE u.code = c.code AND u.currency = c.currency AND u.state = 'HELD') AS used
              FROM discount_values c WHERE {theirs}) AS found
            WHERE spent <> used OR spent > budget
            """  # noqa: S608
        )
    )


def shares_are_booked(scope: Scope) -> Rows:
    """Orders whose tax, delivery and discount in the ledger are not those of the order, less the shares of its refunds.

    The query finds orders that differ, or that are refunded in part: their shares are computed here.
    """
    found = scope.rows(
        f"""
        SELECT * FROM (
          SELECT o.number, o.currency, o.paid_by, o.total_amount, COALESCE(o.accepted_amount, o.total_amount) AS price,
                 o.tax_amount, o.delivery_amount, o.discount_amount, COALESCE(r.amount, 0) AS refunded,
                 COALESCE(b.tax, 0) AS tax, COALESCE(b.delivery, 0) AS delivery, COALESCE(b.discount, 0) AS discount,
                 CASE WHEN o.paid_by IS NULL OR (r.amount > 0 AND r.amount >= COALESCE(o.accepted_amount,
                                                                                      o.total_amount)) THEN 0
                      WHEN r.amount > 0 THEN NULL ELSE 1 END AS share
          FROM orders o
          LEFT JOIN (SELECT j.order_id, SUM(CASE e.account WHEN 'tax_payable' THEN -e.amount ELSE 0 END) AS tax,
                            SUM(CASE e.account WHEN 'delivery' THEN -e.amount ELSE 0 END) AS delivery,
                            SUM(CASE e.account WHEN 'discounts' THEN e.amount ELSE 0 END) AS discount
                     FROM ledger_entries e JOIN journals j ON j.key = e.journal_key
                     WHERE e.account IN ('tax_payable', 'delivery', 'discounts') AND {scope.only("j.order_id")}
                     GROUP BY j.order_id) b ON b.order_id = o.id
          LEFT JOIN (SELECT r.order_id, SUM(r.amount) AS amount FROM refunds r
                     LEFT JOIN captures c ON c.id = r.capture_id
                     WHERE r.state = 'DONE' AND (c.id IS NULL OR c.allocation = 'pays_order')
                       AND {scope.only("r.order_id")} GROUP BY r.order_id) r ON r.order_id = o.id
          WHERE {scope.only("o.id")}) AS x
        WHERE (tax_amount <> 0 OR delivery_amount <> 0 OR discount_amount <> 0 OR tax <> 0 OR delivery <> 0
               OR discount <> 0)
          AND (share IS NULL OR tax <> share * tax_amount OR delivery <> share * delivery_amount
               OR discount <> share * discount_amount)
        """  # noqa: S608
    )
    return [row for row in found if row["share"] is not None or not _is_booked_in_part(row)]


def _is_booked_in_part(row: dict[str, Any]) -> bool:
    whole = Split(row["total_amount"], row["tax_amount"], row["delivery_amount"], row["discount_amount"])
    gone = whole.first(int(row["refunded"]), row["price"], smallest(row["currency"]))
    left = (whole.tax - gone.tax, whole.delivery - gone.delivery, whole.discount - gone.discount)
    return left == (row["tax"], row["delivery"], row["discount"])
