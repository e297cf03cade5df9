"""After the storm: is everything at rest, and is everything true that buyers were promised and acquirers have."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.chaos.town import Town

PAYABLE = "('PENDING', 'WAITING_PAYMENT', 'FAILED')"
OPEN = "('CREATED', 'OPEN', 'UNKNOWN', 'AUTHORIZED')"
UNREST = {
    # what is not at rest yet, as a count
    "orders": f"SELECT count(*) FROM orders WHERE state IN {PAYABLE} AND review_since IS NULL",
    "payments": f"SELECT count(*) FROM payments WHERE state IN {OPEN} OR next_check_at <= :now",
    "refunds": "SELECT count(*) FROM refunds WHERE state IN ('REQUESTED', 'UNKNOWN')",
    "inbox": "SELECT count(*) FROM inbox WHERE due_at IS NOT NULL",
    "outbox": "SELECT count(*) FROM outbox WHERE published_at IS NULL",
    "reviews": """SELECT count(*) FROM orders o WHERE review_since IS NOT NULL
                  AND NOT EXISTS (SELECT 1 FROM disputes d WHERE d.order_id = o.id)""",
    "sagas": "SELECT count(*) FROM sagas WHERE due_at IS NOT NULL",
}
WITH_TIME_LEFT = f"""
SELECT count(*) FROM orders o WHERE o.state IN {PAYABLE} AND o.pay_by > :now AND o.cancel_requested_at IS NULL
"""
Row = dict[str, Any]


def shop_time(town: Town) -> Any:
    """The shop's now, as its database compares it."""
    found = town.rows("SELECT seconds FROM clock_offset")
    now = datetime.now(UTC) + timedelta(seconds=found[0]["seconds"] if found else 0.0)
    return now if town.database else now.strftime("%Y-%m-%d %H:%M:%S.%f")


def unrest(town: Town) -> dict[str, int]:
    """What is not at rest; empty when all is."""
    now = shop_time(town)
    found = {}
    for name, sql in UNREST.items():
        values = {"now": now} if ":now" in sql else {}
        found[name] = int(next(iter(town.rows(sql, **values)[0].values())))
    found["refunds"] += len(pending_here_alone(town))
    return {name: count for name, count in found.items() if count}


def pending_here_alone(town: Town) -> set[str]:
    """Refunds for which we wait although the acquirer does not. tpay keeps some until the evening."""
    here = {row["id"] for row in town.rows("SELECT id FROM refunds WHERE state = 'PENDING'")}
    if not here:
        return here
    return here - {
        row["reference"] for row in town.at_the_acquirer("SELECT reference FROM refunds WHERE state = 'pending'")
    }


def unrest_without_cause(town: Town) -> int:
    """Orders that wait although money was taken for them, and work that is left; those that nobody has paid may wait
    until their time is over, and so may refunds that were sent: they are asked about more and more seldom.
    """
    left = unrest(town)
    to_send = town.rows("SELECT count(*) AS refunds FROM refunds WHERE state = 'REQUESTED'")[0]["refunds"]
    work = int(to_send) + left.get("inbox", 0) + left.get("reviews", 0)
    waiting = town.rows(f"SELECT p.id FROM payments p JOIN orders o ON o.id = p.order_id WHERE o.state IN {PAYABLE}")
    if work or not waiting:
        return work
    paid_there = {one["reference"] for one in town.there()["payments"] if one["captured"] > one["refunded"]}
    return sum(row["id"] in paid_there for row in waiting)


# --- what must be true ------------------------------------------------------------------------------------------------


def broken_invariants(town: Town) -> list[Row]:
    """`flask check`, as anybody runs it."""
    done = town.flask("check", "--json")
    try:
        findings = json.loads(done.stdout)
    except ValueError:
        return [{"check": "could not be run", "said": (done.stdout + done.stderr)[-2000:]}]
    return [{"check": one["name"], **row} for one in findings for row in one["rows"]]


def broken_promises(town: Town) -> list[Row]:
    """What was promised to buyers and staff and is not so."""
    orders = {
        row["token"]: row
        for row in town.rows(
            """
            SELECT o.token, o.number, o.state, o.checkout_key, o.review_since, o.paid_by,
                   COALESCE(c.amount, 0) AS taken
            FROM orders o LEFT JOIN (SELECT p.order_id, SUM(c.amount) AS amount FROM captures c
                                     JOIN payments p ON p.id = c.payment_id GROUP BY p.order_id) c ON c.order_id = o.id
            """
        )
    }
    paid_by = {row["id"]: row["payment_id"] for row in town.rows("SELECT id, payment_id FROM captures")}
    refunds = {row["id"]: row for row in town.rows("SELECT id, state, amount, currency FROM refunds")}
    waited_for = {name for name, row in refunds.items() if row["state"] == "PENDING"} - pending_here_alone(town)
    by_key: dict[str, set[str]] = defaultdict(set)
    broken: list[Row] = []
    for promise in town.promises():
        order = orders.get(promise.get("token", ""))
        if promise["kind"] in ("refund", "one of two"):
            why = _why_not_refunded(promise, refunds, waited_for)
        elif promise["kind"] == "accepted":
            taken = order is not None and order["paid_by"] == paid_by.get(promise["capture"], "")
            why = "" if taken else "money was accepted, and does not pay the order"
        else:
            why = _why_broken(promise, order)
        if why:
            broken.append({"promise": why, **promise})
        if promise["kind"] == "order":
            by_key[promise["key"]].add(promise["token"])
    broken += [{"promise": "one key, two orders", "tokens": sorted(t)} for t in by_key.values() if len(t) > 1]
    return broken


