"""2. Stock and reservations add up. 3. Store credit adds up."""

from __future__ import annotations

from shop.integrity.invariants.scope import Rows, Scope
from shop.orders import states

PAYABLE = ", ".join(f"'{s}'" for s in sorted(states.PAYABLE))


def stock_adds_up(scope: Scope) -> Rows:
    """SKUs whose stock does not add up. For a scope of some orders only the reservations of live orders are summed,
    which is fast.

    SQLite joins in the order of CROSS JOIN, and so begins with the live orders.
    """
    if not scope.is_everything:
        return scope.rows(
            f"""
            SELECT s.sku, s.on_hand, s.reserved, COALESCE(h.held, 0) AS held FROM stock s
            LEFT JOIN (SELECT r.sku, SUM(r.quantity) AS held FROM orders o CROSS JOIN reservations r
                       WHERE o.state IN ({PAYABLE}) AND o.pay_by > '0001-01-01'
                         AND r.order_id = o.id AND r.state = 'HELD'
                       GROUP BY r.sku) h ON h.sku = s.sku
            WHERE s.reserved <> COALESCE(h.held, 0) OR s.reserved < 0 OR s.on_hand < s.reserved
            """  # noqa: S608
        )
    return scope.rows(
        """
        SELECT s.sku, s.on_hand, s.reserved, COALESCE(r.held, 0) AS held, COALESCE(r.sold, 0) AS sold,
               COALESCE(m.moved, 0) AS moved
        FROM stock s
        LEFT JOIN (SELECT sku, SUM(CASE state WHEN 'HELD' THEN quantity ELSE 0 END) AS held,
                          SUM(CASE state WHEN 'SOLD' THEN quantity ELSE 0 END) AS sold
                   FROM reservations GROUP BY sku) r ON r.sku = s.sku
        LEFT JOIN (SELECT sku, SUM(quantity) AS moved FROM stock_movements GROUP BY sku) m ON m.sku = s.sku
        WHERE s.reserved <> COALESCE(r.held, 0) OR s.on_hand + COALESCE(r.sold, 0) <> COALESCE(m.moved, 0)
           OR s.reserved < 0 OR s.on_hand < s.reserved
        """
    )


def reservations_follow_orders(scope: Scope) -> Rows:
    return scope.rows(
        f"""
        SELECT o.number, o.state, r.sku, r.state AS reservation
        FROM orders o JOIN reservations r ON r.order_id = o.id
        WHERE {scope.only("o.id")}
          AND r.state <> CASE WHEN o.state IN ({PAYABLE}) THEN 'HELD'
                              WHEN o.state IN ('EXPIRED', 'CANCELLED') THEN 'RELEASED' ELSE 'SOLD' END
        """  # noqa: S608 - constants of ours
    ) + scope.rows(
        f"""
        SELECT l.order_id, l.sku, l.quantity, r.quantity AS reserved
        FROM order_lines l LEFT JOIN reservations r ON r.order_id = l.order_id AND r.sku = l.sku
        WHERE {scope.only("l.order_id")} AND l.kind = 'item' AND (r.quantity IS NULL OR r.quantity <> l.quantity)
        """  # noqa: S608
    )


def credit_adds_up(scope: Scope) -> Rows:
    return (
        scope.rows(
            f"""
            SELECT o.number, o.state, h.state AS credit FROM credit_holds h JOIN orders o ON o.id = h.order_id
            WHERE {scope.only("h.order_id")}
              AND h.state <> CASE WHEN o.state IN ({PAYABLE}) THEN 'HELD'
                                  WHEN o.state IN ('EXPIRED', 'CANCELLED') THEN 'RELEASED' ELSE 'USED' END
            """  # noqa: S608
        )
        + _balances(scope)
        + _gifts(scope)
        + scope.rows(
            f"""
            SELECT h.order_id, h.refunded_amount, COALESCE(r.amount, 0) AS requested FROM credit_holds h
            LEFT JOIN (SELECT order_id, SUM(amount) AS amount FROM refunds
                       WHERE capture_id IS NULL AND state <> 'REJECTED' GROUP BY order_id) r ON r.order_id = h.order_id
            WHERE {scope.only("h.order_id")} AND h.refunded_amount <> COALESCE(r.amount, 0)
            """  # noqa: S608
        )
    )


def _balances(scope: Scope) -> Rows:
    """Balances of customers that differ from the ledger or their holds; for a scope of some orders, those of their
    customers.
    """
    theirs = "TRUE"
    if not scope.is_everything:
        theirs = f"s.user_id IN (SELECT user_id FROM orders o WHERE {scope.only('o.id')})"  # noqa: S608
    return scope.rows(
        f"""
        SELECT * FROM (
          SELECT s.user_id, s.currency, s.balance, s.held,
                 COALESCE((SELECT -SUM(e.amount) FROM ledger_entries e
                           WHERE e.account = 'store_credit:' || s.user_id AND e.currency = s.currency), 0) AS booked,
                 COALESCE((SELECT SUM(h.amount) FROM credit_holds h
                           WHERE h.user_id = s.user_id AND h.currency = s.currency AND h.state = 'HELD'), 0) AS holds
          FROM store_credits s WHERE {theirs}) AS found
        WHERE balance <> booked OR held <> holds
        """  # noqa: S608
    )


def _gifts(scope: Scope) -> Rows:
    """Approved gifts without their journal, and undecided or declined ones with it. Checked in the full scope only."""
    if not scope.is_everything:
        return []
    return scope.rows(
        """
        SELECT g.id, g.state, g.amount, e.amount AS booked FROM credit_gifts g
        LEFT JOIN ledger_entries e ON e.journal_key = 'credit_given:' || g.user_id || ':' || g.key
             AND e.account = 'goodwill' AND e.currency = g.currency
        WHERE COALESCE(e.amount, 0) <> CASE g.state WHEN 'APPROVED' THEN g.amount ELSE 0 END
        """
    )


def funds_add_up(scope: Scope) -> Rows:
    """Settled funds and requested payouts that differ from the ledger and the payouts. Checked in the full scope
    only.
    """
    if not scope.is_everything:
        return []
    return scope.rows(
        """
        SELECT f.currency, f.settled, f.promised, COALESCE(l.amount, 0) AS booked, COALESCE(p.amount, 0) AS requested
        FROM funds f
        LEFT JOIN (SELECT currency, SUM(amount) AS amount FROM ledger_entries WHERE account = 'bank'
                   GROUP BY currency) l ON l.currency = f.currency
        LEFT JOIN (SELECT currency, SUM(amount) AS amount FROM payouts WHERE state = 'REQUESTED'
                   GROUP BY currency) p ON p.currency = f.currency
        WHERE f.settled <> COALESCE(l.amount, 0) OR f.promised <> COALESCE(p.amount, 0)
        """
    )
