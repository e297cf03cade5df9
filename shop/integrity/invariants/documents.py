"""3. Documents: numbered without gaps, their lines sum to their totals, and every paid order has a receipt."""

from __future__ import annotations

from shop.documents import missing
from shop.integrity.invariants.scope import Rows, Scope

_NUMBERS = """
    SELECT y.year, y.last, COUNT(d.number) AS documents, MAX(d.sequence) AS newest
    FROM document_years y LEFT JOIN documents d ON d.year = y.year
    GROUP BY y.year, y.last
    HAVING COUNT(d.number) <> y.last OR COALESCE(MAX(d.sequence), 0) <> y.last
    """
_NEWEST = """
    SELECT * FROM (SELECT y.year, y.last, (SELECT MAX(d.sequence) FROM documents d WHERE d.year = y.year) AS newest
                   FROM document_years y) AS found
    WHERE COALESCE(newest, 0) <> last
    """
"""Reads one row of each year, for checks of changed orders."""


def documents_add_up(scope: Scope) -> Rows:
    """Gaps in the numbers of a year, totals that differ from the lines, and credit notes of more than the receipt."""
    return (
        scope.rows(_NUMBERS if scope.is_everything else _NEWEST)
        + scope.rows(
            f"""
            SELECT d.number, d.total_amount, l.amount, d.tax_amount, l.tax
            FROM documents d
            LEFT JOIN (SELECT number, SUM(CASE WHEN is_included THEN 0 ELSE quantity * unit_amount END) AS amount,
                              SUM(CASE kind WHEN 'tax' THEN quantity * unit_amount ELSE 0 END) AS tax
                       FROM document_lines WHERE number IN (SELECT number FROM documents
                                                            WHERE {scope.only("order_id")})
                       GROUP BY number) l ON l.number = d.number
            WHERE {scope.only("d.order_id")}
              AND (l.amount IS NULL OR l.amount <> d.total_amount OR l.tax <> d.tax_amount)
            """  # noqa: S608
        )
        + scope.rows(
            f"""
            SELECT order_id, receipts, receipt, credited FROM (
              SELECT order_id, SUM(CASE kind WHEN 'receipt' THEN 1 ELSE 0 END) AS receipts,
                     SUM(CASE kind WHEN 'receipt' THEN total_amount ELSE 0 END) AS receipt,
                     SUM(CASE kind WHEN 'credit_note' THEN total_amount WHEN 'cancellation' THEN -total_amount
                              ELSE 0 END) AS credited
              FROM documents WHERE {scope.only("order_id")} GROUP BY order_id) AS found
            WHERE receipts <> 1 OR credited NOT BETWEEN 0 AND receipt
            """  # noqa: S608
        )
    )


def credit_notes_equal_the_ledger(scope: Scope) -> Rows:
    """Orders whose credit notes less cancellations have other tax than the journals of the same refunds."""
    return scope.rows(
        f"""
        SELECT * FROM (
          SELECT d.order_id,
                 SUM(CASE d.kind WHEN 'credit_note' THEN d.tax_amount ELSE -d.tax_amount END) AS tax,
                 SUM((SELECT COALESCE(SUM(e.amount), 0) FROM ledger_entries e
                      WHERE e.account = 'tax_payable' AND e.journal_key =
                            CASE d.kind WHEN 'credit_note' THEN d.cause
                                        ELSE REPLACE(d.cause, 'cancel:', 'refund:') || :failed END)) AS booked
          FROM documents d WHERE d.kind <> 'receipt' AND {scope.only("d.order_id")} GROUP BY d.order_id) AS found
        WHERE tax <> booked
        """,  # noqa: S608
        failed=":failed",
    )


def every_document_exists(scope: Scope) -> Rows:
    found = missing.since_the_first(scope.orders)
    return [{"what": "document", "number": row["number"], "lacks": row["lacks"]} for row in found]
