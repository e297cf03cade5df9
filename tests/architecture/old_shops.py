"""Rows of shops of old revisions: orders, payments, captures, refunds, alerts, in the columns of their time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import defer

from shop.alerts.models import Alert
from shop.core.db import db

PRICE = 120000
NOW = datetime.now(UTC)
SOON = NOW + timedelta(days=1)
"""After any run of the tests: what is due earlier breaks an invariant in a slow one."""
WHO = {"email": "ada@example.com", "name": "Ada", "line1": "1 Main St", "line2": "", "city": "Taipei"} | {
    "postcode": "",
    "country": "TW",
    "locale": "en",
}
WAY = {"PENDING": "placed", "WAITING_PAYMENT": "payment_opened", "PAID": "captured", "EXPIRED": "time_over"} | {
    "PARTIALLY_REFUNDED": "refund_done"
}
Row = dict[str, Any]
Rows = list[tuple[str, Row]]


def an_order(
    number: int, *moves: str, payment: str, reservation: str, capture: str = "", more_events: int = 0, **more: Any
) -> Rows:
    """An order that went this way, with one payment; `capture` is what its capture is to it, if it has one. `more` are
    columns of the capture, and `more_events` the events that the caller adds.
    """
    paid = {"paid_at": NOW, "paid_by": f"P{number}"} if "PAID" in moves else {}
    over = {} if payment == "OPEN" else {"ended_at": NOW}
    ended = {"ended_at": NOW} if "EXPIRED" in moves else {}
    ended |= {"review_since": NOW} if capture == "mismatch" else {}
    names = {"number": f"TEST-000{number}-ZV", "token": f"token-{number}", "checkout_key": f"key-{number}"}
    times = {"placed_at": NOW, "pay_by": SOON, "event_seq": len(moves) + more_events}
    money = {"currency": "TWD", "total_amount": PRICE}
    line = {"name": "Kettle", "slug": "kettle", "image": "mark.svg", "unit_amount": PRICE, "currency": "TWD"}
    rows = [
        ("orders", {"id": number, "state": moves[-1], **names, **times, **money, **WHO, **paid, **ended}),
        ("order_lines", {"order_id": number, "sku": "KETTLE", "position": 0, "quantity": 1, **line}),
        ("reservations", {"order_id": number, "sku": "KETTLE", "quantity": 1, "state": reservation}),
        ("sagas", {"order_id": number, "provider": "kpay", "state": "DONE", "tries": 0}),
    ]
    for seq, (source, target) in enumerate(zip((None, *moves), moves, strict=False), start=1):
        what = {"kind": "order.moved" if source else "order.placed", "source": source, "target": target, "data": {}}
        because = {"because": WAY[target] if source else None, "actor": "webhook", "at": NOW}
        rows.append(("order_events", {"order_id": number, "seq": seq, **what, **because}))
    requested = {"next_check_at": SOON} if payment == "OPEN" else {}
    values = {"provider_data": {"id": f"pay_{number}"}, "checks": 0, "confirm_misses": 0, "created_at": NOW}
    amount = {"amount": PRICE, "currency": "TWD"}
    attempt = {"id": f"P{number}", "order_id": number, "provider": "kpay", "state": payment, "opened_at": NOW}
    rows.append(("payments", {**attempt, **amount, **values, **requested, **over}))
    if capture:
        taken = {"captured_at": NOW, "heard_at": NOW, "heard_from": "webhook", "standing": capture}
        names = {"provider": "kpay", "capture_id": f"cap_{number}", "payment_id": f"P{number}"}
        rows.append(("captures", {"id": number, **names, **amount, **taken, **more}))
    return rows


GOODS: Rows = [
    ("categories", {"slug": "test", "name": "Test goods", "position": 0}),
    ("stock", {"sku": "KETTLE", "on_hand": 8, "reserved": 1}),
    ("stock_movements", {"id": 1, "sku": "KETTLE", "quantity": 10, "kind": "receipt", "at": NOW}),
]
ORDERS: Rows = [
    *an_order(1, "PENDING", "WAITING_PAYMENT", "PAID", payment="CAPTURED", reservation="SOLD", capture="paid"),
    *an_order(2, "PENDING", "WAITING_PAYMENT", payment="OPEN", reservation="HELD"),
    *an_order(3, "PENDING", "WAITING_PAYMENT", "EXPIRED", payment="EXPIRED", reservation="RELEASED"),
]
BEFORE_THE_LEDGER: Rows = [
    *GOODS,
    *ORDERS,
    *an_order(4, "PENDING", "WAITING_PAYMENT", "PAID", payment="CAPTURED", reservation="SOLD", capture="paid"),
    *an_order(5, "PENDING", "WAITING_PAYMENT", "EXPIRED", payment="CAPTURED", reservation="RELEASED", capture="late"),
]
"""Late money was a column of its payment and could not be refunded."""


def journal(key: str, kind: str, debit: str, credit: str, amount: int) -> Rows:
    side = {"journal_key": key, "currency": "TWD"}
    return [
        ("journals", {"key": key, "kind": kind, "order_id": int(key[-1]), "at": NOW}),
        ("ledger_entries", side | {"line": 0, "account": debit, "amount": amount}),
        ("ledger_entries", side | {"line": 1, "account": credit, "amount": -amount}),
    ]


REFUND = {"id": "R4", "capture_id": 4, "payment_id": "P4", "order_id": 4, "amount": 20000, "currency": "TWD"} | {
    "kind": "customer", "reason": "broken", "state": "DONE", "asked_by": "ada", "needs_two": False, "created_at": NOW,
    "ended_at": NOW, "checks": 0,
}  # fmt: skip
WAY_TO_PARTIAL_REFUND = ("PENDING", "WAITING_PAYMENT", "PAID", "PARTIALLY_REFUNDED")
WITH_LEDGER_AND_REFUNDS: Rows = [
    *GOODS,
    *ORDERS,
    *an_order(4, *WAY_TO_PARTIAL_REFUND, payment="CAPTURED", reservation="SOLD", capture="paid", refunded_amount=20000),
    *journal("capture:kpay:cap_1", "capture", "receivable:kpay", "sales", PRICE),
    *journal("capture:kpay:cap_4", "capture", "receivable:kpay", "sales", PRICE),
    *journal("refund:R4", "refund", "refunds", "receivable:kpay", 20000),
    ("refunds", REFUND),
]
RECEIVED: Row = {"heard_at": NOW, "heard_from": "webhook"}
MONEY: Row = {"amount": PRICE, "currency": "TWD"}


def captured_too(number: int, standing: str) -> Rows:
    """A second capture of order `number`, refunded automatically, with its event."""
    names = {"id": 10 + number, "provider": "kpay", "capture_id": f"cap_1{number}", "payment_id": f"P{number}"}
    data = {"payment": f"P{number}", **MONEY, "standing": standing}
    event = {"order_id": number, "seq": 4, "kind": "payment.captured", "actor": "webhook", "at": NOW, "data": data}
    more = {"captured_at": NOW, "standing": standing, "refunded_amount": PRICE}
    return [("captures", {**names, **MONEY, **RECEIVED, **more}), ("order_events", event)]


def refunded(number: int, capture: int, kind: str, amount: int, **more: Any) -> Rows:
    requested = {"kind": kind, "asked_by": "automatic", "destination": "provider", "amount": amount}
    row = REFUND | {"id": f"R{capture}", "capture_id": capture, "payment_id": f"P{number}", "order_id": number}
    return [("refunds", row | requested | more)]


EVENT = {"provider": "kpay", "body_hash": "x", "body": b"{}", "headers": {"a": "b"}, "trust": "signed"} | {
    "received_at": NOW, "repeats": 0, "tries": 1, "due_at": None, "done_at": NOW,
}  # fmt: skip
UPDATE = {"verdict": "applied", "state": "CAPTURED", "facts": {}, "occurred_at": NOW, **RECEIVED}
DISPUTE = {"provider": "kpay", "dispute_id": "D1", "kind": "inquiry", "reason": "", "state": "WON", **MONEY, **RECEIVED}
WAITS = {"subject": "x", "created_at": SOON, "tries": 0, "stream": "payments.events.v1", "due_at": SOON}
LINE = {"provider": "kpay", "line_id": "line-1", "day": NOW.date(), "kind": "capture", "fact": "capture:kpay:cap_1"}
REPORTED = {"schema_version": 1, "standing": "second", **MONEY}
WHY = {"refund": "R14", **MONEY, "why": "second"}
WITH_OTHER_MONEY: Rows = [
    GOODS[0],
    ("stock", {"sku": "KETTLE", "on_hand": 7, "reserved": 2}),
    GOODS[2],
    *ORDERS,
    *an_order(4, "PENDING", "WAITING_PAYMENT", "PAID", payment="CAPTURED", reservation="SOLD", capture="paid",
              more_events=2),
    *captured_too(4, "second"),
    *refunded(4, 14, "second", PRICE),
    *an_order(5, "PENDING", "WAITING_PAYMENT", "EXPIRED", payment="CAPTURED", reservation="RELEASED", capture="late",
              refunded_amount=PRICE),
    *refunded(5, 5, "late", PRICE),
    *an_order(6, "PENDING", "WAITING_PAYMENT", payment="CAPTURED", reservation="HELD", capture="mismatch", amount=1),
    *an_order(7, *WAY_TO_PARTIAL_REFUND, payment="CAPTURED", reservation="SOLD", capture="paid", refunded_amount=20000),
    *refunded(7, 7, "customer", 20000, destination="bank", approved_by="staff/kim", needs_two=True,
              **{"asked_by": "staff/ada"}),
    *(("watch_list", {"order_id": number, "due_at": NOW}) for number in (4, 5, 6)),
    *journal("capture:kpay:cap_1", "capture", "receivable:kpay", "sales", PRICE),
    *journal("capture:kpay:cap_4", "capture", "receivable:kpay", "sales", PRICE),
    *journal("capture:kpay:cap_14", "capture", "receivable:kpay", "aside", PRICE),
    *journal("refund:R14", "refund", "aside", "receivable:kpay", PRICE),
    *journal("capture:kpay:cap_5", "capture", "receivable:kpay", "aside", PRICE),
    *journal("refund:R5", "refund", "aside", "receivable:kpay", PRICE),
    *journal("capture:kpay:cap_6", "capture", "receivable:kpay", "aside", 1),
    *journal("capture:kpay:cap_7", "capture", "receivable:kpay", "sales", PRICE),
    *journal("refund:R7", "refund", "refunds", "by_hand", 20000),
    *journal("settled:kpay:line-1", "settled", "settled", "receivable:kpay", PRICE),
    ("settled_lines", {**LINE, **MONEY, "fee": 0, "at": NOW, "booked_at": NOW, "version": 0}),
    *journal("payout:X1", "payout", "paid_out", "settled", 1000),
    ("funds", {"currency": "TWD", "settled": PRICE - 1000, "promised": 0}),
    ("payouts", {"id": "X1", "currency": "TWD", "amount": 1000, "state": "APPROVED", "asked_at": NOW, "note": ""}
     | {"asked_by": "staff/ada", "decided_by": "staff/kim", "decided_at": NOW}),
    ("inbox", {"id": 1, "dedupe_key": "evt-1", "verdict": "applied", **EVENT}),
    ("inbox", {"id": 2, "dedupe_key": "evt-2", "verdict": "hint", **EVENT}),
    ("reports", {"id": 1, "payment_id": "P1", "inbox_id": 1, **UPDATE}),
    ("reports", {"id": 2, "payment_id": "P2", "inbox_id": None, **UPDATE, "state": "OPEN", "heard_from": "poll"}),
    ("refused_notices", {"id": 1, "provider": "kpay", "verdict": "bad_signature", "reason": "forged"}
     | {"headers": {}, "body": b"{}", "received_at": NOW}),
    ("disputes", {"id": 1, "capture_id": 1, "order_id": 1, **DISPUTE, "opened_at": NOW, "closed_at": NOW}),
    ("order_events", {"order_id": 4, "seq": 5, "kind": "refund.done", "actor": "poll", "at": NOW, "data": WHY}),
    ("outbox", {"id": 101, "kind": "payment.captured", "payload": REPORTED, **WAITS}),
    ("outbox", {"id": 102, "kind": "refund.done", "payload": {"schema_version": 1, **WHY}, **WAITS}),
    ("outbox", {"id": 103, "kind": "payment.captured", "payload": REPORTED, **WAITS, "due_at": None}
     | {"published_at": NOW}),
]  # fmt: skip
"""Every table, column and value that revision 0018 renames."""
TIMES = {"from": NOW.isoformat(), "to": NOW.isoformat()}
FLOOD: Row = {"observed": {**TIMES, "notices": 3}, "expected": {"notices": 0}}
ALERT: Row = {"severity": "P1", "subject": "kpay", "source": "webhook", "detected_at": NOW, "state": "NEW"}
ONE: Row = {"observed": {"receivedAt": NOW.isoformat()}, "expected": {"payment": "one of ours"}}
WITH_ALERTS: Rows = [
    *GOODS,
    *an_order(1, "PENDING", "WAITING_PAYMENT", payment="OPEN", reservation="HELD"),
    ("journals", {"key": "capture:kpay:cap_1", "kind": "capture", "order_id": 1, "at": NOW}),
    ("settled_lines", {**LINE, **MONEY, "fee": 0, "at": NOW, "booked_at": NOW, "version": 0}),
    ("payouts", {"id": "X1", "currency": "TWD", "amount": 1, "state": "REQUESTED", "note": ""}
     | {"asked_by": "staff/ada", "asked_at": NOW}),
    ("beats", {"name": "clock", "at": NOW}),
    ("lookouts", {"condition": "malformed", "due_at": NOW}),
    ("carts", {"id": "C1", "currency": "TWD", "checkout_key": "key", "changed_at": NOW, "last_press": "form-1"}),
    ("alerts", {"id": 1, "rule": "OPS_ORPHAN", "cause": "notice 17", **ALERT, **ONE}),
    ("alerts", {"id": 2, "rule": "OPS_KEY_REUSED", "cause": "notice 17", **ALERT, **ONE}),
    ("alerts", {"id": 3, "rule": "OPS_FOREIGN", "cause": "episode 1", **ALERT, **FLOOD}),
    ("alerts", {"id": 4, "rule": "RULE_A", "cause": "payment P1", **ALERT, **ONE}),
    ("outbox", {"id": 1, "kind": "alert.raised", "payload": {"schema_version": 1, **FLOOD}, **WAITS}),
    ("outbox", {"id": 2, "kind": "alert.raised", "payload": FLOOD, **WAITS, "due_at": None, "published_at": NOW}),
]  # fmt: skip
"""Every table, column and value that revision 0022 renames."""
LIVES = {"0001": BEFORE_THE_LEDGER, "0002": WITH_LEDGER_AND_REFUNDS, "0017": WITH_OTHER_MONEY}


def live(engine: sa.Engine, rows: Rows) -> None:
    """Insert the old version's rows into its tables."""
    tables = sa.MetaData()
    tables.reflect(engine)
    with engine.begin() as connection:
        for name, row in rows:
            connection.execute(tables.tables[name].insert(), row)


def alert_of_then(number: int) -> Alert:
    """An alert, without the columns of later migrations."""
    query = (
        db.select(Alert)
        .where(Alert.id == number)
        .options(defer(Alert.waits_since), defer(Alert.notified_raised_at), defer(Alert.notified_waits_at))
    )
    return db.session.scalars(query).one()


def everything(engine: sa.Engine) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables."""
    tables = sa.MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        return {
            table.name: [dict(row._mapping) for row in connection.execute(table.select().order_by(*table.primary_key))]
            for table in tables.sorted_tables
        }
