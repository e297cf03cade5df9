"""What settlement files brought, and disputes, against the ledger."""

from __future__ import annotations

from shop.reports.invariants.scope import Rows, Scope


def settlement_adds_up(scope: Scope) -> Rows:
    """The lines of all files say what stands on the accounts, in each currency. Only on everything."""
    if not scope.is_everything:
        return []
    return scope.rows(
        """
        SELECT m.account, m.currency, m.amount AS should_be, COALESCE(l.amount, 0) AS booked
        FROM (SELECT 'fees' AS account, currency, SUM(fee) AS amount FROM settled_lines GROUP BY currency
              UNION ALL
              SELECT 'settled', currency, SUM(amount - fee) FROM settled_lines GROUP BY currency
              UNION ALL
              SELECT 'disputes', currency, SUM(CASE WHEN kind = 'chargeback' AND state <> 'WON' THEN amount ELSE 0 END)
              FROM disputes GROUP BY currency) m
        LEFT JOIN (SELECT account, currency, SUM(amount) AS amount FROM ledger_entries
                   WHERE account = 'fees' OR account = 'disputes'
                         OR (account = 'settled' AND journal_key LIKE 'settled:%')
                   GROUP BY account, currency) l
               ON l.account = m.account AND l.currency = m.currency
        WHERE m.amount <> COALESCE(l.amount, 0)
        """
    )
