"""Migration of a filled database: no rows are lost, and the balances stay equal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy.orm import defer

from shop import create_app
from shop.accounts import staff
from shop.alerts import watcher
from shop.alerts.models import Alert, ConditionSchedule
from shop.checkout.models import Cart
from shop.core.actor import Actor, ActorKind
from shop.core.db import db
from shop.core.heartbeat import Heartbeat
from shop.core.outbox import OutboxRow
from shop.integrity import invariants
from shop.ledger import chart
from shop.ledger.models import LedgerEntry
from shop.orders.models import OrderEvent
from shop.payments.records.models import Capture, Payment, PaymentUpdateRow, Refund, RefusedWebhook, WebhookEventRow
from shop.payments.records.settlement_models import Dispute, SettlementLineRow
from shop.payments.records.types import Allocation, RefundKind, Source
from shop.payouts.models import Payout
from tests.shop_fixtures import environ

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
ACTORS = {"buyer": "customer", "settle": "automatic", "ada": "staff/ada"}
"""Actors as they were written, and as they are now."""
COLUMNS = {"heard_at": "received_at", "heard_from": "source", "standing": "allocation", "verdict": "outcome"} | {
    "asked_at": "polled_at",
    "inbox_id": "webhook_event_id",
    "asked_by": "requested_by",
}
TABLES = {"inbox": "webhook_events", "reports": "payment_updates", "refused_notices": "refused_webhooks"} | {
    "settled_lines": "settlement_lines",
}
NOW_CALLED = {
    ("order_events", "actor"): ACTORS,
    ("refunds", "asked_by"): ACTORS,
    ("captures", "standing"): {"paid": "pays_order", "second": "duplicate"},
    ("refunds", "kind"): {"second": "duplicate"},
    ("ledger_entries", "account"): {"aside": "unallocated_funds", "by_hand": "manual_refunds"}
    | {"settled": "bank", "paid_out": "owner_payouts"},
}
"""Columns, tables and values as they were named, and as they are now."""
LIVES = {"0001": BEFORE_THE_LEDGER, "0002": WITH_LEDGER_AND_REFUNDS, "0017": WITH_OTHER_MONEY}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shop.db'}"
    found: str = request.getfixturevalue("postgres_url")
    return found


def live(engine: sa.Engine, rows: Rows) -> None:
    """Insert the old version's rows into its tables."""
    tables = sa.MetaData()
    tables.reflect(engine)
    with engine.begin() as connection:
        for name, row in rows:
            connection.execute(tables.tables[name].insert(), row)


@pytest.fixture(params=LIVES)
def old_shop(request: pytest.FixtureRequest, url: str) -> tuple[Flask, Rows]:
    """A shop of an old revision with orders, payments, captures, refunds, and its rows."""
    app = create_app(environ(url, ""), TESTING=True)
    rows = LIVES[request.param]
    with app.app_context():
        upgrade(revision=request.param)
        live(db.engine, rows)
    return app, rows


def alert_of_then(number: int) -> Alert:
    """An alert, without the columns of later migrations."""
    query = db.select(Alert).where(Alert.id == number).options(defer(Alert.waits_since))
    return db.session.scalars(query).one()


def test_an_old_shop_is_migrated_and_keeps_every_row(old_shop: tuple[Flask, Rows]) -> None:
    app, rows = old_shop
    with app.app_context():
        upgrade()
        tables = sa.MetaData()
        tables.reflect(db.engine)
        with db.engine.connect() as connection:
            for name, row in rows:
                table = tables.tables[TABLES.get(name, name)]
                keys = [column == row[column.name] for column in table.primary_key]
                now = connection.execute(sa.select(table).where(*keys)).mappings().one()
                for key, value in row.items():
                    if not isinstance(value, datetime | dict):
                        names = NOW_CALLED.get((name, key))
                        expected = names.get(value, value) if names and value is not None else value
                        assert now[key if key in now else COLUMNS[key]] == expected, (name, key)
        db.engine.dispose()


