"""Writing units: all of it or nothing, one of two, again after a deadlock, and nothing told before it is true."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, event, update
from sqlalchemy.exc import IntegrityError, OperationalError, StatementError

from shop.core import clock, http
from shop.core.db import changed, db, retried, writing
from shop.core.later import after_commit
from shop.inventory.models import Stock
from shop.orders.models import Order
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
def test_a_unit_that_fails_leaves_nothing_and_tells_nothing() -> None:
    told: list[str] = []
    with pytest.raises(RuntimeError, match="no after all"), writing():
        add(5)
        after_commit(lambda: told.append("added"))
        raise RuntimeError("no after all")
    assert (on_hand(), told) == (UNITS, [])


@pytest.mark.usefixtures("inside")
def test_what_is_told_is_told_after_the_commit_and_outside_of_it() -> None:
    seen: list[tuple[int, bool]] = []
    with writing():
        add(5)
        after_commit(lambda: seen.append((on_hand(), bool(db.session().info.get("writing")))))
        assert seen == []
    assert seen == [(UNITS + 5, False)]


@pytest.mark.usefixtures("inside")
def test_a_unit_inside_another_is_part_of_it() -> None:
    with pytest.raises(RuntimeError, match="both"), writing():
        with writing():
            add(5)
        raise RuntimeError("both or neither")
    assert on_hand() == UNITS


@pytest.mark.usefixtures("inside")
def test_a_unit_inside_another_is_not_tried_again_alone() -> None:
    """The database has given up all of it: half of it must not go on."""
    tries: list[int] = []

    def part() -> None:
        tries.append(add(1))
        raise deadlock()

    def whole() -> None:
        with writing():
            add(5)
            retried(part)

    with pytest.raises(OperationalError):
        retried(whole)
    assert (on_hand(), len(tries)) == (UNITS, 3)


@pytest.mark.usefixtures("inside")
def test_a_unit_decides_on_what_the_database_says_now(app: Flask) -> None:
    """What was read before is forgotten first."""
    mine = db.session.get_one(Stock, KETTLE)
    assert mine.on_hand == UNITS

    def meanwhile() -> None:
        with app.app_context(), writing():
            add(7)

    elsewhere = threading.Thread(target=meanwhile)
    elsewhere.start()
    elsewhere.join(10)
    with writing():
        assert db.session.get_one(Stock, KETTLE).on_hand == UNITS + 7


@pytest.mark.usefixtures("inside")
def test_the_network_is_never_called_inside_a_unit() -> None:
    with writing(), pytest.raises(RuntimeError, match="never called inside a transaction"):
        http.leave_database()
    http.leave_database()


@pytest.mark.usefixtures("inside")
@on_postgresql
def test_two_units_that_wait_for_each_other_are_both_done_in_the_end(app: Flask) -> None:
    """The database gives one of them up; it is done again."""
    barrier = threading.Barrier(2)
    tries: list[str] = []

    def take(first: str, second: str) -> None:
        def unit() -> None:
            tries.append(first)
            with writing():
                add(1, first)
                if len(tries) <= 2:
                    barrier.wait(60)
                add(1, second)

        with app.app_context():
            retried(unit)

    threads = [threading.Thread(target=take, args=pair) for pair in ((KETTLE, PEN), (PEN, KETTLE))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert (on_hand(KETTLE), on_hand(PEN)) == (UNITS + 2, UNITS + 2)
    assert len(tries) >= 3


@pytest.mark.usefixtures("inside")
def test_what_is_wrong_and_no_deadlock_is_not_tried_again() -> None:
    tries: list[int] = []

    def wrong() -> None:
        tries.append(1)
        with writing():
            add(-1000)

    with pytest.raises((IntegrityError, OperationalError)):
        retried(wrong)
    assert (len(tries), on_hand()) == (1, UNITS)


@pytest.mark.usefixtures("inside")
def test_a_time_without_a_zone_is_refused_and_times_come_back_in_utc() -> None:
    order_id = bare_order("PENDING")
    with pytest.raises(StatementError, match="without a zone"), writing():
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
def test_in_production_the_clock_is_the_wall(app: Flask) -> None:
    clock.advance(timedelta(hours=3))
    app.config["SETTLED_ENV"] = "production"
    assert abs(clock.now() - clock.wall()) < timedelta(seconds=1)
    with pytest.raises(ValueError, match="only turned in development"):
        clock.advance(timedelta(hours=1))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_database_that_is_locked_for_too_long_is_said_so_and_nothing_is_half_written(app: Flask) -> None:
    """Somebody else's program writes to the SQLite file and does not come to an end."""
    with app.app_context(), impatient(db.engine), db.engine.connect() as other:
        other.exec_driver_sql("ROLLBACK")
        other.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="locked"), writing():
            add(5)
        answer = app.test_client().post("/webhooks/fakepay", headers={"x-signature": "good"}, data=NOTICE)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        other.exec_driver_sql("ROLLBACK")
        other.exec_driver_sql("BEGIN")
        assert on_hand() == UNITS
        with writing():
            add(1)
        assert on_hand() == UNITS + 1


@contextmanager
def impatient(engine: Engine) -> Iterator[None]:
    """Nobody waits five seconds for a lock."""

    def hurry(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA busy_timeout=50")

    event.listen(engine, "connect", hurry)
    engine.dispose()
    yield
    event.remove(engine, "connect", hurry)
    engine.dispose()


NOTICE = b'{"id":"evt-1","reference":"X","state":null,"captures":[],"decline":null,"end_reason":null,"merchant":"demo"}'
