"""What must always hold, as queries that return the rows that break it. Run by tests, by `flask check`, by anybody.

Numbers are those of the design's list.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any

import httpx
from flask import current_app
from sqlalchemy import text

from shop.core import clock, http
from shop.core.db import db
from shop.orders import states as order_states
from shop.payments import states

_PAYABLE = ", ".join(f"'{s}'" for s in sorted(order_states.PAYABLE))
_OPEN = ", ".join(f"'{s}'" for s in sorted(states.STILL_OPEN))
_SLACK = timedelta(seconds=90)
_EXPIRY_SLACK = timedelta(seconds=60)


@dataclass(frozen=True)
class Finding:
    """One invariant, what it says, and the rows that break it."""

    name: str
    says: str
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.rows

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "says": self.says, "holds": self.holds, "rows": self.rows}


def check(*, ask_acquirer: bool = True) -> list[Finding]:
    """Check them all. `ask_acquirer=False` leaves out the one that needs the acquirer to be there."""
    found = [
        Finding(name, says, rule()) for name, says, rule in _RULES if ask_acquirer or rule is not _captured_as_there
    ]
    db.session.rollback()
    return found


def check_at_rest(*, patience: float = 3.0) -> list[Finding]:
    """Check, and look again after `patience` seconds where something was broken: what was just on its way is no
    finding.

    Turning the clock makes much due at once; a clock process that is well has served it by then.
    """
    first = check()
    if all(finding.holds for finding in first):
        return first
    time.sleep(patience)
    return check()


def _rows(sql: str, **values: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in db.session.execute(text(sql), values).mappings()]


def _captured_as_there() -> list[dict[str, Any]]:
    """Asks the mock acquirer for all its money in one call.

    What changed less than 90 s ago there, and payments with a refund under way, do not count.
    """
    before = (clock.now() - _SLACK).isoformat()
    ours = {
        row["id"]: (row["captured"], row["refunded"])
        for row in _rows(
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
        for row in _rows("SELECT payment_id FROM refunds WHERE state IN ('REQUESTED', 'PENDING', 'UNKNOWN')")
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


def _stock_adds_up() -> list[dict[str, Any]]:
    return _rows(
        """
        SELECT s.sku, s.on_hand, s.reserved, COALESCE(h.held, 0) AS held, COALESCE(x.sold, 0) AS sold,
               COALESCE(m.moved, 0) AS moved
        FROM stock s
        LEFT JOIN (SELECT sku, SUM(quantity) AS held FROM reservations WHERE state = 'HELD' GROUP BY sku) h
               ON h.sku = s.sku
        LEFT JOIN (SELECT sku, SUM(quantity) AS sold FROM reservations WHERE state = 'SOLD' GROUP BY sku) x
               ON x.sku = s.sku
        LEFT JOIN (SELECT sku, SUM(quantity) AS moved FROM stock_movements GROUP BY sku) m ON m.sku = s.sku
        WHERE s.reserved <> COALESCE(h.held, 0) OR s.on_hand + COALESCE(x.sold, 0) <> COALESCE(m.moved, 0)
           OR s.reserved < 0 OR s.on_hand < s.reserved
        """
    )


def _reservations_follow_orders() -> list[dict[str, Any]]:
    return _rows(
        f"""
        SELECT o.number, o.state, r.sku, r.state AS reservation
        FROM orders o JOIN reservations r ON r.order_id = o.id
        WHERE r.state <> CASE WHEN o.state IN ({_PAYABLE}) THEN 'HELD'
                              WHEN o.state IN ('EXPIRED', 'CANCELLED') THEN 'RELEASED' ELSE 'SOLD' END
        """  # noqa: S608 - constants of ours
    ) + _rows(
        """
        SELECT o.number, l.sku, l.quantity, r.quantity AS reserved
        FROM order_lines l JOIN orders o ON o.id = l.order_id
        LEFT JOIN reservations r ON r.order_id = l.order_id AND r.sku = l.sku
        WHERE r.quantity IS NULL OR r.quantity <> l.quantity
        """
    )


def _paid_once_and_exactly() -> list[dict[str, Any]]:
    return _rows(
        """
        SELECT o.number, o.state, o.paid_by, o.total_amount, o.accepted_amount, o.credit_amount,
               COALESCE(c.amount, 0) AS captured, COALESCE(c.n, 0) AS captures, h.state AS credit
        FROM orders o
        LEFT JOIN (SELECT payment_id, currency, SUM(amount) AS amount, COUNT(*) AS n FROM captures
                   WHERE standing = 'paid' GROUP BY payment_id, currency) c
               ON c.payment_id = o.paid_by AND c.currency = o.currency
        LEFT JOIN credit_holds h ON h.order_id = o.id
        WHERE (o.paid_by IS NOT NULL AND COALESCE(c.amount, 0) + o.credit_amount
                                         <> COALESCE(o.accepted_amount, o.total_amount))
           OR (o.paid_by IS NOT NULL AND COALESCE(c.n, 0) <> CASE WHEN o.paid_by = 'store_credit' THEN 0 ELSE 1 END)
           OR COALESCE(h.amount, 0) <> o.credit_amount
           OR (o.state IN ('PAID', 'PARTIALLY_REFUNDED', 'REFUNDED')) <> (o.paid_by IS NOT NULL)
        """
    ) + _rows(
        """
        SELECT c.id, c.payment_id, c.standing, o.paid_by FROM captures c
        JOIN payments p ON p.id = c.payment_id JOIN orders o ON o.id = p.order_id
        WHERE c.standing IS NULL OR (c.standing = 'paid' AND o.paid_by <> c.payment_id)
        """
    )


def _credit_adds_up() -> list[dict[str, Any]]:
    return (
        _rows(
            f"""
        SELECT o.number, o.state, h.state AS credit FROM credit_holds h JOIN orders o ON o.id = h.order_id
        WHERE h.state <> CASE WHEN o.state IN ({_PAYABLE}) THEN 'HELD'
                              WHEN o.state IN ('EXPIRED', 'CANCELLED') THEN 'RELEASED' ELSE 'USED' END
        """  # noqa: S608 - constants of ours
        )
        + _rows(
            """
        SELECT s.user_id, s.currency, s.balance, s.held, COALESCE(l.amount, 0) AS booked, COALESCE(h.amount, 0) AS holds
        FROM store_credits s
        LEFT JOIN (SELECT account, currency, -SUM(amount) AS amount FROM ledger_entries
                   WHERE account LIKE 'store_credit:%' GROUP BY account, currency) l
               ON l.account = 'store_credit:' || s.user_id AND l.currency = s.currency
        LEFT JOIN (SELECT user_id, currency, SUM(amount) AS amount FROM credit_holds WHERE state = 'HELD'
                   GROUP BY user_id, currency) h ON h.user_id = s.user_id AND h.currency = s.currency
        WHERE s.balance <> COALESCE(l.amount, 0) OR s.held <> COALESCE(h.amount, 0)
        """
        )
        + _rows(
            """
        SELECT h.order_id, h.refunded_amount, COALESCE(r.amount, 0) AS asked FROM credit_holds h
        LEFT JOIN (SELECT order_id, SUM(amount) AS amount FROM refunds
                   WHERE capture_id IS NULL AND state <> 'REJECTED' GROUP BY order_id) r ON r.order_id = h.order_id
        WHERE h.refunded_amount <> COALESCE(r.amount, 0)
        """
        )
    )


def _other_money_goes_back() -> list[dict[str, Any]]:
    return _rows(
        """
        SELECT c.id, c.payment_id, c.standing, c.amount, c.refunded_amount FROM captures c
        JOIN payments p ON p.id = c.payment_id JOIN orders o ON o.id = p.order_id
        WHERE c.standing <> 'paid' AND c.refunded_amount <> c.amount AND o.review_since IS NULL
        """
    ) + _rows(
        """
        SELECT c.id, c.payment_id, c.refunded_amount, COALESCE(r.amount, 0) AS asked FROM captures c
        LEFT JOIN (SELECT capture_id, SUM(amount) AS amount FROM refunds WHERE state <> 'REJECTED'
                   GROUP BY capture_id) r ON r.capture_id = c.id
        WHERE c.refunded_amount <> COALESCE(r.amount, 0)
        """
    )


def _books_balance() -> list[dict[str, Any]]:
    return _rows(
        """
        SELECT journal_key, currency, SUM(amount) AS off FROM ledger_entries
        GROUP BY journal_key, currency HAVING SUM(amount) <> 0
        """
    ) + _rows(
        """
        SELECT m.account, m.currency, m.amount AS moved, COALESCE(l.amount, 0) AS booked
        FROM (SELECT account, currency, SUM(amount) AS amount FROM (
                SELECT 'receivable:' || provider AS account, currency, amount FROM captures
                UNION ALL
                SELECT 'receivable:' || p.provider, r.currency, -r.amount FROM refunds r
                JOIN payments p ON p.id = r.payment_id
                WHERE r.state = 'DONE' AND r.destination = 'provider') AS x
              GROUP BY account, currency) m
        LEFT JOIN (SELECT account, currency, SUM(amount) AS amount FROM ledger_entries GROUP BY account, currency) l
               ON l.account = m.account AND l.currency = m.currency
        WHERE m.amount <> COALESCE(l.amount, 0)
        """
    )


def _one_open_payment() -> list[dict[str, Any]]:
    return _rows(
        f"""
        SELECT order_id, COUNT(*) AS open_payments FROM payments WHERE state IN ({_OPEN})
        GROUP BY order_id HAVING COUNT(*) > 1
        """  # noqa: S608 - constants of ours
    )


def _none_past_its_time() -> list[dict[str, Any]]:
    return _rows(
        f"""
        SELECT o.number, o.state, o.pay_by FROM orders o
        WHERE o.state IN ({_PAYABLE}) AND o.pay_by < :late AND o.review_since IS NULL
          AND NOT EXISTS (SELECT 1 FROM payments p WHERE p.order_id = o.id AND p.unavailable_since IS NOT NULL
                          AND p.state IN ({_OPEN}))
        """,  # noqa: S608
        late=_bind(clock.now() - _EXPIRY_SLACK),
    )


def _nothing_is_left_lying() -> list[dict[str, Any]]:
    late = _bind(clock.now() - _SLACK)
    return (
        _rows("SELECT 'inbox' AS what, id, due_at, verdict FROM inbox WHERE due_at < :late AND tries < 10", late=late)
        + _rows("SELECT 'inbox' AS what, id, due_at FROM inbox WHERE due_at IS NULL AND done_at IS NULL")
        + _rows(
            "SELECT 'outbox' AS what, id, kind, error FROM outbox WHERE published_at IS NULL AND created_at < :late",
            late=late,
        )
        + _rows("SELECT 'saga' AS what, order_id, due_at FROM sagas WHERE due_at < :late", late=late)
        + _rows(
            "SELECT 'payment' AS what, id, state, next_check_at FROM payments WHERE next_check_at < :late", late=late
        )
    )


def _history_is_whole() -> list[dict[str, Any]]:
    gaps = _rows(
        """
        SELECT o.number, o.event_seq, COUNT(e.seq) AS events, MAX(e.seq) AS last
        FROM orders o LEFT JOIN order_events e ON e.order_id = o.id
        GROUP BY o.id, o.number, o.event_seq
        HAVING COUNT(e.seq) <> o.event_seq OR COALESCE(MAX(e.seq), 0) <> o.event_seq
        """
    )
    moves = _rows(
        """
        SELECT e.order_id, e.source, e.target, o.state FROM order_events e JOIN orders o ON o.id = e.order_id
        WHERE e.target IS NOT NULL ORDER BY e.order_id, e.seq
        """
    )
    return gaps + _broken_chains(moves)


def _broken_chains(moves: list[dict[str, Any]]) -> list[dict[str, Any]]:
    broken = []
    for before, after in pairwise([*moves, {"order_id": None}]):
        if after["order_id"] != before["order_id"]:
            if before["target"] != before["state"]:
                broken.append({**before, "why": "the last move is not the present state"})
        elif after["source"] != before["target"]:
            broken.append({**after, "why": "does not start where the last move ended"})
        if before["source"] is not None and not order_states.is_legal(before["source"], before["target"]):
            broken.append({**before, "why": "the table knows no such move"})
    return broken


def _bind(at: Any) -> Any:
    """A time as the database in use stores it: raw SQL passes by the column type."""
    return at if db.engine.dialect.name == "postgresql" else at.strftime("%Y-%m-%d %H:%M:%S.%f")


_RULES: tuple[tuple[str, str, Callable[[], list[dict[str, Any]]]], ...] = (
    ("1 money", "what the acquirer captured for our payments is what we have booked", _captured_as_there),
    ("2 stock", "on hand, reserved and sold add up to what came in", _stock_adds_up),
    (
        "2 reservations",
        "stock is held for orders that may be paid, sold for paid ones, free otherwise",
        _reservations_follow_orders,
    ),
    ("3 paid", "a paid order was paid by exactly one capture of exactly its total", _paid_once_and_exactly),
    ("3 credit", "store credit is held and spent as its orders stand, and the ledger says the same", _credit_adds_up),
    ("3 other money", "money that pays nothing goes back whole, or people are looking at it", _other_money_goes_back),
    ("4 one payment", "no order has two open payments", _one_open_payment),
    ("4 time", "no order waits longer than a minute past its time without a reason", _none_past_its_time),
    ("5 kept at", "everything accepted has been applied, told, or is being tried", _nothing_is_left_lying),
    (
        "6 history",
        "every change has its event, in an order that the table allows, numbered without gaps",
        _history_is_whole,
    ),
)
