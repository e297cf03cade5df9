"""Checks after recovery: final states, acknowledged results, and equality of the shop's and the acquirer's books."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.chaos import mail_checks
from bench.chaos.environment import Environment

PAYABLE = "('PENDING', 'WAITING_PAYMENT', 'FAILED')"
OPEN = "('CREATED', 'OPEN', 'UNKNOWN', 'AUTHORIZED')"
UNFINISHED = {
    # counts of rows that are not in a final state
    "orders": f"SELECT count(*) FROM orders WHERE state IN {PAYABLE} AND review_since IS NULL",
    "payments": f"SELECT count(*) FROM payments WHERE state IN {OPEN} OR next_check_at <= :now",
    "refunds": "SELECT count(*) FROM refunds WHERE state IN ('REQUESTED', 'UNKNOWN')",
    "inbox": "SELECT count(*) FROM webhook_events WHERE due_at IS NOT NULL",
    "outbox": "SELECT count(*) FROM outbox WHERE published_at IS NULL",
    "reviews": """SELECT count(*) FROM orders o WHERE review_since IS NOT NULL
                  AND NOT EXISTS (SELECT 1 FROM disputes d WHERE d.order_id = o.id)""",
    "sagas": "SELECT count(*) FROM sagas WHERE due_at IS NOT NULL",
    "mails": "SELECT count(*) FROM mails WHERE next_attempt_at <= :soon",
}
SOON = timedelta(seconds=130)
"""Longer than a mail is claimed for. Mails whose next attempt is later wait for the next advance of the clock."""
WITH_TIME_LEFT = f"""
SELECT count(*) FROM orders o WHERE o.state IN {PAYABLE} AND o.pay_by > :now AND o.cancel_requested_at IS NULL
"""
Row = dict[str, Any]


def shop_time(env: Environment, after: timedelta = timedelta(0)) -> Any:
    """The shop's time, now or `after` a while, in the form in which its database compares it."""
    found = env.rows("SELECT seconds FROM clock_offset")
    now = datetime.now(UTC) + timedelta(seconds=found[0]["seconds"] if found else 0.0) + after
    return now if env.database else now.strftime("%Y-%m-%d %H:%M:%S.%f")


def unfinished(env: Environment) -> dict[str, int]:
    """Counts of rows that are not in a final state, without zeros."""
    times = {"now": shop_time(env), "soon": shop_time(env, SOON)}
    found = {}
    for name, sql in UNFINISHED.items():
        values = {name: at for name, at in times.items() if f":{name}" in sql}
        found[name] = int(next(iter(env.rows(sql, **values)[0].values())))
    found["refunds"] += len(pending_only_here(env))
    return {name: count for name, count in found.items() if count}


def pending_only_here(env: Environment) -> set[str]:
    """Refunds that are pending in the shop but not at the acquirer. tpay keeps some pending until the evening."""
    here = {row["id"] for row in env.rows("SELECT id FROM refunds WHERE state = 'PENDING'")}
    if not here:
        return here
    return here - {
        row["reference"] for row in env.acquirer_rows("SELECT reference FROM refunds WHERE state = 'pending'")
    }


def paid_but_unfinished(env: Environment) -> int:
    """Orders that wait although they were paid, and open work. Unpaid orders may wait until they expire, and pending
    refunds are polled less and less often, so neither counts.
    """
    left = unfinished(env)
    to_send = env.rows("SELECT count(*) AS refunds FROM refunds WHERE state = 'REQUESTED'")[0]["refunds"]
    work = int(to_send) + left.get("inbox", 0) + left.get("reviews", 0)
    waiting = env.rows(f"SELECT p.id FROM payments p JOIN orders o ON o.id = p.order_id WHERE o.state IN {PAYABLE}")
    if work or not waiting:
        return work
    paid_there = {one["reference"] for one in env.there()["payments"] if one["captured"] > one["refunded"]}
    return sum(row["id"] in paid_there for row in waiting)


# --- what must be true ------------------------------------------------------------------------------------------------


def broken_invariants(env: Environment) -> list[Row]:
    """Violations found by `flask check`."""
    done = env.flask("check", "--json")
    try:
        findings = json.loads(done.stdout)
    except ValueError:
        return [{"check": "could not be run", "said": (done.stdout + done.stderr)[-2000:]}]
    return [{"check": one["name"], **row} for one in findings for row in one["rows"]]


