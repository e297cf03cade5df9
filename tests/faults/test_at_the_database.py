"""The database is restarted, locked, full or in a deadlock: callers get 503 with Retry-After, and nothing is half
written.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, event, update
from sqlalchemy.exc import OperationalError

import shop as roof
from shop import create_app, settings
from shop.core import clock
from shop.core import db as core_db
from shop.core.db import changed, db, engine_options, transaction, transactional
from shop.inventory.models import Stock
from shop.orders.models import Order
from shop.payments.providers import registry
from shop.payments.records.models import WebhookEventRow
from tests.fakes import Acquirer, FakePay
from tests.parts.counters import counted
from tests.parts.postgres import PostgresServer
from tests.parts.waiting import until
from tests.race_fixtures import Race
from tests.shop_fixtures import KETTLE, PEN, UNITS, Shop, environ, migrate

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
ADDRESS = {"email": "ada@example.com", "name": "Ada", "line1": "1 Main St", "city": "Taipei", "country": "TW"}


class EntryPoints:
    """The two entry points for money and orders: each response as (status, has Retry-After)."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.customer = shop.app.test_client()
        shop.app.config["RATE_LIMITS"] = False
        self.post("/cart/lines", "/products/pen", sku=PEN, quantity="1")
        self.form = self._form("/checkout") | ADDRESS | {"method": "fakepay"}
        waiting = shop.order((PEN, 1))
        shop.acquirer.capture(shop.payment(waiting).id)
        self.webhook = shop.acquirer.webhook(shop.payment(waiting).id, "evt-1")
        self.order = remembered(waiting)

    def post(self, path: str, form_of: str, **fields: str) -> Any:
        return self.customer.post(path, data=self._form(form_of) | fields)

    def deliver_webhook(self) -> tuple[int, bool]:
        headers, body = self.webhook
        return _status(self.shop.app.test_client().post("/webhooks/fakepay", headers=headers, data=body))

    def check_out(self) -> tuple[int, bool]:
        return _status(self.customer.post("/checkout", data=self.form))

    def work_again(self) -> None:
        """A refused request succeeds when it is repeated, once."""
        orders = self.shop.count(Order)
        assert self.check_out() == (303, False)
        assert self.deliver_webhook() == (200, False)
        assert self.shop.count(Order) == orders + 1
        assert (self.shop.state(self.order), self.shop.captures(self.order)) == ("PAID", ["pays_order"])

    def _form(self, path: str) -> dict[str, str]:
        page = self.customer.get(path).text
        return dict(re.findall(r'<input[^>]*name="(csrf_token|key|terms|shown|customer)"[^>]*value="([^"]*)"', page))


def remembered(order: Order) -> Order:
    """The order's present values, detached from the session."""
    db.session.refresh(order)
    db.session.expunge(order)
    return order


def _status(answer: Any) -> tuple[int, bool]:
    return answer.status_code, "Retry-After" in answer.headers


@pytest.fixture
def entry_points(shop: Shop) -> EntryPoints:
    return EntryPoints(shop)


AGAIN = (503, True)


def nothing_happened(shop: Shop, order: Order) -> None:
    assert shop.count(Order) == 1
    assert shop.count(WebhookEventRow) == 0
    assert shop.state(order) == "WAITING_PAYMENT"


# --- locked and full ---


@contextmanager
def every_connection(engine: Engine, *pragmas: str) -> Iterator[None]:
    """Settings of new connections."""

    def set_up(connection: Any, _record: Any) -> None:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    db.session.remove()
    event.listen(engine, "connect", set_up)
    engine.dispose()
    try:
        yield
    finally:
        event.remove(engine, "connect", set_up)
        db.session.remove()
        engine.dispose()


@on_sqlite
def test_while_another_process_keeps_the_file_locked_webhooks_and_checkout_answer_with_retry_after(
    shop: Shop, entry_points: EntryPoints
) -> None:
    """Fault 27; the wait of five seconds is shortened."""
    with every_connection(db.engine, "busy_timeout=50"), db.engine.connect() as other:
        other.exec_driver_sql("ROLLBACK")
        other.exec_driver_sql("BEGIN IMMEDIATE")
        assert entry_points.deliver_webhook() == AGAIN
        assert entry_points.check_out() == AGAIN
        assert shop.app.test_client().get("/").status_code == 200, "reading goes on"
        other.exec_driver_sql("ROLLBACK")
        other.exec_driver_sql("BEGIN")
        nothing_happened(shop, entry_points.order)
    entry_points.work_again()


