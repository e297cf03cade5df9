"""4. One open payment per order, no overdue orders. 5. Accepted work is done or being retried."""

from __future__ import annotations

from datetime import timedelta

from shop.core import clock
from shop.integrity.invariants.holdings import PAYABLE
from shop.integrity.invariants.scope import Rows, Scope
from shop.payments.records import states

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
    SELECT 'inbox' AS what, id, due_at, outcome FROM webhook_events WHERE due_at < :late
    AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.rule = 'OPS_DEAD_LETTER' AND a.state <> 'RESOLVED'
                    AND a.subject = 'inbox ' || webhook_events.id)
    """,
    """
    SELECT 'outbox' AS what, id, kind, error FROM outbox WHERE due_at > '0001-01-01'
    AND (due_at < :late OR (created_at < :late AND error IS NULL)) AND NOT EXISTS (SELECT 1 FROM alerts a
    WHERE a.rule = 'OPS_DEAD_LETTER' AND a.state <> 'RESOLVED' AND a.subject = 'outbox')
    """,
    "SELECT 'saga' AS what, order_id, due_at FROM sagas WHERE due_at < :late",
    "SELECT 'payment' AS what, id, state, next_check_at FROM payments WHERE next_check_at < :late",
    "SELECT 'refund' AS what, id, state, next_check_at FROM refunds WHERE next_check_at < :late",
    "SELECT 'mail' AS what, id, kind, next_attempt_at FROM mails WHERE next_attempt_at < :late",
    "SELECT 'export' AS what, id, due_at FROM order_exports WHERE due_at < :late",
    "SELECT 'import' AS what, id, due_at FROM product_imports WHERE due_at < :late",
    "SELECT 'chat' AS what, id, kind, next_attempt_at FROM chat_messages WHERE next_attempt_at < :late",
    """
    SELECT 'outgoing webhook' AS what, d.id, d.endpoint_id, d.next_attempt_at FROM webhook_deliveries d
    WHERE d.next_attempt_at < :late AND NOT EXISTS (SELECT 1 FROM webhook_endpoints e WHERE e.id = d.endpoint_id
                                                    AND e.attempted_at >= :late)
    """,
    "SELECT 'summary' AS what, rule, due_at FROM notification_windows WHERE due_at < :late",
    "SELECT 'watch' AS what, order_id, due_at FROM watch_list WHERE due_at < :late",
    "SELECT 'settlement file' AS what, provider, day, due_at FROM settlement_files WHERE due_at < :late",
    "SELECT 'integrity check' AS what, id, due_at FROM integrity_checks WHERE due_at < :late",
)
# The comparison with the year 1 makes SQLite use the index of due rows; IS NOT NULL does not.
_FAILING = (
    """
    SELECT 'inbox' AS what, id, received_at, error FROM webhook_events WHERE due_at > '0001-01-01' AND error IS NOT NULL
    AND received_at < :late AND NOT EXISTS (SELECT 1 FROM alerts a
    WHERE a.rule = 'OPS_DEAD_LETTER' AND a.subject = 'inbox ' || webhook_events.id)
    """,
    """
    SELECT 'outbox' AS what, id, kind, error FROM outbox WHERE due_at > '0001-01-01' AND error IS NOT NULL
    AND created_at < :late AND NOT EXISTS (SELECT 1 FROM alerts a
    WHERE a.rule = 'OPS_DEAD_LETTER' AND a.state <> 'RESOLVED' AND a.subject = 'outbox')
    """,
)
"""Failing webhooks without an alert, open or resolved, and failing events without an open one."""
_FORGOTTEN = (
    "SELECT 'inbox' AS what, id, received_at FROM webhook_events WHERE due_at IS NULL AND done_at IS NULL",
    "SELECT 'outbox' AS what, id, kind FROM outbox WHERE due_at IS NULL AND published_at IS NULL",
)
"""Rows that are not done and have no due time. Reads all rows."""


def accepted_work_is_done(scope: Scope) -> Rows:
    late = clock.now() - _SLACK
    found = [row for sql in _LATE for row in scope.rows(sql, late=late)]
    found += [row for sql in _FAILING for row in scope.rows(sql, late=late - _ALERT_AFTER)]
    if scope.is_everything:
        found += [row for sql in _FORGOTTEN for row in scope.rows(sql)]
    return found