def broken_promises(env: Environment) -> list[Row]:
    """Results acknowledged to customers and staff that do not hold."""
    orders = {
        row["token"]: row
        for row in env.rows(
            """
            SELECT o.token, o.number, o.state, o.checkout_key, o.review_since, o.paid_by,
                   COALESCE(c.amount, 0) AS taken
            FROM orders o LEFT JOIN (SELECT p.order_id, SUM(c.amount) AS amount FROM captures c
                                     JOIN payments p ON p.id = c.payment_id GROUP BY p.order_id) c ON c.order_id = o.id
            """
        )
    }
    paid_by = {row["id"]: row["payment_id"] for row in env.rows("SELECT id, payment_id FROM captures")}
    refunds = {row["id"]: row for row in env.rows("SELECT id, state, amount, currency FROM refunds")}
    waited_for = {name for name, row in refunds.items() if row["state"] == "PENDING"} - pending_only_here(env)
    by_key: dict[str, set[str]] = defaultdict(set)
    broken: list[Row] = []
    for promise in env.promises():
        order = orders.get(promise.get("token", ""))
        if promise["kind"] in ("refund", "one of two"):
            why = _why_not_refunded(promise, refunds, waited_for)
        elif promise["kind"] == "accepted":
            captured = order is not None and order["paid_by"] == paid_by.get(promise["capture"], "")
            why = "" if captured else "money was accepted, and does not pay the order"
        else:
            why = _why_broken(promise, order)
        if why:
            broken.append({"promise": why, **promise})
        if promise["kind"] == "order":
            by_key[promise["key"]].add(promise["token"])
    broken += [{"promise": "one checkout key, two orders", "tokens": sorted(t)} for t in by_key.values() if len(t) > 1]
    return broken


def _why_broken(promise: Row, order: Row | None) -> str:
    if promise["kind"] == "broken":
        return "unexpected error of a customer or of staff"
    if order is None:
        return "there is no such order"
    if order["state"] in ("PENDING", "WAITING_PAYMENT", "FAILED") and order["review_since"] is None:
        return f"the order is not final: {order['state']}"
    if promise["kind"] == "money" and not order["taken"]:
        return "the acquirer captured money that the shop lacks"
    return ""


def _why_not_refunded(promise: Row, refunds: dict[str, Row], waited_for: set[str]) -> str:
    if promise["kind"] == "one of two":
        both = [refunds.get(name, {}).get("state") for name in promise["refunds"]]
        return "two concurrent refunds of 60 % were both accepted" if "REJECTED" not in both else ""
    refund = refunds.get(promise["refund"])
    if refund is None:
        return "there is no such refund"
    if refund["state"] not in ("DONE", "REJECTED") and promise["refund"] not in waited_for:
        return f"the refund is not final: {refund['state']}"
    same = (refund["amount"], refund["currency"]) == (promise["amount"], promise["currency"])
    return "" if same else "another amount was refunded"


def balance_differences(env: Environment) -> list[Row]:
    """Payments whose captured and refunded amounts differ; both databases are read directly."""
    ours = {
        row["id"]: (int(row["captured"]), int(row["refunded"]))
        for row in env.rows(
            """
            SELECT p.id, COALESCE(c.amount, 0) AS captured, COALESCE(r.amount, 0) AS refunded FROM payments p
            LEFT JOIN (SELECT payment_id, SUM(amount) AS amount FROM captures GROUP BY payment_id) c
                   ON c.payment_id = p.id
            LEFT JOIN (SELECT payment_id, SUM(amount) AS amount FROM refunds
                       WHERE state = 'DONE' AND destination = 'provider' GROUP BY payment_id) r ON r.payment_id = p.id
            """
        )
    }
    theirs = {p["reference"]: (p["captured"], p["refunded"]) for p in env.there()["payments"]}
    return [
        {"payment": name, "acquirer": theirs.get(name, (0, 0)), "shop": ours.get(name, "unknown")}
        for name in sorted(set(ours) | set(theirs))
        if theirs.get(name, (0, 0)) != ours.get(name, (0, 0))
    ]


