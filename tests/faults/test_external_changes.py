"""External changes: a jump of the wall clock, edited prices and stock, and a schema of the next version."""

from __future__ import annotations

import ast
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from flask_migrate import upgrade
from sqlalchemy import inspect

from shop import create_app
from shop.catalogue.models import Product
from shop.core import clock
from shop.core.db import db, transaction
from shop.core.money import Money
from shop.inventory import stock
from shop.inventory.models import Stock, StockMovement
from shop.payments.providers.interface import BadSignature
from shop.payments.records.models import Capture
from shop.payments.refunds import requests
from tests.payments.kpay_helpers import an_event, kpay, signed
from tests.shop_fixtures import KETTLE, PEN, PRICES, UNITS, Shop
from tools.docs.code import ROOT, sources

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
TEN_MINUTES = timedelta(minutes=10)


def jump(by: timedelta) -> time_machine.travel:
    """The wall clock of this machine is `by` ahead, and runs."""
    return time_machine.travel(clock.wall() + by, tick=True)


# --- wall clock ---


@on_sqlite
def test_a_wall_clock_that_jumps_back_ten_minutes_ends_no_order_early_and_none_is_forgotten(shop: Shop) -> None:
    """Fault 30."""
    waiting, paid = shop.order((PEN, 1)), shop.order((PEN, 1))
    shop.turn(minutes=25)
    shop.acquirer.capture(shop.payment(paid).id)
    with jump(-TEN_MINUTES):
        shop.deliver_webhook(shop.payment(paid))
        shop.sweep()
        assert [shop.state(o) for o in (waiting, paid)] == ["WAITING_PAYMENT", "PAID"]
        shop.turn(minutes=6)
        assert shop.state(waiting) == "WAITING_PAYMENT", "its time is over when the clock that wrote it says so"
        shop.turn(minutes=10)
        assert shop.state(waiting) == "EXPIRED"
    shop.sweep()


@on_sqlite
def test_a_wall_clock_that_jumps_ahead_ten_minutes_queries_before_it_ends_an_order(shop: Shop) -> None:
    """Fault 30: an order paid in time is PAID, however late it seems."""
    paid, unpaid = shop.order((PEN, 1)), shop.order((PEN, 1))
    shop.turn(minutes=25)
    shop.acquirer.capture(shop.payment(paid).id)
    with jump(TEN_MINUTES):
        shop.sweep()
        assert [shop.state(o) for o in (paid, unpaid)] == ["PAID", "EXPIRED"]
        assert ("cancel", shop.payment(unpaid).id) in shop.acquirer.calls


@pytest.mark.parametrize(("seconds", "taken"), [(-299, True), (-301, False), (298, True), (301, False)])
def test_a_signature_is_valid_for_five_minutes_of_wall_time_both_ways_whatever_the_shops_clock(
    seconds: int, taken: bool
) -> None:
    """Fault 30, fault 7, attack 2."""
    body = an_event()
    headers = signed(body)
    with time_machine.travel(clock.wall() + timedelta(seconds=seconds), tick=False):
        if taken:
            assert kpay().read_webhook(headers, body)
        else:
            with pytest.raises(BadSignature):
                kpay().read_webhook(headers, body)


def test_no_duration_is_measured_with_the_wall_clock_but_the_age_of_a_signature() -> None:
    """Fault 30."""
    measuring = {
        source.path
        for source in sources("shop")
        for node in source.nodes
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub)
        if "time.time()" in (ast.unparse(node.left), ast.unparse(node.right))
    }
    assert measuring == {"shop/payments/providers/kpay.py", "shop/payments/providers/stripe.py"}


# --- prices and stock ---


def test_an_order_keeps_the_amount_it_was_placed_with_whatever_the_price_becomes(shop: Shop) -> None:
    """Fault 40."""
    cart_id = shop.cart((PEN, 2))
    form = shop.form(cart_id)
    order = shop.place(cart_id, form=form)
    payment = shop.payment(order)
    with transaction():
        shelf = db.session.get_one(Stock, PEN)
        shelf.on_hand += 5
        db.session.add(StockMovement(sku=PEN, quantity=5, kind="receipt", at=clock.wall()))
    reprice(PEN, 1)
    try:
        assert shop.place(cart_id, form=form).id == order.id, "the same form again is the same order"
        shop.acquirer.capture(payment.id)
        shop.deliver_webhook(payment)
        assert shop.state(order) == "PAID"
        assert order.total == Money(2 * PRICES[PEN]["TWD"], "TWD") == payment.money
    finally:
        reprice(PEN, PRICES[PEN]["TWD"])


def reprice(sku: str, amount: int) -> None:
    with transaction():
        product = db.session.scalars(db.select(Product).where(Product.sku == sku)).one()
        product.prices = {**product.prices, "TWD": amount}


