"""1. What the acquirer took is what we have booked; 3. paid orders are paid, the rest goes back; 6. books balance."""

from __future__ import annotations

from datetime import timedelta

import httpx
from flask import current_app

from shop.core import clock, http
from shop.reports.invariants.scope import Rows, Scope

_SLACK = timedelta(seconds=90)


def captured_as_there(scope: Scope) -> Rows:
    """Asks the mock acquirer for all its money in one call.

    What changed less than 90 s ago there, and payments with a refund under way, do not count.
    """
    before = (clock.now() - _SLACK).isoformat()
    ours = {
        row["id"]: (row["captured"], row["refunded"])
        for row in scope.rows(
            """
            SELECT p.id, COALESCE(c.amount, 0) AS captured, COALESCE(r.amount, 0) AS refunded FROM payments p
            LEFT JOIN (SELECT payment_id, SUM(amount) AS amount FROM captures GROUP BY payment_id) c
                   ON c.payment_id = p.id
            LEFT JOIN (SELECT payment_id, SUM(amount) AS amount FROM refunds
                       WHERE state = 'DONE' AND destination = 'provider' GROUP BY payment_id) r ON r.payment_id = p.id
            """
        )
    }
    moving = {
        row["payment_id"]
        for row in scope.rows(
            """
            SELECT payment_id FROM refunds
            WHERE state IN ('REQUESTED', 'PENDING', 'UNKNOWN') AND destination = 'provider'
            """
        )
    }
    http.leave_database()
    url = current_app.config["ACQUIRER_URL"].rstrip("/") + "/_sim/totals"
    try:
        answer = http.client().get(url, headers={"Authorization": f"Bearer {current_app.config['CONTROL_TOKEN']}"})
        answer.raise_for_status()
        told = answer.json()["payments"]
        theirs = {p["reference"]: p for p in told if not p.get("last_captured_at", "") > before}
        young = {p["reference"] for p in told} - set(theirs)
    except (httpx.HTTPError, ValueError, KeyError) as error:
        return [{"acquirer": f"could not be asked: {type(error).__name__}"}]
    broken = []
    for payment_id in sorted(set(ours) - moving - young):
        there = theirs.get(payment_id, {})
        seen = (int(there.get("captured", 0)), int(there.get("refunded", 0)))
        if seen != ours[payment_id]:
            broken.append({"payment": payment_id, "there": seen, "here": ours[payment_id]})
    return broken


def paid_once_and_exactly(scope: Scope) -> Rows:
    wrong = scope.rows(
        f"""
        SELECT o.number, o.state, o.paid_by, o.total_amount, o.accepted_amount, o.credit_amount, c.amount AS captured
        FROM orders o
        LEFT JOIN captures c ON c.payment_id = o.paid_by AND c.currency = o.currency AND c.standing = 'paid'
        WHERE {scope.only("o.id")} AND o.paid_by IS NOT NULL
          AND (COALESCE(c.amount, 0) + o.credit_amount <> COALESCE(o.accepted_amount, o.total_amount)
               OR (c.id IS NULL) <> (o.paid_by = 'store_credit'))
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
    """Whether as many captures pay as orders are paid by one.

    Where each of those orders has its capture, there is no other then: what a look at every row would show, in far
    less time.
    """
    (found,) = scope.rows(
        """
        SELECT (SELECT COUNT(*) FROM captures WHERE standing = 'paid') AS pay,
               (SELECT COUNT(*) FROM captures WHERE standing IS NULL) AS unjudged,
               (SELECT COUNT(*) FROM orders WHERE paid_by <> 'store_credit') AS paid
        """
    )
    return bool(found["pay"] == found["paid"] and not found["unjudged"])


def _paid_another(scope: Scope) -> Rows:
    """Captures that nobody has judged, and those that are said to pay an order which something else has paid, or
    which another one of the same payment pays.
    """
    return scope.rows(
        f"""
        SELECT c.id, c.payment_id, c.standing, o.paid_by FROM captures c
        JOIN payments p ON p.id = c.payment_id JOIN orders o ON o.id = p.order_id
        WHERE {scope.only("p.order_id")}
          AND (c.standing IS NULL
               OR (c.standing = 'paid'
                   AND (o.paid_by IS NULL OR o.paid_by <> c.payment_id
                        OR EXISTS (SELECT 1 FROM captures x WHERE x.payment_id = c.payment_id AND x.standing = 'paid'
                                   AND x.id <> c.id))))
        """  # noqa: S608
    )


def other_money_goes_back(scope: Scope) -> Rows:
    return scope.rows(
        f"""
        SELECT c.id, c.payment_id, c.standing, c.amount, c.refunded_amount FROM captures c
        JOIN payments p ON p.id = c.payment_id JOIN orders o ON o.id = p.order_id
        WHERE {scope.only("p.order_id")}
          AND c.standing <> 'paid' AND c.refunded_amount <> c.amount AND o.review_since IS NULL
          AND c.refunded_amount + (SELECT COALESCE(SUM(d.amount), 0) FROM disputes d WHERE d.capture_id = c.id
                                   AND d.kind = 'chargeback' AND d.state = 'LOST') < c.amount
        """  # noqa: S608
    ) + scope.rows(
        f"""
        SELECT c.id, c.payment_id, c.refunded_amount, COALESCE(r.amount, 0) AS asked FROM captures c
        LEFT JOIN (SELECT capture_id, SUM(amount) AS amount FROM refunds WHERE state <> 'REJECTED'
                   AND {scope.only("order_id")} GROUP BY capture_id) r ON r.capture_id = c.id
        WHERE c.refunded_amount <> COALESCE(r.amount, 0)
          AND {_of_payments(scope, "c.payment_id")}
        """  # noqa: S608
    )


def _of_payments(scope: Scope, column: str) -> str:
    if scope.is_everything:
        return "TRUE"
    return f"{column} IN (SELECT id FROM payments WHERE {scope.only('order_id')})"  # noqa: S608


def books_balance(scope: Scope) -> Rows:
    """Every journal sums to zero; on everything, each acquirer's account says what captures and refunds say, and that
    of money sent by hand what refunds say.
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
    return off + (_accounts_agree(scope) if scope.is_everything else [])


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
                SELECT 'by_hand', currency, -amount FROM refunds WHERE state = 'DONE' AND destination = 'bank') AS x
              GROUP BY account, currency) m
        LEFT JOIN (SELECT account, currency, SUM(amount) AS amount FROM ledger_entries
                   WHERE journal_key LIKE 'capture:%' OR journal_key LIKE 'refund:%' GROUP BY account, currency) l
               ON l.account = m.account AND l.currency = m.currency
        WHERE m.amount <> COALESCE(l.amount, 0)
        """
    )
