"""Settlement files and disputes against the ledger."""

from __future__ import annotations

from shop.integrity.invariants.scope import Rows, Scope


def settlement_adds_up(scope: Scope) -> Rows:
    """Accounts whose balance differs from the lines of all settlement files, in each currency. Checked in the full
    scope only.
    """
    if not scope.is_everything:
        return []
    return scope.rows(
        """
        SELECT m.account, m.currency, m.amount AS should_be, COALESCE(l.amount, 0) AS booked
        FROM (SELECT 'fees' AS account, currency, SUM(fee) AS amount FROM settlement_lines GROUP BY currency
              UNION ALL
              SELECT 'bank', currency, SUM(amount - fee) FROM settlement_lines GROUP BY currency
              UNION ALL
              SELECT 'disputes', currency, SUM(CASE WHEN kind = 'chargeback' AND state <> 'WON' THEN amount ELSE 0 END)
              FROM disputes GROUP BY currency) m
        LEFT JOIN (SELECT account, currency, SUM(amount) AS amount FROM ledger_entries
                   WHERE account = 'fees' OR account = 'disputes'
                         OR (account = 'bank' AND journal_key LIKE 'settled:%')
                   GROUP BY account, currency) l
               ON l.account = m.account AND l.currency = m.currency
        WHERE m.amount <> COALESCE(l.amount, 0)
        """
    )
