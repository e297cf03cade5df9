"""4. One open payment, nobody waits past their time; 5. everything accepted is done or being tried."""

from __future__ import annotations

from datetime import timedelta

from shop.core import clock
from shop.payments import states
from shop.reports.invariants.holdings import PAYABLE
from shop.reports.invariants.scope import Rows, Scope

_OPEN = ", ".join(f"'{s}'" for s in sorted(states.STILL_OPEN))
_SLACK = timedelta(seconds=90)
_EXPIRY_SLACK = timedelta(seconds=60)
_ALERT_AFTER = timedelta(minutes=5)


def one_open_payment(scope: Scope) -> Rows:
    return scope.rows(
        f"""
        SELECT order_id, COUNT(*) AS open_payments FROM payments WHERE state IN ({_OPEN})
        GROUP BY order_id HAVING COUNT(*) > 1
        """  # noqa: S608
    )


def none_past_its_time(scope: Scope) -> Rows:
    return scope.rows(
        f"""
        SELECT o.number, o.state, o.pay_by FROM orders o
        WHERE o.state IN ({PAYABLE}) AND o.pay_by < :late AND o.review_since IS NULL
          AND NOT EXISTS (SELECT 1 FROM payments p WHERE p.order_id = o.id AND p.unavailable_since IS NOT NULL
                          AND p.state IN ({_OPEN}))
        """,  # noqa: S608
        late=clock.now() - _EXPIRY_SLACK,
    )


_LATE = (
    """
    SELECT 'inbox' AS what, id, due_at, verdict FROM inbox WHERE due_at < :late AND NOT EXISTS (SELECT 1 FROM alerts a
    WHERE a.rule = 'OPS_DEAD_LETTER' AND a.state <> 'RESOLVED' AND a.subject = 'inbox ' || inbox.id)
    """,
    """
    SELECT 'outbox' AS what, id, kind, error FROM outbox WHERE due_at > '0001-01-01' AND created_at < :late
    AND NOT EXISTS (SELECT 1 FROM alerts a
    WHERE a.rule = 'OPS_DEAD_LETTER' AND a.state <> 'RESOLVED' AND a.subject = 'outbox')
    """,
    "SELECT 'saga' AS what, order_id, due_at FROM sagas WHERE due_at < :late",
    "SELECT 'payment' AS what, id, state, next_check_at FROM payments WHERE next_check_at < :late",
    "SELECT 'refund' AS what, id, state, next_check_at FROM refunds WHERE next_check_at < :late",
    "SELECT 'watch' AS what, order_id, due_at FROM watch_list WHERE due_at < :late",
)
# "After the year 1" is what SQLite needs to hear to go along the index of what is due; "not null" does not do.
_FAILING = """
    SELECT 'inbox' AS what, id, received_at, error FROM inbox WHERE due_at > '0001-01-01' AND error IS NOT NULL
    AND received_at < :late AND NOT EXISTS (SELECT 1 FROM alerts a
    WHERE a.rule = 'OPS_DEAD_LETTER' AND a.subject = 'inbox ' || inbox.id)
    """
"""What is tried in vain for so long has an alert, or had one that people have dealt with."""
_FORGOTTEN = (
    "SELECT 'inbox' AS what, id, received_at FROM inbox WHERE due_at IS NULL AND done_at IS NULL",
    "SELECT 'outbox' AS what, id, kind FROM outbox WHERE due_at IS NULL AND published_at IS NULL",
)
"""Rows that are not done and that nobody will look at. Every row has to be seen for that."""


def nothing_is_left_lying(scope: Scope) -> Rows:
    late = clock.now() - _SLACK
    found = [row for sql in _LATE for row in scope.rows(sql, late=late)]
    found += scope.rows(_FAILING, late=late - _ALERT_AFTER)
    if scope.is_everything:
        found += [row for sql in _FORGOTTEN for row in scope.rows(sql)]
    return found
