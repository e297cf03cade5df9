"""Statements in one round trip with COMMIT: all of them or none, and errors are raised before the block is left."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Connection, bindparam, insert, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError

from shop import create_app
from shop.core import clock
from shop.core.db import after_commit, changed, db, pipeline, read_together, table, transaction, transactional
from shop.inventory.models import Stock, StockMovement
from tests.parts.postgres import PostgresServer
from tests.parts.waiting import until
from tests.shop_fixtures import KETTLE, PEN, UNITS, environ, migrate

on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
_STOCK, AT = table(Stock), clock.wall()
_ADD = update(_STOCK).where(_STOCK.c.sku == bindparam("of")).values(on_hand=_STOCK.c.on_hand + bindparam("units"))
_MOVED, _NEW = insert(table(StockMovement)).inline(), insert(_STOCK).inline()


@pytest.fixture(autouse=True)
def inside(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def on_hand(sku: str = KETTLE) -> int:
    db.session.rollback()
    return db.session.scalars(db.select(Stock.on_hand).where(Stock.sku == sku)).one()


def movements(kind: str) -> int:
    db.session.rollback()
    return db.session.scalars(db.select(db.func.count()).where(StockMovement.kind == kind)).one()


def add(connection: Connection, sku: str = KETTLE, units: int = 1) -> None:
    connection.execute(_ADD, {"of": sku, "units": units})


def moved(connection: Connection, kind: str, sku: str = KETTLE) -> None:
    connection.execute(_MOVED, [{"sku": sku, "quantity": 1, "kind": kind, "at": AT}])


@pytest.mark.parametrize(
    "refused",
    [
        lambda connection: add(connection, units=-1000),
        lambda connection: moved(connection, "late", sku="no such thing"),
        lambda connection: connection.execute(_NEW, [{"sku": KETTLE, "on_hand": 1, "reserved": 0}]),
    ],
    ids=["less than nothing", "of an unknown thing", "a second time"],
)
@pytest.mark.parametrize("commit", [True, False])
def test_an_error_is_raised_at_the_end_at_the_latest_and_nothing_is_left(
    refused: Callable[[Connection], None], commit: bool
) -> None:
    called: list[str] = []

    @transactional
    def write() -> None:
        changed(update(Stock).where(Stock.sku == PEN).values(on_hand=Stock.on_hand + 1))
        after_commit(lambda: called.append("committed"))
        with pipeline(commit=commit) as connection:
            moved(connection, "late")
            refused(connection)
            moved(connection, "late")

    with pytest.raises(IntegrityError):
        write()
    assert (on_hand(PEN), movements("late"), called) == (UNITS, 0, [])
    with transaction(), pipeline(commit=commit) as connection:
        moved(connection, "late")
    assert movements("late") == 1, "the connection is as good as before"


def test_what_is_committed_in_a_pipeline_is_followed_by_its_callbacks() -> None:
    seen: list[int] = []

    @transactional
    def write() -> str:
        after_commit(lambda: seen.append(on_hand()))
        with pipeline(commit=True) as connection:
            add(connection, units=5)
        return "written"

    assert (write(), seen) == ("written", [UNITS + 5])


def test_a_pipeline_inside_a_transaction_is_undone_with_it() -> None:
    with pytest.raises(RuntimeError, match="no after all"), transaction():
        with pipeline() as connection:
            add(connection, units=5)
        assert db.session.scalars(db.select(Stock.on_hand).where(Stock.sku == KETTLE)).one() == UNITS + 5
        raise RuntimeError("no after all")
    assert on_hand() == UNITS


@on_postgresql
def test_a_deadlock_in_a_pipeline_is_resolved_and_both_are_done(app: Flask) -> None:
    barrier = threading.Barrier(2)
    tries: list[str] = []

    def take(first: str, second: str) -> None:
        @transactional
        def add_to_both() -> None:
            tries.append(first)
            changed(update(Stock).where(Stock.sku == first).values(on_hand=Stock.on_hand + 1))
            if len(tries) <= 2:
                barrier.wait(60)
            with pipeline(commit=True) as connection:
                add(connection, second)

        with app.app_context():
            add_to_both()

    in_threads(lambda: take(KETTLE, PEN), lambda: take(PEN, KETTLE))
    assert (on_hand(KETTLE), on_hand(PEN)) == (UNITS + 2, UNITS + 2)
    assert len(tries) >= 3


def test_a_connection_goes_to_the_next_transaction_after_its_pipeline(app: Flask) -> None:
    """Transactions reuse connections: none may see another one's pipeline."""
    broken: list[Exception] = []

    def work() -> None:
        try:
            with app.app_context():
                for _ in range(40):
                    with transaction(), pipeline(commit=True) as connection:
                        add(connection)
                        moved(connection, "shared")
                    on_hand()
                    db.session.rollback()
        except Exception as error:  # noqa: BLE001 - asserted below
            broken.append(error)

    in_threads(*[work] * 8)
    assert not broken
    assert (on_hand(), movements("shared")) == (UNITS + 320, 320)


