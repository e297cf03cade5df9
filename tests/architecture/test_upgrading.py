"""A shop that has lived for a while is brought up to date: nothing is lost, and its sums still hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_migrate import downgrade, upgrade

from shop import create_app
from shop.alerts import watch
from shop.core.db import db
from shop.reports import invariants
from tests.shop_fixtures import environ

PRICE = 120000
NOW = datetime.now(UTC)
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


def an_order(number: int, *moves: str, payment: str, reservation: str, capture: str = "", **more: Any) -> Rows:
    """An order that went this way, with one payment; `capture` is what its capture is to it, if it has one. `more` are
    columns of the capture.
    """
    paid = {"paid_at": NOW, "paid_by": f"P{number}"} if "PAID" in moves else {}
    over = {} if payment == "OPEN" else {"ended_at": NOW}
    ended = {"ended_at": NOW} if "EXPIRED" in moves else {}
    names = {"number": f"TEST-000{number}-ZV", "token": f"token-{number}", "checkout_key": f"key-{number}"}
    times = {"placed_at": NOW, "pay_by": NOW + timedelta(minutes=30), "event_seq": len(moves)}
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
    asked = {"next_check_at": NOW + timedelta(days=1)} if payment == "OPEN" else {}
    told = {"provider_data": {"id": f"pay_{number}"}, "checks": 0, "confirm_misses": 0, "created_at": NOW}
    amount = {"amount": PRICE, "currency": "TWD"}
    attempt = {"id": f"P{number}", "order_id": number, "provider": "kpay", "state": payment, "opened_at": NOW}
    rows.append(("payments", {**attempt, **amount, **told, **asked, **over}))
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
"""Late money was kept on its payment; nobody could send it back."""


def journal(key: str, kind: str, debit: str, credit: str, amount: int) -> Rows:
    side = {"journal_key": key, "currency": "TWD"}
    return [
        ("journals", {"key": key, "kind": kind, "order_id": int(key[-1]), "at": NOW}),
        ("ledger_entries", side | {"line": 0, "account": debit, "amount": amount}),
        ("ledger_entries", side | {"line": 1, "account": credit, "amount": -amount}),
    ]


REFUND = {"id": "R4", "capture_id": 4, "payment_id": "P4", "order_id": 4, "amount": 20000, "currency": "TWD"} | {
    "kind": "asked", "reason": "broken", "state": "DONE", "asked_by": "ada", "needs_two": False, "created_at": NOW,
    "ended_at": NOW, "checks": 0,
}  # fmt: skip
MOVES = ("PENDING", "WAITING_PAYMENT", "PAID", "PARTIALLY_REFUNDED")
WITH_LEDGER_AND_REFUNDS: Rows = [
    *GOODS,
    *ORDERS,
    *an_order(4, *MOVES, payment="CAPTURED", reservation="SOLD", capture="paid", refunded_amount=20000),
    *journal("capture:kpay:cap_1", "capture", "receivable:kpay", "sales", PRICE),
    *journal("capture:kpay:cap_4", "capture", "receivable:kpay", "sales", PRICE),
    *journal("refund:R4", "refund", "refunds", "receivable:kpay", 20000),
    ("refunds", REFUND),
]
LIVES = {"0001": BEFORE_THE_LEDGER, "0002": WITH_LEDGER_AND_REFUNDS}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shop.db'}"
    found: str = request.getfixturevalue("postgres_url")
    return found


def live(engine: sa.Engine, rows: Rows) -> None:
    """Write what the old version had written, into the tables as they were."""
    tables = sa.MetaData()
    tables.reflect(engine)
    with engine.begin() as connection:
        for name, row in rows:
            connection.execute(tables.tables[name].insert(), row)


@pytest.fixture(params=LIVES)
def old_shop(request: pytest.FixtureRequest, url: str) -> tuple[Flask, Rows]:
    """A shop of an old revision with orders, payments, captures, refunds, and what was written into it."""
    app = create_app(environ(url, ""), TESTING=True)
    rows = LIVES[request.param]
    with app.app_context():
        upgrade(revision=request.param)
        live(db.engine, rows)
    return app, rows


def test_a_shop_with_a_past_is_migrated_and_keeps_every_row(old_shop: tuple[Flask, Rows]) -> None:
    app, rows = old_shop
    with app.app_context():
        upgrade()
        tables = sa.MetaData()
        tables.reflect(db.engine)
        with db.engine.connect() as connection:
            for name, row in rows:
                table = tables.tables[name]
                keys = [column == row[column.name] for column in table.primary_key]
                now = connection.execute(sa.select(table).where(*keys)).mappings().one()
                assert {key: now[key] for key in row if not isinstance(row[key], datetime)} == {
                    key: value for key, value in row.items() if not isinstance(value, datetime)
                }
        db.engine.dispose()


def test_a_shop_with_a_past_is_migrated_and_every_invariant_holds(old_shop: tuple[Flask, Rows]) -> None:
    app, _ = old_shop
    with app.app_context():
        upgrade()
        watch.look()  # as the clock does at once
        broken = [finding for finding in invariants.check(ask_acquirer=False) if not finding.holds]
        assert not broken, "\n".join(f"{found.says}: {found.rows}" for found in broken)
        db.session.remove()
        db.engine.dispose()


def test_no_older_version_takes_over_money_that_was_sent_by_hand(url: str) -> None:
    """It would ask the acquirer to send it again."""
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