def test_stock_reserved_for_a_customer_cannot_be_removed_by_an_edit(shop: Shop) -> None:
    """Fault 40."""
    order = shop.order((KETTLE, 6))
    with pytest.raises(Exception, match="(?i)check|constraint"), transaction():
        stock.receive(KETTLE, 5 - UNITS, "adjustment")
    db.session.rollback()
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    assert (shop.state(order), shop.can_sell()) == ("PAID", UNITS - 6)


# --- the next version's tables ---


@pytest.mark.full
def test_the_old_version_goes_on_working_on_tables_that_have_been_migrated_already(shop: Shop) -> None:
    """Fault 44: while a release rolls out, old processes meet an unknown column in every table."""
    tables = [name for name in inspect(db.engine).get_table_names() if not name.startswith("search_index")]
    before = shop.order((PEN, 1))
    db.session.rollback()
    with db.engine.begin() as connection:
        for table in tables:
            connection.exec_driver_sql(f'ALTER TABLE "{table}" ADD COLUMN of_the_next_version TEXT')
    try:
        after = shop.order((PEN, 1))
        for order in (before, after):
            shop.acquirer.capture(shop.payment(order).id)
            shop.deliver_webhook(shop.payment(order))
        db.session.rollback()
        capture = db.session.scalars(db.select(Capture.id).where(Capture.payment_id == shop.payment(after).id)).one()
        requests.request(capture, after.total, reason="", by=shop.sam)
        shop.turn(seconds=31)
        assert [shop.state(order) for order in (before, after)] == ["PAID", "REFUNDED"]
        shop.is_sound()
    finally:
        db.session.rollback()
        with db.engine.begin() as connection:
            for table in tables:
                connection.exec_driver_sql(f'ALTER TABLE "{table}" DROP COLUMN of_the_next_version')


RENAMES = ("0018_terms_of_payments", "0022_standard_terms")
"""Migrations that are not run while an older version serves."""
CONTRACTS = {
    "0019_older_versions": [
        *(f"saga_steps.{column} is gone" for column in ("order_id", "name", "done_at", "undone_at")),
        "captures.allocation must be given",
    ]
}
"""What the version before does not miss. It gives every capture an allocation. Of saga_steps it only deletes rows,
together with sagas of orders that ended 90 days ago: its clock logs an error and leaves them to the next version.
"""


@pytest.mark.full
def test_no_migration_removes_or_requires_what_the_old_version_does_not_know(tmp_path: Path) -> None:
    """Fault 44: tables and columns stay, and new columns of old tables need no value. Before a release, renames are
    allowed: all processes end before them (deploy/README.md, Rollback). What no version uses any more may go.
    """
    app = create_app({"DATABASE_URL": f"sqlite:///{tmp_path}/steps.db", "SETTLED_ENV": "development"})
    broken: list[str] = []
    with app.app_context():
        names = sorted(path.stem for path in (ROOT / "migrations/shop/versions").glob("[0-9]*.py"))
        before: Columns = {}
        for name in names:
            upgrade(revision=name.partition("_")[0])
            after = columns()
            if name not in RENAMES:
                wrong = breaches(before, after)
                broken += [f"{name}: {one}" for one in wrong if one not in CONTRACTS.get(name, ())]
            before = after
        db.engine.dispose()
    assert len(names) >= 4
    assert broken == []


Columns = dict[str, dict[str, bool]]
"""Columns of each table, and whether an insert must give them a value."""


def columns() -> Columns:
    looking = inspect(db.engine)
    return {
        table: {c["name"]: not c["nullable"] and c["default"] is None for c in looking.get_columns(table)}
        for table in looking.get_table_names()
    }


def breaches(before: Columns, after: Columns) -> list[str]:
    """Changes in `after` with which an old process, which knows `before`, could not work."""
    gone = [f"{t}.{c} is gone" for t, old in before.items() for c in old if c not in after.get(t, {})]
    requested = [
        f"{t}.{c} must be given"
        for t in before
        for c, must in after.get(t, {}).items()
        if must and not before[t].get(c)
    ]
    return gone + requested


def test_a_migration_that_removes_or_requires_a_column_is_seen() -> None:
    """Fault 44."""
    before: Columns = {"orders": {"id": True, "note": False}}
    assert breaches(before, {"orders": {"id": True}}) == ["orders.note is gone"]
    assert breaches(before, {"orders": {"id": True, "note": True}}) == ["orders.note must be given"]
    assert breaches(before, {"orders": {"id": True, "note": False, "new": True}}) == ["orders.new must be given"]
    assert breaches(before, {"orders": {"id": True, "note": False, "new": False}, "other": {"id": True}}) == []