@on_postgresql
def test_a_connection_that_is_cut_before_the_end_is_an_error_and_replaced() -> None:
    with pytest.raises(OperationalError), transaction():
        mine = db.session.scalar(text("SELECT pg_backend_pid()"))
        with db.engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": mine})
        with pipeline(commit=True) as connection:
            moved(connection, "late")
    assert movements("late") == 0
    db.session.rollback()
    with transaction(), pipeline(commit=True) as connection:
        moved(connection, "late")
    assert movements("late") == 1


_MOVEMENTS = select(table(StockMovement)).where(table(StockMovement).c.kind == bindparam("kind"))
_LOCKED = select(_STOCK.c.sku, _STOCK.c.on_hand).where(_STOCK.c.sku == bindparam("sku")).with_for_update()


def test_queries_that_are_read_together_find_what_each_of_them_finds_alone() -> None:
    with transaction(), pipeline() as connection:
        moved(connection, "late")
    values = {"sku": KETTLE, "kind": "late"}
    with transaction():
        stock, movements = read_together([_LOCKED, _MOVEMENTS], values)
        assert stock == [{"sku": KETTLE, "on_hand": UNITS}]
        assert movements == [dict(row) for row in db.session.execute(_MOVEMENTS, values).mappings()]
        assert [row["at"] for row in movements] == [AT], "a time in UTC"
    assert read_together([_LOCKED], {"sku": "no such thing"}) == [[]]
    db.session.rollback()


@on_postgresql
def test_the_second_query_sees_what_was_committed_while_the_first_one_waited_for_a_lock(app: Flask) -> None:
    found: list[Any] = []

    def read() -> None:
        with app.app_context(), transaction():
            found.extend(read_together([_LOCKED, _MOVEMENTS], {"sku": KETTLE, "kind": "late"}))

    with transaction():
        add(db.session.connection(), units=5)
        moved(db.session.connection(), "late")
        reader = threading.Thread(target=read)
        reader.start()
        until(
            lambda: db.session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")),
            what="the reader to wait",
        )
    reader.join(30)
    stock, movements = found
    assert (stock[0]["on_hand"], [row["kind"] for row in movements]) == (UNITS + 5, ["late"])


@on_postgresql
def test_a_query_that_waits_too_long_for_a_lock_raises_as_any_statement_does_and_leaves_the_connection_usable(
    app: Flask,
) -> None:
    def read() -> None:
        with app.app_context():
            with pytest.raises(OperationalError), transaction():
                db.session.execute(text("SET LOCAL lock_timeout = '50ms'"))
                read_together([_LOCKED, _MOVEMENTS], {"sku": KETTLE, "kind": "late"})
            assert read_together([_MOVEMENTS], {"kind": "late"}) == [[]]
            db.session.rollback()
            done.append(True)

    done: list[bool] = []
    with transaction():
        add(db.session.connection())
        in_threads(read)
    assert done


@pytest.mark.full
@on_postgresql
def test_after_a_restart_of_the_server_one_error_replaces_all_idle_connections(
    own_postgres: PostgresServer, redis_url: str
) -> None:
    url = own_postgres.url(own_postgres.create(own_postgres.template("shop", migrate)))
    with create_app(environ(url, redis_url), TESTING=True).app_context():
        idle = [db.engine.connect() for _ in range(4)]
        for connection in idle:
            connection.close()
        own_postgres.stop("immediate")
        own_postgres.start()
        with pytest.raises(OperationalError), transaction():
            read_together([_MOVEMENTS], {"kind": "late"})
        for _ in idle:
            assert read_together([_MOVEMENTS], {"kind": "late"}) == [[]]
            db.session.rollback()
        db.session.remove()
        db.engine.dispose()


def in_threads(*works: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
