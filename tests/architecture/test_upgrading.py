"""Migration of a filled database: no rows are lost, and the balances stay equal."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_migrate import downgrade, upgrade

from shop import create_app
from shop.alerts import watcher
from shop.core.db import db
from shop.integrity import invariants
from tests.architecture.old_shops import LIVES, NOW, WITH_LEDGER_AND_REFUNDS, Row, Rows, live
from tests.shop_fixtures import environ

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


@pytest.fixture(params=LIVES)
def old_shop(request: pytest.FixtureRequest, url: str) -> tuple[Flask, Rows]:
    """A shop of an old revision with orders, payments, captures, refunds, and its rows."""
    app = create_app(environ(url, ""), TESTING=True)
    rows = LIVES[request.param]
    with app.app_context():
        upgrade(revision=request.param)
        live(db.engine, rows)
    return app, rows


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


@pytest.mark.full
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