def wrong_amounts(env: Environment) -> list[Row]:
    """Captures with a wrong amount or currency that pay an order without having been accepted by staff."""
    return env.rows(
        """
        SELECT o.number, c.capture_id, c.amount, c.currency, o.total_amount FROM captures c
        JOIN payments p ON p.id = c.payment_id JOIN orders o ON o.id = p.order_id
        WHERE c.allocation = 'pays_order' AND (c.currency <> o.currency OR (c.amount <> o.total_amount - o.credit_amount
              AND NOT EXISTS (SELECT 1 FROM journals j WHERE j.key = 'accepted:' || c.provider || ':' || c.capture_id)))
        """
    )


def dispute_differences(env: Environment) -> list[Row]:
    """Disputes sent by an acquirer that the shop lacks, or has in another state.

    tpay and paypay send no webhooks about disputes; their settlement files, which contain chargebacks, are not fetched
    here. The
    outcome of an inquiry is not compared: it moves no money, and stripe only says that it is closed.
    """

    def facts(row: Row) -> tuple[str, str, int]:
        state = row["state"].lower()
        ended = row["kind"] == "inquiry" and state != "open"
        return row["kind"], "ended" if ended else state, row["amount"]

    here = {row["dispute_id"]: facts(row) for row in env.rows("SELECT dispute_id, kind, state, amount FROM disputes")}
    rows = env.acquirer_rows(
        """
        SELECT d.id, d.kind, d.state, d.amount FROM disputes d JOIN payments p ON p.id = d.payment_id
        WHERE d.state <> 'scheduled' AND p.dialect IN ('kpay', 'stripe')
        """
    )
    return [
        {"dispute": row["id"], "acquirer": facts(row), "shop": here.get(row["id"])}
        for row in rows
        if here.get(row["id"]) != facts(row)
    ]


MAILS = "SELECT id, kind, subject, event, recipient, message_id, state, attempts, error FROM mails ORDER BY id"


def broken_mails(env: Environment) -> list[Row]:
    """Mails that are lost, mixed up, not final, or received twice without a reason."""
    server = env.mail_server
    return mail_checks.violations(env.rows(MAILS), server.receipts, env.periods, server.refuses_for_ever)


def mail_figures(env: Environment) -> list[tuple[str, int]]:
    """Mails by state, deliveries, and the failures that the mail server has caused."""
    server = env.mail_server
    caused = [(f"mail server {what}", count) for what, count in sorted(server.replies.items())]
    return [*mail_checks.figures(env.rows(MAILS), server.receipts, env.periods), *caused]


def unfinished_rows(env: Environment) -> list[Row]:
    """Rows that reached no final state in time."""
    return [{"unfinished_rows": name, "count": count} for name, count in unfinished(env).items()]


CHECKS: tuple[tuple[str, Callable[[Environment], list[Row]]], ...] = (
    ("invariants of `flask check`", broken_invariants),
    ("results acknowledged to customers and staff", broken_promises),
    ("the acquirer's ledger and ours", balance_differences),
    ("wrong amounts pay nothing", wrong_amounts),
    ("disputes of acquirer and shop", dispute_differences),
    ("mails of the shop and of the mail server", broken_mails),
    ("every state is final", unfinished_rows),
)


def violations(env: Environment) -> dict[str, list[Row]]:
    """Rows that violate each check."""
    return {name: check(env) for name, check in CHECKS}


def order_states(env: Environment) -> Counter[str]:
    """Number of orders, disputes and refunds by their final state."""
    rows = env.rows("SELECT state, count(*) AS orders FROM orders GROUP BY state")
    found = Counter({row["state"].lower().replace("_", " "): int(row["orders"]) for row in rows})
    found.update({"disputes": env.rows("SELECT count(*) AS disputes FROM disputes")[0]["disputes"]})
    back = env.rows(
        """
        SELECT kind, destination, count(*) AS refunds FROM refunds WHERE state = 'DONE' GROUP BY kind, destination
        """
    )
    for row in back:
        found[f"refunds: {row['kind']}, to {row['destination'].replace('_', ' ')}"] = int(row["refunds"])
    return found


def webhooks(env: Environment) -> list[tuple[str, int]]:
    """Webhooks metric by the shop."""
    return [
        ("received by the shop", env.metric("settled_webhooks")),
    ]
