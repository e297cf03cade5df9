"""3. Paid orders have their capture, other captures are refunded. 6. The ledger balances."""

from __future__ import annotations

from shop.integrity.invariants.scope import Rows, Scope


def paid_once_and_exactly(scope: Scope) -> Rows:
    wrong = scope.rows(
        f"""
        SELECT o.number, o.state, o.paid_by, o.total_amount, o.accepted_amount, o.credit_amount, c.amount AS captured
        FROM orders o
        LEFT JOIN captures c ON c.payment_id = o.paid_by AND c.currency = o.currency AND c.allocation = 'pays_order'
        WHERE {scope.only("o.id")} AND o.paid_by IS NOT NULL
          AND (COALESCE(c.amount, 0) + o.credit_amount <> COALESCE(o.accepted_amount, o.total_amount)
               OR (c.id IS NULL) <> (o.paid_by IN ('store_credit', 'nothing_due')))
        """  # noqa: S608
    ) + scope.rows(
        f"""
        SELECT o.number, o.state, o.paid_by, o.credit_amount, h.amount AS held FROM orders o
        LEFT JOIN credit_holds h ON h.order_id = o.id
        WHERE {scope.only("o.id")}
          AND ((o.state IN ('PAID', 'PARTIALLY_REFUNDED', 'REFUNDED')) <> (o.paid_by IS NOT NULL)
               OR COALESCE(h.amount, 0) <> o.credit_amount)
        """  # noqa: S608
    )
    if not wrong and scope.is_everything and _as_many_captures_as_orders(scope):
        return []
    return wrong + _paid_another(scope)


def _as_many_captures_as_orders(scope: Scope) -> bool:
    """True if the number of captures that pay equals the number of orders paid by a capture.

    If each of those orders also has its capture, there is no other: the same result as a scan of all rows, in far less
    time.
    """
    (found,) = scope.rows(
        """
        SELECT (SELECT COUNT(*) FROM captures WHERE allocation = 'pays_order') AS pay,
               (SELECT COUNT(*) FROM orders WHERE paid_by NOT IN ('store_credit', 'nothing_due')) AS paid
        """
    )
    return bool(found["pay"] == found["paid"])


def _paid_another(scope: Scope) -> Rows:
    """Captures allocated to an order that another payment or another capture has paid."""
    return scope.rows(
        f"""
        SELECT c.id, c.payment_id, c.allocation, o.paid_by FROM captures c
        JOIN payments p ON p.id = c.payment_id JOIN orders o ON o.id = p.order_id
        WHERE {scope.only("p.order_id")}
          AND c.allocation = 'pays_order'
          AND (o.paid_by IS NULL OR o.paid_by <> c.payment_id
               OR EXISTS (SELECT 1 FROM captures x WHERE x.payment_id = c.payment_id
                          AND x.allocation = 'pays_order' AND x.id <> c.id))
        """  # noqa: S608
    )


def other_money_is_refunded(scope: Scope) -> Rows:
    return scope.rows(
        f"""
        SELECT c.id, c.payment_id, c.allocation, c.amount, c.refunded_amount FROM captures c
        JOIN payments p ON p.id = c.payment_id JOIN orders o ON o.id = p.order_id
        WHERE {scope.only("p.order_id")}
          AND c.allocation <> 'pays_order' AND c.refunded_amount <> c.amount AND o.review_since IS NULL
          AND c.refunded_amount + (SELECT COALESCE(SUM(d.amount), 0) FROM disputes d WHERE d.capture_id = c.id
                                   AND d.kind = 'chargeback' AND d.state = 'LOST') < c.amount
        """  # noqa: S608
    ) + scope.rows(
        f"""
        SELECT c.id, c.payment_id, c.refunded_amount, COALESCE(r.amount, 0) AS requested FROM captures c
        LEFT JOIN (SELECT capture_id, SUM(amount) AS amount,
                          MAX(CASE kind WHEN 'outside' THEN 1 ELSE 0 END) AS outside FROM refunds
                   WHERE state <> 'REJECTED' AND {scope.only("order_id")} GROUP BY capture_id) r ON r.capture_id = c.id
        WHERE c.refunded_amount <> CASE WHEN r.outside = 1 AND r.amount > c.amount THEN c.amount
                                        ELSE COALESCE(r.amount, 0) END
          AND {_of_payments(scope, "c.payment_id")}
        """  # noqa: S608
    )


def _of_payments(scope: Scope, column: str) -> str:
    if scope.is_everything:
        return "TRUE"
    return f"{column} IN (SELECT id FROM payments WHERE {scope.only('order_id')})"  # noqa: S608


def ledger_balances(scope: Scope) -> Rows:
    """Journals that do not sum to zero, and refunds of store credit that have none; in the full scope also accounts of
    acquirers and of manual refunds that differ from their captures and refunds.
    """
    theirs = "TRUE"
    if not scope.is_everything:
        theirs = f"journal_key IN (SELECT key FROM journals WHERE {scope.only('order_id')})"  # noqa: S608
    off = scope.rows(
        f"""
        SELECT journal_key, currency, SUM(amount) AS off FROM ledger_entries WHERE {theirs}
        GROUP BY journal_key, currency HAVING SUM(amount) <> 0
        """  # noqa: S608
    )
    off += _credit_refunds_without_journal(scope)
    return off + (_accounts_agree(scope) if scope.is_everything else [])


def _credit_refunds_without_journal(scope: Scope) -> Rows:
    """Refunds of store credit that are done and not booked, as by a version that knows no refund of it to a bank."""
    return scope.rows(
        f"""
        SELECT r.id, r.order_id, r.destination, r.amount FROM refunds r
        WHERE r.capture_id IS NULL AND r.state = 'DONE' AND {scope.only("r.order_id")}
          AND NOT EXISTS (SELECT 1 FROM journals j WHERE j.key = 'refund:' || r.id)
        """  # noqa: S608
    )


def _accounts_agree(scope: Scope) -> Rows:
    return scope.rows(
        """
        SELECT m.account, m.currency, m.amount AS moved, COALESCE(l.amount, 0) AS booked
        FROM (SELECT account, currency, SUM(amount) AS amount FROM (
                SELECT 'receivable:' || provider AS account, currency, SUM(amount) AS amount FROM captures
                GROUP BY provider, currency
                UNION ALL
                SELECT 'receivable:' || p.provider, r.currency, -r.amount FROM refunds r
                JOIN payments p ON p.id = r.payment_id
                WHERE r.state = 'DONE' AND r.destination = 'provider'
                UNION ALL
                SELECT 'manual_refunds', currency, -amount FROM refunds
                WHERE state = 'DONE' AND destination = 'bank') AS x
              GROUP BY account, currency) m
        LEFT JOIN (SELECT account, currency, SUM(amount) AS amount FROM ledger_entries
                   WHERE journal_key LIKE 'capture:%' OR journal_key LIKE 'refund:%' GROUP BY account, currency) l
               ON l.account = m.account AND l.currency = m.currency
        WHERE m.amount <> COALESCE(l.amount, 0)
        """
    )