def test_an_old_shop_is_migrated_and_every_invariant_holds(old_shop: tuple[Flask, Rows]) -> None:
    app, _ = old_shop
    with app.app_context():
        upgrade()
        watcher.check_due()  # as the clock does at once
        broken = [finding for finding in invariants.check(with_acquirers=False) if not finding.holds]
        assert not broken, "\n".join(f"{found.statement}: {found.rows}" for found in broken)
        db.session.remove()
        db.engine.dispose()


def test_no_older_version_takes_over_money_that_was_sent_by_hand(url: str) -> None:
    """It would ask the acquirer to pay the refund again."""
    app = create_app(environ(url, ""), TESTING=True)
    with app.app_context():
        upgrade(revision="0007")
        downgrade(revision="0006")
        upgrade(revision="0007")
        live(db.engine, WITH_LEDGER_AND_REFUNDS)
        send = sa.text("UPDATE refunds SET destination = 'bank'")
        with db.engine.begin() as connection:
            connection.execute(send)
        with pytest.raises(sa.exc.IntegrityError):
            downgrade(revision="0006")
        with db.engine.connect() as connection:
            assert connection.scalar(sa.text("SELECT destination FROM refunds")) == "bank"
        upgrade(revision="0007")
        db.engine.dispose()


ORDER_2: Rows = [*GOODS, *an_order(2, "PENDING", "WAITING_PAYMENT", payment="OPEN", reservation="HELD")]
CODE: Row = {"code": "TEN", "percent": 10, "uses": 1, "once_per_email": True, "is_active": True}
USE: Row = {"order_id": 2, "code": "TEN", "currency": "TWD", "amount": 0, "state": "HELD", "once_per_email": True}
CHARGE: Row = {"order_id": 2, "sku": "tax:TW", "position": 1, "quantity": 1, "name": "VAT", "slug": "", "image": ""}
PERSON: Row = {"id": 1, "email": "ada@example.com", "name": "Ada", "password_hash": "x", "roles": [], "created_at": NOW}
GIFT: Row = {"id": "G1", "user_id": 1, "key": "k", "currency": "TWD", "amount": 1, "reason": "", "state": "REQUESTED"}
MAIL: Row = {"id": "M1", "kind": "unlock", "subject": "user 1", "event": "1", "recipient": "ada@example.com"} | {
    "language": "en", "data": {}, "message_id": "m1", "state": "SENT", "attempts": 1, "created_at": NOW, "sent_at": NOW,
}  # fmt: skip
DOCUMENT: Row = {"number": "2026-000001", "year": 2026, "sequence": 1, "kind": "receipt", "order_id": 2} | {
    "cause": "paid", "issued_at": NOW, "issued_on": NOW.date(), "language": "en", "currency": "TWD", "seller": {},
    "customer": {}, "total_amount": 1, "tax_amount": 0, "delivery_amount": 0, "discount_amount": 0,
}  # fmt: skip
UNREADABLE: dict[str, tuple[str, Rows]] = {
    "documents": ("0024", [("documents", DOCUMENT)]),
    "orders with delivery, discount or tax": (
        "0023",
        [("order_lines", CHARGE | {"unit_amount": 1, "currency": "TWD", "kind": "tax", "is_included": True})],
    ),
    "uses of discount codes": ("0023", [("discount_codes", CODE), ("discount_uses", USE)]),
    "gifts of store credit": (
        "0022",
        [("users", PERSON), ("credit_gifts", GIFT | {"requested_by": "staff:1", "requested_at": NOW})],
    ),
    "mails about accounts": ("0022", [("mails", MAIL)]),
}