@on_sqlite
def test_a_checkout_that_the_database_could_not_write_is_shown_again_with_what_was_typed(
    entry_points: EntryPoints,
) -> None:
    with every_connection(db.engine, "busy_timeout=50"), db.engine.connect() as other:
        other.exec_driver_sql("ROLLBACK")
        other.exec_driver_sql("BEGIN IMMEDIATE")
        shown = entry_points.customer.post("/checkout", data=entry_points.form)
        other.exec_driver_sql("ROLLBACK")
        other.exec_driver_sql("BEGIN")
    assert (shown.status_code, shown.headers["Retry-After"]) == (503, "5")
    assert "We cannot place your order at the moment." in shown.text
    assert all(f'value="{ADDRESS[name]}"' in shown.text for name in ("email", "name", "line1", "city"))
    entry_points.work_again()


@on_sqlite
def test_of_eight_writers_in_line_before_a_locked_file_none_waits_longer_than_two_turns(
    shop: Shop, race: Race, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 27: their turn is waited for as long as the lock itself, and not once for each who came before."""
    monkeypatch.setattr(core_db, "LOCK_TIMEOUT", 1.0)
    took: list[float] = []

    def add(_: int) -> None:
        began = time.monotonic()
        try:
            with transaction():
                changed(update(Stock).values(on_hand=Stock.on_hand + 1))
        finally:
            took.append(time.monotonic() - began)

    with every_connection(db.engine, "busy_timeout=1000"), db.engine.connect() as other:
        other.exec_driver_sql("ROLLBACK")
        other.exec_driver_sql("BEGIN IMMEDIATE")
        refused = race(add)
        other.exec_driver_sql("ROLLBACK")
        other.exec_driver_sql("BEGIN")
    assert {type(answer) for answer in refused} == {OperationalError}
    assert max(took) < 5, "eight turns would be eight seconds"
    db.session.rollback()
    assert set(db.session.scalars(db.select(Stock.on_hand))) == {UNITS}


def test_a_writer_waits_five_seconds_for_the_lock_and_a_reader_ten_for_a_connection() -> None:
    """Faults 26 and 27: no caller hangs."""
    sqlite, postgresql = (settings.load(environ(url, "")) for url in ("sqlite:///x", "postgresql://x"))
    assert engine_options(sqlite)["connect_args"]["timeout"] == 5
    assert engine_options(postgresql)["pool_timeout"] == 10
    assert engine_options(postgresql)["connect_args"]["connect_timeout"] == 2


@on_sqlite
def test_with_a_full_disk_webhooks_are_refused_with_503_and_nothing_is_half_written(
    shop: Shop, entry_points: EntryPoints
) -> None:
    """Fault 26: after a 200 the row exists and is applied, after a 503 it does not exist."""
    payment = shop.payment(entry_points.order)
    pages = db.session.execute(db.text("PRAGMA page_count")).scalar()
    with every_connection(db.engine, f"max_page_count={pages}"):
        answers = [
            shop.deliver_webhook(payment, f"evt-full-{n}", state="OPEN", captures=[], note="x" * 60_000)
            for n in range(60)
        ]
        refused = [status for status, _ in answers if status == 503]
        assert refused, "the disk was not full"
        assert shop.count(WebhookEventRow) == len(answers) - len(refused)
        assert entry_points.deliver_webhook() in (AGAIN, (200, False))
        assert entry_points.check_out() in (AGAIN, (303, False))
    if shop.count(Order) == 1:
        assert entry_points.check_out() == (303, False)
    assert entry_points.deliver_webhook() == (200, False)
    assert (shop.state(entry_points.order), shop.captures(entry_points.order)) == ("PAID", ["pays_order"])


# --- no connection left ---


@on_postgresql
def test_with_every_connection_in_use_webhooks_and_checkout_answer_with_retry_after(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 26."""
    few = {"pool_size": 2, "max_overflow": 0, "pool_timeout": 0.1}
    monkeypatch.setattr(roof, "engine_options", lambda config: engine_options(config) | few)
    app = made(database_url, redis_url)
    with app.app_context():
        entry_points = EntryPoints(Shop(app))
        db.session.remove()
        taken = [db.engine.connect() for _ in range(2)]
        assert entry_points.deliver_webhook() == AGAIN
        assert entry_points.check_out() == AGAIN
        assert app.test_client().get("/").status_code == 503
        for connection in taken:
            connection.close()
        nothing_happened(entry_points.shop, entry_points.order)
        entry_points.work_again()
        entry_points.shop.is_sound()
        db.session.remove()
        db.engine.dispose()


def made(database_url: str, redis_url: str, **more: str) -> Flask:
    """A separate shop with the fake acquirer; `more` are settings."""
    app = create_app(environ(database_url, redis_url, **more), TESTING=True, PROPAGATE_EXCEPTIONS=False)
    with app.app_context():
        acquirer = app.extensions["test_acquirer"] = Acquirer(clock.now)
        registry.all_providers()["fakepay"] = FakePay(acquirer)
    return app


# --- restarted ---


@pytest.mark.full
def test_a_database_restarted_under_load_fails_requests_cleanly_and_every_acknowledged_write_is_kept(
    own_postgres: PostgresServer, redis_url: str
) -> None:
    """Case 26, fault 26: each 2xx is kept, each 503 had no effect or its full effect."""
    url = own_postgres.url(own_postgres.create(own_postgres.template("shop", migrate)))
    app = made(url, redis_url)
    with app.app_context():
        shop = Shop(app)
        orders = []
        for _ in range(12):
            orders.append(shop.order((PEN, 1)))
            shop.restock(PEN)
            shop.acquirer.capture(shop.payment(orders[-1]).id)
        sent = {shop.payment(order).id: shop.acquirer.webhook(shop.payment(order).id, order.number) for order in orders}
        orders = [remembered(order) for order in orders]
        db.session.remove()
        statuses = under_load(app, list(sent.values()), own_postgres)
        assert set(statuses) <= {200, 503}, statuses
        assert {200, 503} == set(statuses), "the restart came too early or too late"
        acknowledged = [order for order, status in zip(orders, statuses, strict=True) if status == 200]
        shop.turn(seconds=31)
        assert {shop.state(order) for order in acknowledged} == {"PAID"}
        shop.turn(seconds=31)
        assert {shop.state(order) for order in orders} == {"PAID"}, "what was refused is found by asking"
        shop.is_sound()
        db.session.remove()
        db.engine.dispose()


def under_load(app: Flask, webhooks: list[Any], server: PostgresServer) -> list[int]:
    """Four callers post the webhooks; in the middle the database is killed and restarted."""
    answers: list[int] = [0] * len(webhooks)
    turn = iter(range(len(webhooks)))
    lock, gone = threading.Lock(), threading.Event()

    def call() -> None:
        client = app.test_client()
        while True:
            with lock:
                number = next(turn, None)
            if number is None:
                return
            if number == len(webhooks) * 3 // 4:
                gone.wait(20)  # the last quarter is sent after the restart
            headers, body = webhooks[number]
            answers[number] = client.post("/webhooks/fakepay", headers=headers, data=body).status_code

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    until(lambda: sum(map(bool, answers)) >= 3, what="some answers")
    server.stop("immediate")
    until(lambda: 503 in answers or not any(caller.is_alive() for caller in callers), what="a refused caller")
    server.start()
    gone.set()
    for caller in callers:
        caller.join(60)
    return answers


# --- deadlocks ---


@on_postgresql
def test_eight_deadlocked_transactions_are_atomic_and_each_retry_is_counted(shop: Shop, race: Race) -> None:
    """Fault 28: stock is locked by SKU everywhere, so this test locks as no code of the shop does."""
    before = given_up()
    held = threading.Event()
    both = threading.Barrier(2, action=held.set)

    def unsorted(number: int) -> None:
        tries = iter(range(9))

        @transactional
        def add_to_both() -> None:
            first = next(tries) == 0
            for sku in (KETTLE, PEN) if number % 2 else (PEN, KETTLE):
                changed(update(Stock).where(Stock.sku == sku).values(on_hand=Stock.on_hand + 1))
                if first and number < 2 and not held.is_set():
                    both.wait(30)  # each of these two holds the lock that the other one needs

        if number >= 2:
            held.wait(30)
        add_to_both()

    done = sum(result is None for result in race(unsorted))
    assert done >= 2
    assert given_up() > before
    db.session.rollback()
    shelves = db.session.scalars(db.select(Stock.on_hand).order_by(Stock.sku)).all()
    assert shelves == [UNITS + done, UNITS + done], "both shelves or neither"
    with transaction():
        db.session.execute(update(Stock).values(on_hand=UNITS))


def given_up() -> float:
    return counted("settled_transactions_retried", reason="40P01")


@on_postgresql
def test_a_transaction_that_is_always_aborted_is_tried_three_times_and_then_reported(shop: Shop) -> None:
    """Fault 28."""
    tries: list[int] = []

    @transactional
    def hopeless() -> None:
        tries.append(1)
        db.session.execute(db.text("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$"))

    with pytest.raises(Exception, match="40001"):
        hopeless()
    assert len(tries) == 3