def _why_broken(promise: Row, order: Row | None) -> str:
    if promise["kind"] == "broken":
        return "a buyer or somebody of the staff could not go on"
    if order is None:
        return "there is no such order"
    if order["state"] in ("PENDING", "WAITING_PAYMENT", "FAILED") and order["review_since"] is None:
        return f"the order has no end: {order['state']}"
    if promise["kind"] == "money" and not order["taken"]:
        return "the acquirer took money, the shop does not know"
    return ""


def _why_not_refunded(promise: Row, refunds: dict[str, Row], waited_for: set[str]) -> str:
    if promise["kind"] == "one of two":
        both = [refunds.get(name, {}).get("state") for name in promise["refunds"]]
        return "two of 60 % at once, and both were taken" if "REJECTED" not in both else ""
    refund = refunds.get(promise["refund"])
    if refund is None:
        return "there is no such refund"
    if refund["state"] not in ("DONE", "REJECTED") and promise["refund"] not in waited_for:
        return f"the refund has no end: {refund['state']}"
    same = (refund["amount"], refund["currency"]) == (promise["amount"], promise["currency"])
    return "" if same else "another amount was refunded"


def different_books(town: Town) -> list[Row]:
    """Payment by payment, what the acquirer has and what the shop has; asked of both databases, not of the shop."""
    ours = {
        row["id"]: (int(row["captured"]), int(row["refunded"]))
        for row in town.rows(
            """
            SELECT p.id, COALESCE(c.amount, 0) AS captured, COALESCE(r.amount, 0) AS refunded FROM payments p
            LEFT JOIN (SELECT payment_id, SUM(amount) AS amount FROM captures GROUP BY payment_id) c
                   ON c.payment_id = p.id
            LEFT JOIN (SELECT payment_id, SUM(amount) AS amount FROM refunds
                       WHERE state = 'DONE' AND destination = 'provider' GROUP BY payment_id) r ON r.payment_id = p.id
            """
        )
    }
    theirs = {p["reference"]: (p["captured"], p["refunded"]) for p in town.there()["payments"]}
    return [
        {"payment": name, "there": theirs.get(name, (0, 0)), "here": ours.get(name, "unknown")}
        for name in sorted(set(ours) | set(theirs))
        if theirs.get(name, (0, 0)) != ours.get(name, (0, 0))
    ]


def wrong_money(town: Town) -> list[Row]:
    """Captures of another amount or currency than the order's that pay it, although nobody has accepted them."""
    return town.rows(
        """
        SELECT o.number, c.capture_id, c.amount, c.currency, o.total_amount FROM captures c
        JOIN payments p ON p.id = c.payment_id JOIN orders o ON o.id = p.order_id
        WHERE c.standing = 'paid' AND (c.currency <> o.currency OR (c.amount <> o.total_amount - o.credit_amount
              AND NOT EXISTS (SELECT 1 FROM journals j WHERE j.key = 'accepted:' || c.provider || ':' || c.capture_id)))
        """
    )


def disputes_apart(town: Town) -> list[Row]:
    """Disputes of which an acquirer has told, and the shop does not know, or knows otherwise.

    tpay and paypay tell of none; there a chargeback stands in the settlement file, which is not fetched here. How an
    inquiry ended is not compared: it moves no money, and stripe only says that it is closed.
    """

    def facts(row: Row) -> tuple[str, str, int]:
        state = row["state"].lower()
        ended = row["kind"] == "inquiry" and state != "open"
        return row["kind"], "ended" if ended else state, row["amount"]

    here = {row["dispute_id"]: facts(row) for row in town.rows("SELECT dispute_id, kind, state, amount FROM disputes")}
    told = town.at_the_acquirer(
        """
        SELECT d.id, d.kind, d.state, d.amount FROM disputes d JOIN payments p ON p.id = d.payment_id
        WHERE d.state <> 'scheduled' AND p.dialect IN ('kpay', 'stripe')
        """
    )
    return [
        {"dispute": row["id"], "there": facts(row), "here": here.get(row["id"])}
        for row in told
        if here.get(row["id"]) != facts(row)
    ]


def restless(town: Town) -> list[Row]:
    """What has not come to rest although everything was well for long enough."""
    return [{"restless": name, "count": count} for name, count in unrest(town).items()]


CHECKS: tuple[tuple[str, Callable[[Town], list[Row]]], ...] = (
    ("invariants of `flask check`", broken_invariants),
    ("promises to buyers and staff", broken_promises),
    ("the acquirer's books and ours", different_books),
    ("wrong money pays nothing", wrong_money),
    ("disputes there and here", disputes_apart),
    ("everything has an end", restless),
)


def violations(town: Town) -> dict[str, list[Row]]:
    """All checks, and the rows that break them."""
    return {says: check(town) for says, check in CHECKS}


def outcome(town: Town) -> Counter[str]:
    """How many orders ended in which state."""
    rows = town.rows("SELECT state, count(*) AS orders FROM orders GROUP BY state")
    found = Counter({row["state"].lower().replace("_", " "): int(row["orders"]) for row in rows})
    found.update({"disputes": town.rows("SELECT count(*) AS disputes FROM disputes")[0]["disputes"]})
    back = town.rows(
        """
        SELECT kind, destination, count(*) AS refunds FROM refunds WHERE state = 'DONE' GROUP BY kind, destination
        """
    )
    for row in back:
        found[f"refunds: {row['kind']}, to {row['destination'].replace('_', ' ')}"] = int(row["refunds"])
    return found


def webhooks(town: Town) -> list[tuple[str, int]]:
    """What the shop itself has counted of them."""
    return [
        ("that the shop has heard", town.counted("settled_webhooks")),
        ("of them in one unit with others", town.counted("settled_webhooks_at_once")),
    ]
