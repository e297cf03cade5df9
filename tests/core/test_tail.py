"""What a unit puts off to its end is written with it or not at all, in one trip where the database can."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from sqlalchemy import bindparam, text, update
from sqlalchemy.exc import IntegrityError, OperationalError

from shop.core import clock
from shop.core.db import changed, db, retried, table, writing
from shop.core.later import add_last, change_last
from shop.inventory.models import Stock, StockMovement
from tests.parts.waiting import until
from tests.shop_fixtures import KETTLE, PEN, UNITS

on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
_STOCK = table(Stock)
_ADD = update(_STOCK).where(_STOCK.c.sku == bindparam("of")).values(on_hand=_STOCK.c.on_hand + bindparam("units"))


@pytest.fixture(autouse=True)
def inside(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def on_hand(sku: str = KETTLE) -> int:
    return db.session.scalars(db.select(Stock.on_hand).where(Stock.sku == sku)).one()


def movements(kind: str) -> int:
    return db.session.scalars(db.select(db.func.count()).where(StockMovement.kind == kind)).one()


def moved(kind: str, sku: str = KETTLE) -> None:
    add_last(StockMovement, sku=sku, quantity=1, kind=kind, at=clock.now())


def test_what_is_put_off_is_written_at_the_end_of_the_unit() -> None:
    with writing():
        change_last(_ADD, of=KETTLE, units=5)
        moved("late")
        moved("late")
        assert (on_hand(), movements("late")) == (UNITS, 0)
    assert (on_hand(), movements("late")) == (UNITS + 5, 2)


def test_outside_of_a_unit_and_inside_a_savepoint_nothing_is_put_off() -> None:
    with writing(), db.session.begin_nested():
        change_last(_ADD, of=KETTLE, units=5)
        assert on_hand() == UNITS + 5


def test_a_unit_that_is_given_up_writes_nothing_of_what_it_put_off() -> None:
    with pytest.raises(RuntimeError, match="no after all"), writing():
        moved("late")
        raise RuntimeError("no after all")
    with writing():
        change_last(_ADD, of=KETTLE, units=1)
    assert (on_hand(), movements("late")) == (UNITS + 1, 0)


@pytest.mark.parametrize(
    "refused",
    [
        lambda: change_last(_ADD, of=KETTLE, units=-1000),
        lambda: moved("late", sku="no such thing"),
        lambda: add_last(Stock, sku=KETTLE, on_hand=1, reserved=0),
    ],
    ids=["less than nothing", "of an unknown thing", "a second time"],
)
def test_what_the_database_refuses_at_the_end_takes_all_of_the_unit_with_it(refused: Callable[[], None]) -> None:
    with pytest.raises(IntegrityError), writing():
        changed(update(Stock).where(Stock.sku == PEN).values(on_hand=Stock.on_hand + 1))
        moved("late")
        refused()
    assert (on_hand(PEN), movements("late")) == (UNITS, 0)
    with writing():
        moved("late")
    assert movements("late") == 1, "the connection is as good as before"


@on_postgresql
def test_a_deadlock_at_the_end_of_two_units_is_resolved_and_both_are_done(app: Flask) -> None:
    barrier = threading.Barrier(2)
    tries: list[str] = []

    def take(first: str, second: str) -> None:
        def unit() -> None:
            tries.append(first)
            with writing():
                changed(update(Stock).where(Stock.sku == first).values(on_hand=Stock.on_hand + 1))
                change_last(_ADD, of=second, units=1)
                if len(tries) <= 2:
                    barrier.wait(60)

        with app.app_context():
            retried(unit)

    in_threads(lambda: take(KETTLE, PEN), lambda: take(PEN, KETTLE))
    assert (on_hand(KETTLE), on_hand(PEN)) == (UNITS + 2, UNITS + 2)
    assert len(tries) >= 3


def test_a_connection_that_is_passed_on_has_sent_everything_of_the_unit_before(app: Flask) -> None:
    """Many units share few connections: none may meet another one's pipeline."""
    broken: list[Exception] = []

    def work() -> None:
        try:
            with app.app_context():
                for _ in range(40):
                    with writing():
                        change_last(_ADD, of=KETTLE, units=1)
                        moved("shared")
                    on_hand()
                    db.session.rollback()
        except Exception as error:  # noqa: BLE001 - told below
            broken.append(error)

    in_threads(*[work] * 8)
    assert not broken
    assert (on_hand(), movements("shared")) == (UNITS + 320, 320)


@on_postgresql
def test_a_connection_that_is_cut_before_the_end_is_said_so_and_replaced() -> None:
    with pytest.raises(OperationalError), writing():
        moved("late")
        mine = db.session.scalar(text("SELECT pg_backend_pid()"))
        with db.engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": mine})
    assert movements("late") == 0
    db.session.rollback()
    with writing():
        moved("late")
    assert movements("late") == 1


def in_threads(*works: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)


@on_postgresql
def test_changes_of_one_kind_go_in_the_order_of_their_rows_so_that_no_two_units_wait_in_a_circle(app: Flask) -> None:
    first, second = sorted((KETTLE, PEN))

    def unit() -> None:
        with app.app_context(), writing():
            for sku in (second, first):
                change_last(_ADD, of=sku, units=1)

    waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with db.engine.connect() as other:
        other.execute(db.select(_STOCK).where(_STOCK.c.sku == first).with_for_update())
        caller = threading.Thread(target=unit)
        caller.start()
        until(lambda: other.execute(waits).scalar(), what="the unit to wait for the first row")
        other.execute(db.select(_STOCK).where(_STOCK.c.sku == second).with_for_update(nowait=True))
        other.rollback()
    caller.join(10)
    assert (on_hand(first), on_hand(second)) == (UNITS + 1, UNITS + 1)