@pytest.mark.parametrize(("what", "revision", "rows"), [(what, *each) for what, each in UNREADABLE.items()])
def test_the_way_back_refuses_while_the_older_version_could_not_read_what_was_written(
    url: str, what: str, revision: str, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(environ(url, ""), TESTING=True)
    with app.app_context():
        upgrade()
        live(db.engine, [*ORDER_2, *rows])
        with pytest.raises(SystemExit):
            downgrade(revision=revision)
        assert f"The older version cannot read {what}. Run `db upgrade` and keep this version." in caplog.text
        upgrade()
        table, _ = rows[-1]
        with db.engine.begin() as connection:
            kept = connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one()  # noqa: S608 - of the test
            assert kept == (2 if table == "order_lines" else 1), "nothing was deleted"
            connection.execute(sa.text(f"DELETE FROM {table}"))  # noqa: S608 - of the test
        downgrade(revision=revision)
        upgrade()
        db.engine.dispose()


def test_the_way_back_refuses_to_drop_the_audit_log(url: str, caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(environ(url, ""), TESTING=True)
    entry = {"at": NOW, "actor": "staff:1", "act": "product.price_set", "subject_kind": "product", "subject_id": "X"}
    with app.app_context():
        upgrade()
        downgrade(revision="0027")
        upgrade()
        live(db.engine, [("audit_log", entry | {"reason": "", "request_id": "", "personal_hash": ""})])
        with pytest.raises(SystemExit):
            downgrade(revision="0027")
        assert "The older version cannot read the audit log. Run `db upgrade` and keep this version." in caplog.text
        upgrade()
        with db.engine.connect() as connection:
            assert connection.execute(sa.text("SELECT count(*) FROM audit_log")).scalar_one() == 1
        db.engine.dispose()


def test_an_order_that_a_discount_paid_cannot_be_taken_back(url: str, caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(environ(url, ""), TESTING=True)
    with app.app_context():
        upgrade()
        live(db.engine, ORDER_2)
        with db.engine.begin() as connection:
            connection.execute(sa.text("UPDATE orders SET paid_by = 'nothing_due'"))
        with pytest.raises(SystemExit):
            downgrade(revision="0023")
        assert "orders that a discount paid" in caplog.text
        db.engine.dispose()


def test_addresses_of_old_orders_and_accounts_are_found_in_every_spelling_after_the_upgrade(url: str) -> None:
    app = create_app(environ(url, ""), TESTING=True)
    with app.app_context():
        upgrade(revision="0007")
        live(db.engine, WITH_LEDGER_AND_REFUNDS)
        spelt = {1: "ada@xn--bcher-kva.example", 2: "ada@bu\u0308cher.example", 3: "not an address"}
        person = {"name": "Ada", "password_hash": "x", "roles": [], "created_at": NOW}
        people = [{"id": 1, "email": "ada@xn--bcher-kva.example"}, {"id": 2, "email": "ada@b\u00fccher.example"}]
        live(db.engine, [("users", person | one) for one in people])
        with db.engine.begin() as connection:
            for number, email in spelt.items():
                connection.execute(
                    sa.text("UPDATE orders SET email = :email WHERE id = :id"), {"email": email, "id": number}
                )
        upgrade()
        with db.engine.connect() as connection:
            orders = connection.scalars(sa.text("SELECT email FROM orders ORDER BY id")).all()
            users = connection.scalars(sa.text("SELECT email FROM users ORDER BY id")).all()
        assert orders == ["ada@b\u00fccher.example", "ada@b\u00fccher.example", "not an address", "ada@example.com"]
        assert users == [one["email"] for one in people], "two accounts stay two"
        db.engine.dispose()


def saga_step(step: tuple[int, str, datetime | None]) -> tuple[str, Row]:
    order, name, undone = step
    return ("saga_steps", {"order_id": order, "name": name, "done_at": NOW, "undone_at": undone})


def test_the_steps_of_a_saga_become_columns_of_its_row_and_rows_again_on_the_way_back(url: str) -> None:
    app = create_app(environ(url, ""), TESTING=True)
    late = NOW + timedelta(minutes=30)
    steps = [
        (1, "reserve_stock", None),
        (1, "hold_credit", None),
        (1, "open_payment", None),
        (2, "reserve_stock", None),
    ]
    steps += [(3, "reserve_stock", late), (3, "open_payment", late)]
    by_an_old_process = (4, "reserve_stock", None)
    columns = "stock_reserved_at, credit_held_at, payment_opened_at, undone_at"
    query = sa.text(f"SELECT order_id, {columns} FROM sagas ORDER BY order_id")  # noqa: S608
    with app.app_context():
        upgrade(revision="0013")
        live(db.engine, [*WITH_LEDGER_AND_REFUNDS, *map(saga_step, steps)])
        upgrade(revision="0014")
        live(db.engine, [saga_step(by_an_old_process)])
        upgrade()
        with db.engine.connect() as connection:
            found = connection.execute(query).all()
        assert [(row[0], *(at is not None for at in row[1:])) for row in found] == [
            (1, True, True, True, False),
            (2, True, False, False, False),
            (3, True, False, True, True),
            (4, True, False, False, False),
        ]
        downgrade(revision="0013")
        with db.engine.connect() as connection:
            back = connection.execute(sa.text("SELECT order_id, name, undone_at FROM saga_steps")).all()
        assert sorted((row[0], row[1], row[2] is not None) for row in back) == sorted(
            (order, name, undone is not None) for order, name, undone in [*steps, by_an_old_process]
        )
        db.engine.dispose()


def test_who_did_something_is_an_actor_after_the_upgrade_and_stays_readable(url: str) -> None:
    app = create_app(environ(url, ""), TESTING=True)
    requested = {"R5": "settle", "R6": "kpay", "R7": "Kim"}
    with app.app_context():
        upgrade(revision="0014")
        live(db.engine, WITH_LEDGER_AND_REFUNDS)
        refund = REFUND | {"destination": "provider", "amount": 1}
        more = {"R5": {"kind": "late"}, "R6": {"kind": "outside"}, "R7": {"approved_by": "Lee", "needs_two": True}}
        live(
            db.engine,
            [("refunds", refund | {"id": name, "asked_by": requested[name]} | more[name]) for name in requested],
        )
        payout = {"id": "X1", "currency": "TWD", "amount": 1, "state": "APPROVED", "asked_at": NOW, "note": ""}
        live(db.engine, [("payouts", payout | {"asked_by": "ada", "decided_by": "kim", "decided_at": NOW})])
        alert = {"rule": "RULE_C", "severity": "P1", "subject": "x", "observed": {}, "expected": {}, "source": "poll"}
        seen = {"detected_at": NOW, "state": "RESOLVED", "acknowledged_by": "ada", "resolved_by": "watch"}
        live(db.engine, [("alerts", alert | seen | {"id": 1, "cause": "capture 1"})])
        with db.engine.begin() as connection:
            connection.execute(sa.text("UPDATE order_events SET actor = 'buyer' WHERE seq = 1"))
            connection.execute(sa.text("UPDATE order_events SET actor = 'settlement file' WHERE seq = 2"))
            connection.execute(sa.text("UPDATE order_events SET actor = 'Ada' WHERE seq = 4"))
        upgrade()
        actors = db.session.execute(db.select(OrderEvent.seq, OrderEvent.actor).where(OrderEvent.order_id == 4))
        assert {seq: str(actor) for seq, actor in actors} == {
            1: "customer",
            2: "settlement file",
            3: "webhook",
            4: "staff/Ada",
        }
        found = {
            refund.id: (str(refund.requested_by), refund.approved_by and str(refund.approved_by))
            for refund in db.session.scalars(db.select(Refund))
        }
        assert found == {
            "R4": ("staff/ada", None),
            "R5": ("automatic", None),
            "R6": ("acquirer/kpay", None),
            "R7": ("staff/Kim", "staff/Lee"),
        }
        paid_out, alert_row = db.session.get_one(Payout, "X1"), alert_of_then(1)
        assert (paid_out.requested_by, paid_out.decided_by) == (
            Actor(ActorKind.STAFF, name="ada"),
            Actor(ActorKind.STAFF, name="kim"),
        )
        assert (alert_row.acknowledged_by, alert_row.resolved_by) == (
            Actor(ActorKind.STAFF, name="ada"),
            Actor(ActorKind.WATCHER),
        )
        assert staff.label(paid_out.requested_by) == "ada"
        db.session.remove()
        downgrade(revision="0014")
        with db.engine.connect() as connection:
            before = connection.execute(sa.text("SELECT id, asked_by FROM refunds ORDER BY id")).all()
        assert [tuple(row) for row in before] == [("R4", "ada"), *requested.items()]
        db.engine.dispose()


def test_the_e_mail_of_a_member_of_staff_is_that_account_after_the_upgrade(url: str) -> None:
    """Other names stay readable, and so does the second name of one person: the database tells two people apart."""
    app = create_app(environ(url, ""), TESTING=True)
    asked_and_approved = {
        "R5": ("staff/ada@example.com", "staff/Kim@Example.com"),
        "R6": ("staff/ada@example.com", "staff/ADA@example.com"),
        "R7": ("staff/may@example.com", "staff:2"),
        "R8": ("sam", "staff:2"),
        "R9": ("automatic", None),
    }
    person = {"name": "x", "password_hash": "x", "created_at": NOW}
    roles = {1: ("ada@example.com", ["finance"]), 2: ("kim@example.com", ["finance"]), 3: ("may@example.com", [])}
    with app.app_context():
        upgrade(revision="0014")
        live(db.engine, WITH_LEDGER_AND_REFUNDS)
        live(db.engine, [("users", person | {"id": n, "email": e, "roles": r}) for n, (e, r) in roles.items()])
        upgrade(revision="0016")
        refund = REFUND | {"destination": "provider", "amount": 1}
        both = {name: {"asked_by": a, "approved_by": b} for name, (a, b) in asked_and_approved.items()}
        live(db.engine, [("refunds", refund | {"id": name} | both[name]) for name in both])
        payout = {"id": "X1", "currency": "TWD", "amount": 1, "state": "APPROVED", "asked_at": NOW, "note": ""}
        decided = {"asked_by": "staff/Ada@example.com", "decided_by": "staff/ada@example.com", "decided_at": NOW}
        live(db.engine, [("payouts", payout | decided)])
        alert = {"rule": "RULE_C", "severity": "P1", "subject": "x", "observed": {}, "expected": {}, "source": "poll"}
        seen = {"detected_at": NOW, "state": "RESOLVED", "acknowledged_by": "staff/kim@example.com"}
        live(db.engine, [("alerts", alert | seen | {"id": 1, "cause": "capture 1", "resolved_by": "watcher"})])
        with db.engine.begin() as connection:
            connection.execute(sa.text("UPDATE order_events SET actor = 'staff/kim@example.com' WHERE seq = 2"))
        upgrade()
        with db.engine.connect() as connection:
            rows = connection.execute(
                sa.text("SELECT id, requested_by, approved_by FROM refunds WHERE id <> 'R4'")
            ).all()
            events = connection.scalars(sa.text("SELECT actor FROM order_events WHERE order_id = 4 ORDER BY seq")).all()
            paid_out = connection.execute(sa.text("SELECT requested_by, decided_by FROM payouts")).one()
            alerts = connection.execute(sa.text("SELECT acknowledged_by, resolved_by FROM alerts")).one()
        assert {row[0]: (row[1], row[2]) for row in rows} == {
            "R5": ("staff:1", "staff:2"),
            "R6": ("staff:1", "staff/ADA@example.com"),
            "R7": ("staff/may@example.com", "staff:2"),
            "R8": ("staff/sam", "staff:2"),
            "R9": ("automatic", None),
        }
        assert events == ["webhook", "staff:2", "webhook", "webhook"]
        assert tuple(paid_out) == ("staff:1", "staff/ada@example.com")
        assert tuple(alerts) == ("staff:2", "watcher")
        assert staff.label(Actor.staff(2)) == "kim@example.com"
        db.session.remove()
        with pytest.raises(sa.exc.IntegrityError), db.engine.begin() as connection:
            connection.execute(sa.text("UPDATE refunds SET approved_by = 'staff:1' WHERE id = 'R5'"))
        downgrade(revision="0016")
        upgrade()
        db.engine.dispose()


def test_events_that_wait_in_the_outbox_are_typed_after_the_upgrade(url: str) -> None:
    app = create_app(environ(url, ""), TESTING=True)
    of_order = {"orderId": 4, "orderNo": "TEST-0004-ZV", "seq": 3, "at": NOW.isoformat(), "because": "captured"}
    of_alert = {"alertId": 1, "ruleId": "OPS_ORPHAN", "orderNo": None, "observed": {"receivedAt": "x"}, "expected": {}}
    changed = {"alertId": 1, "ruleId": "OPS_ORPHAN", "orderNo": None, "state": "RESOLVED", "by": "sam", "note": ""}
    waiting = {1: ("orders.events.v1", of_order), 2: ("alerts.operations.v1", of_alert)} | {
        3: ("alerts.changes.v1", changed),
        4: ("alerts.order_payment_inconsistency.v1", of_alert),
    }
    with app.app_context():
        upgrade(revision="0015")
        row = {"kind": "order.moved", "subject": "x", "created_at": NOW, "tries": 0}
        rows = [row | {"id": name, "stream": stream, "payload": message} for name, (stream, message) in waiting.items()]
        values = row | {"id": 5, "stream": "orders.events.v1", "payload": of_order, "published_at": NOW, "due_at": None}
        live(
            db.engine, [("outbox", one | {"due_at": NOW, "published_at": None}) for one in rows] + [("outbox", values)]
        )
        upgrade()
        now = dict(db.session.execute(db.select(OutboxRow.id, OutboxRow.payload)).all())
        db.session.remove()
        assert now[1] == {"schema_version": 1, "order_id": 4, "order_no": "TEST-0004-ZV", "seq": 3} | {
            "at": NOW.isoformat(),
            "because": "captured",
        }
        assert now[2] == {"schema_version": 1, "alert_id": 1, "rule_id": "OPS_ORPHAN", "order_no": None} | {
            "observed": {"received_at": "x"},
            "expected": {},
        }
        assert (now[3]["actor"], "by" in now[3], now[3]["rule_id"]) == ("staff/sam", False, "OPS_ORPHAN")
        assert (now[4], now[5]) == (of_alert, of_order)
        downgrade(revision="0015")
        before = dict(db.session.execute(db.select(OutboxRow.id, OutboxRow.payload)).all())
        assert (before[1], before[2], before[4]) == (of_order, of_alert, of_alert)
        db.session.remove()
        db.engine.dispose()


def everything(engine: sa.Engine) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables."""
    tables = sa.MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        return {
            table.name: [dict(row._mapping) for row in connection.execute(table.select().order_by(*table.primary_key))]
            for table in tables.sorted_tables
        }


def test_payments_are_read_in_standard_terms_after_the_upgrade_and_in_the_old_ones_on_the_way_back(url: str) -> None:
    app = create_app(environ(url, ""), TESTING=True)
    with app.app_context():
        upgrade(revision="0017")
        live(db.engine, WITH_OTHER_MONEY)
        with db.engine.begin() as connection:
            connection.execute(sa.text("UPDATE payments SET asked_at = opened_at, answered_at = opened_at"))
        before = everything(db.engine)
        upgrade()
        read = db.session.scalars
        captures = {one.id: one for one in read(db.select(Capture))}
        assert {number: one.allocation for number, one in captures.items()} == {
            1: Allocation.PAYS_ORDER,
            4: Allocation.PAYS_ORDER,
            5: Allocation.LATE,
            6: Allocation.MISMATCH,
            7: Allocation.PAYS_ORDER,
            14: Allocation.DUPLICATE,
        }
        assert {(one.source, one.received_at) for one in captures.values()} == {(Source.WEBHOOK, NOW)}
        events = {one.id: one for one in read(db.select(WebhookEventRow))}
        assert (events[1].outcome, events[1].body, events[1].headers) == ("applied", b"{}", {"a": "b"})
        assert (events[2].outcome, events[2].received_at) == ("hint", NOW)
        assert [(one.webhook_event_id, one.outcome, one.source) for one in read(db.select(PaymentUpdateRow))] == [
            (1, "applied", Source.WEBHOOK),
            (None, "applied", Source.POLL),
        ]
        assert db.session.get_one(RefusedWebhook, 1).outcome == "bad_signature"
        dispute, payment = db.session.get_one(Dispute, 1), db.session.get_one(Payment, "P1")
        assert (dispute.received_at, dispute.source) == (NOW, Source.WEBHOOK)
        assert (payment.polled_at, payment.answered_at) == (NOW, NOW)
        assert db.session.get_one(Refund, "R14").kind == RefundKind.DUPLICATE
        accounts = set(read(db.select(LedgerEntry.account)))
        assert accounts == {"receivable:kpay", chart.SALES, chart.REFUNDS, chart.UNALLOCATED_FUNDS} | {
            chart.MANUAL_REFUNDS,
            chart.BANK,
            chart.OWNER_PAYOUTS,
        }
        values = {
            one.kind: one.data
            for one in read(db.select(OrderEvent).where(OrderEvent.seq > 3, OrderEvent.order_id == 4))
        }
        assert values["payment.captured"] == {"payment": "P4", **MONEY, "allocation": "duplicate"}
        assert values["refund.done"] == {"refund": "R14", **MONEY, "why": "duplicate"}
        payloads = dict(db.session.execute(db.select(OutboxRow.id, OutboxRow.payload)).all())
        assert payloads[101] == {"schema_version": 2, "allocation": "duplicate", **MONEY}
        assert payloads[102] == {"schema_version": 2, "refund": "R14", **MONEY, "why": "duplicate"}
        assert payloads[103] == {"schema_version": 1, "standing": "second", **MONEY}, "published events are not changed"
        db.session.remove()
        downgrade(revision="0017")
        assert everything(db.engine) == before
        upgrade()
        db.engine.dispose()


@pytest.mark.parametrize("allocation", ["paid", "second", "unheard", None])
def test_an_allocation_that_is_none_is_refused_by_a_database_that_was_upgraded(
    url: str, allocation: str | None
) -> None:
    app = create_app(environ(url, ""), TESTING=True)
    with app.app_context():
        upgrade(revision="0017")
        live(db.engine, WITH_LEDGER_AND_REFUNDS)
        upgrade()
        change = sa.text("UPDATE captures SET allocation = :allocation").bindparams(allocation=allocation)
        with pytest.raises(sa.exc.IntegrityError), db.engine.begin() as connection:
            connection.execute(change)
        with pytest.raises(sa.exc.IntegrityError), db.engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM captures"))  # its refunds refer to it
        db.engine.dispose()


def test_a_capture_without_an_allocation_pays_for_nothing_after_the_upgrade(url: str) -> None:
    app = create_app(environ(url, ""), TESTING=True)
    with app.app_context():
        upgrade(revision="0017")
        live(db.engine, WITH_LEDGER_AND_REFUNDS)
        upgrade(revision="0018")
        with db.engine.begin() as connection:
            connection.execute(sa.text("UPDATE captures SET allocation = NULL WHERE id = 1"))
        upgrade()
        captures = {one.id: one.allocation for one in db.session.scalars(db.select(Capture))}
        assert captures == {1: Allocation.MISMATCH, 4: Allocation.PAYS_ORDER}
        db.session.remove()
        db.engine.dispose()


def test_alerts_and_what_they_are_about_are_read_in_standard_terms_after_the_upgrade(url: str) -> None:
    app = create_app(environ(url, ""), TESTING=True)
    with app.app_context():
        upgrade(revision="0021")
        live(db.engine, WITH_ALERTS)
        before = everything(db.engine)
        upgrade(revision="0022")
        lines = db.session.scalars(db.select(SettlementLineRow)).all()
        assert [(one.line_id, one.amount, one.booked_at) for one in lines] == [("line-1", PRICE, NOW)]
        payout = db.session.get_one(Payout, "X1")
        assert (str(payout.requested_by), payout.requested_at) == ("staff/ada", NOW)
        assert db.session.get_one(Heartbeat, "clock").at == NOW
        assert db.session.get_one(ConditionSchedule, "malformed").due_at == NOW
        assert db.session.get_one(Cart, "C1").last_form_id == "form-1"
        alerts = {number: alert_of_then(number) for number in (1, 2, 3, 4)}
        assert {number: one.cause for number, one in alerts.items()} == {
            1: "webhook_event 17",
            2: "refused_webhook 17",
            3: "episode 1",
            4: "payment P1",
        }
        assert (alerts[3].observed, alerts[3].expected) == ({**TIMES, "webhook_events": 3}, {"webhook_events": 0})
        payloads = dict(db.session.execute(db.select(OutboxRow.id, OutboxRow.payload)).all())
        assert (payloads[1]["observed"], payloads[1]["expected"]) == (alerts[3].observed, alerts[3].expected)
        assert payloads[2] == FLOOD, "published events are not changed"
        db.session.remove()
        with pytest.raises(sa.exc.IntegrityError), db.engine.begin() as connection:
            connection.execute(sa.text("UPDATE settlement_lines SET fact = 'none'"))
        downgrade(revision="0021")
        assert everything(db.engine) == before
        upgrade()
        db.engine.dispose()
