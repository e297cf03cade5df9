"""Transactions: atomic, nested, retried after a deadlock, and followed by their callbacks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, event, update
from sqlalchemy.exc import IntegrityError, OperationalError, StatementError

from shop.core import clock, http_client
from shop.core.db import after_commit, after_commit_once, changed, db, transaction, transactional
from shop.core.errors import PassiveCopy
from shop.inventory.models import Stock
from shop.orders.models import Order
from tests.parts.counters import counted
from tests.shop_fixtures import KETTLE, PEN, UNITS, bare_order

on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def inside(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def deadlock() -> OperationalError:
    cause = Exception("deadlock detected")
    cause.sqlstate = "40P01"  # type: ignore[attr-defined]
    return OperationalError("UPDATE", {}, cause)


def on_hand(sku: str = KETTLE) -> int:
    db.session.rollback()
    return db.session.scalars(db.select(Stock.on_hand).where(Stock.sku == sku)).one()


def add(number: int, sku: str = KETTLE) -> int:
    return changed(update(Stock).where(Stock.sku == sku).values(on_hand=Stock.on_hand + number))


@pytest.mark.usefixtures("inside")
def test_a_failed_transaction_writes_nothing_and_runs_no_callback() -> None:
    called: list[str] = []
    with pytest.raises(RuntimeError, match="no after all"), transaction():
        add(5)
        after_commit(lambda: called.append("added"))
        raise RuntimeError("no after all")
    assert (on_hand(), called) == (UNITS, [])


@pytest.mark.usefixtures("inside")
def test_callbacks_run_after_the_commit_and_outside_the_transaction() -> None:
    seen: list[tuple[int, bool]] = []
    with transaction():
        add(5)
        after_commit(lambda: seen.append((on_hand(), bool(db.session().info.get("writing")))))
        assert seen == []
    assert seen == [(UNITS + 5, False)]


@pytest.mark.usefixtures("inside")
def test_a_nested_transaction_is_part_of_the_outer_one() -> None:
    with pytest.raises(RuntimeError, match="both"), transaction():
        with transaction():
            add(5)
        raise RuntimeError("both or neither")
    assert on_hand() == UNITS


@pytest.mark.usefixtures("inside")
def test_a_nested_transaction_is_not_retried_alone() -> None:
    """The database has rolled back all of it: half of it must not continue."""
    tries: list[int] = []

    @transactional
    def part() -> None:
        tries.append(add(1))
        raise deadlock()

    @transactional
    def whole() -> None:
        add(5)
        part()

    with pytest.raises(OperationalError):
        whole()
    assert (on_hand(), len(tries)) == (UNITS, 3)


@pytest.mark.usefixtures("inside")
def test_a_transaction_that_the_database_aborted_is_retried_and_its_callbacks_run_once() -> None:
    tries: list[int] = []
    called: list[int] = []

    @transactional
    def unlucky(number: int, *, sku: str) -> int:
        """Add units."""
        tries.append(add(number, sku))
        after_commit(lambda: called.append(number))
        if len(tries) < 3:
            raise deadlock()
        return number * 2

    before = counted("settled_transactions_retried", reason="40P01")
    assert unlucky(5, sku=KETTLE) == 10
    assert (unlucky.__name__, unlucky.__doc__) == ("unlucky", "Add units.")
    assert (on_hand(), len(tries), called) == (UNITS + 5, 3, [5])
    assert counted("settled_transactions_retried", reason="40P01") - before == 2


@pytest.mark.usefixtures("inside")
def test_a_callback_that_raises_is_logged_and_the_others_run(capsys: pytest.CaptureFixture[str]) -> None:
    """The commit stands and does not look failed; a deadlock in a callback repeats nothing."""
    called: list[str] = []

    def broken() -> None:
        called.append("broken")
        raise deadlock()

    def broken_for_all(values: list[str]) -> None:
        raise RuntimeError(f"not for {values}")

    @transactional
    def write() -> str:
        add(5)
        after_commit(broken)
        after_commit_once(broken_for_all, "one")
        after_commit(lambda: called.append("later"))
        return "written"

    assert write() == "written"
    assert (on_hand(), called) == (UNITS + 5, ["broken", "later"])
    printed = capsys.readouterr()
    assert (printed.out + printed.err).count("transaction.callback_failed") == 2


@pytest.mark.usefixtures("inside")
def test_a_passive_copy_refuses_a_transaction_before_the_function_runs(app: Flask) -> None:
    app.config["SETTLED_PASSIVE"] = True
    with pytest.raises(PassiveCopy):
        transactional(add)(5)
    app.config["SETTLED_PASSIVE"] = False
    assert on_hand() == UNITS


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_on_sqlite_writers_of_a_process_take_turns(app: Flask) -> None:
    """Each begins after the previous commit, so none is refused by a locked file."""
    at_work: list[int] = []
    most: list[int] = []

    @transactional
    def write() -> None:
        at_work.append(1)
        most.append(len(at_work))
        add(1)
        time.sleep(0.01)
        at_work.pop()

    def run() -> None:
        with app.app_context():
            write()

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (on_hand(), set(most), len(most)) == (UNITS + 8, {1}, 8)


@pytest.mark.usefixtures("inside")
def test_a_transaction_reads_the_current_rows(app: Flask) -> None:
    """Earlier reads are expired first."""
    mine = db.session.get_one(Stock, KETTLE)
    assert mine.on_hand == UNITS

    def meanwhile() -> None:
        with app.app_context(), transaction():
            add(7)

    elsewhere = threading.Thread(target=meanwhile)
    elsewhere.start()
    elsewhere.join(10)
    with transaction():
        assert db.session.get_one(Stock, KETTLE).on_hand == UNITS + 7


@pytest.mark.usefixtures("inside")
def test_the_network_is_never_called_inside_a_transaction() -> None:
    with transaction(), pytest.raises(RuntimeError, match="never called inside a transaction"):
        http_client.leave_database()
    http_client.leave_database()


@pytest.mark.usefixtures("inside")
@on_postgresql
def test_two_deadlocked_transactions_both_commit_in_the_end(app: Flask) -> None:
    """The database aborts one of them; it is retried."""
    barrier = threading.Barrier(2)
    tries: list[str] = []

    def take(first: str, second: str) -> None:
        @transactional
        def add_both() -> None:
            tries.append(first)
            add(1, first)
            if len(tries) <= 2:
                barrier.wait(60)
            add(1, second)

        with app.app_context():
            add_both()

    threads = [threading.Thread(target=take, args=pair) for pair in ((KETTLE, PEN), (PEN, KETTLE))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert (on_hand(KETTLE), on_hand(PEN)) == (UNITS + 2, UNITS + 2)
    assert len(tries) >= 3


@pytest.mark.usefixtures("inside")
def test_an_error_that_is_no_conflict_is_not_retried() -> None:
    tries: list[int] = []

    @transactional
    def wrong() -> None:
        tries.append(1)
        add(-1000)

    with pytest.raises((IntegrityError, OperationalError)):
        wrong()
    assert (len(tries), on_hand()) == (1, UNITS)


@pytest.mark.usefixtures("inside")
def test_a_time_without_a_zone_is_refused_and_times_come_back_in_utc() -> None:
    order_id = bare_order("PENDING")
    with pytest.raises(StatementError, match="without a zone"), transaction():
        db.session.get_one(Order, order_id).pay_by = datetime(2030, 1, 1)  # noqa: DTZ001 - that is the point
    found = db.session.get_one(Order, order_id, populate_existing=True).pay_by
    assert found.utcoffset() == timedelta(0)


@pytest.mark.usefixtures("inside")
def test_the_clock_is_turned_for_all_processes_and_never_back(app: Flask) -> None:
    before = clock.now()
    clock.advance(timedelta(hours=3))
    assert clock.now() - before >= timedelta(hours=3)
    app.extensions.pop("settled_clock")
    assert clock.now() - before >= timedelta(hours=3), "as another process reads it"
    with pytest.raises(ValueError, match="never goes back"):
        clock.advance(timedelta(seconds=-1))
    assert clock.wall() - before < timedelta(minutes=1)


@pytest.mark.usefixtures("inside")
def test_in_production_the_clock_is_the_wall_clock(app: Flask) -> None:
    clock.advance(timedelta(hours=3))
    app.config["SETTLED_ENV"] = "production"
    assert abs(clock.now() - clock.wall()) < timedelta(seconds=1)
    with pytest.raises(ValueError, match="advanced in development only"):
        clock.advance(timedelta(hours=1))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_database_locked_for_too_long_is_reported_and_nothing_is_half_written(app: Flask) -> None:
    """Another program writes to the SQLite file and does not finish."""
    with app.app_context(), impatient(db.engine), db.engine.connect() as other:
        other.exec_driver_sql("ROLLBACK")
        other.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="locked"), transaction():
            add(5)
        answer = app.test_client().post("/webhooks/fakepay", headers={"x-signature": "good"}, data=NOTICE)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        other.exec_driver_sql("ROLLBACK")
        other.exec_driver_sql("BEGIN")
        assert on_hand() == UNITS
        with transaction():
            add(1)
        assert on_hand() == UNITS + 1


@contextmanager
def impatient(engine: Engine) -> Iterator[None]:
    """Shorten the lock timeout."""

    def hurry(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA busy_timeout=50")

    event.listen(engine, "connect", hurry)
    engine.dispose()
    yield
    event.remove(engine, "connect", hurry)
    engine.dispose()


NOTICE = b'{"id":"evt-1","reference":"X","state":null,"captures":[],"decline":null,"end_reason":null,"merchant":"demo"}'
