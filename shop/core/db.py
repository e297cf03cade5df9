"""The database: one session, and writing units in which races are decided.

SQLite needs care (see docs/decisions/0003): SQLAlchemy's default transaction mode loses updates silently, so a writing
unit begins with BEGIN IMMEDIATE; and a process-wide lock comes before it, because a greenlet that waits for SQLite's
own lock blocks every other greenlet of the process, the holder included.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar, cast

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    BigInteger,
    CursorResult,
    DateTime,
    Engine,
    Executable,
    Insert,
    MetaData,
    Table,
    Update,
    event,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import InvalidatePoolError, OperationalError
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.types import TypeDecorator

from shop.core import driver, metrics
from shop.core.tail import Tail

_NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
T = TypeVar("T")
LOCK_PATIENCE = 5.0
"""Seconds that a writer waits for SQLite's lock, and before that for its turn among the writers of its process."""
_TRIES = 3
_RESTED = 1.0  # seconds
_RETRIED = ("40001", "40P01")  # serialization failure, deadlock detected


class Base(DeclarativeBase):
    """Base of all tables of the shop."""

    metadata = MetaData(naming_convention=_NAMES)


MinorUnits = Annotated[int, mapped_column(BigInteger)]
"""A column of money. 32 bits end at NT$ 21 million, and what an acquirer tells of is kept whatever it is."""

db = SQLAlchemy(model_class=Base)
_sqlite_writer = threading.RLock()


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime; stored as naive UTC by databases that know no zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def engine_options(url: str) -> dict[str, Any]:
    """Pool and connect options for `url`: fail within seconds, never hang, and keep values out of errors' texts."""
    if url.startswith("sqlite"):
        return {"hide_parameters": True, "connect_args": {"timeout": LOCK_PATIENCE, "check_same_thread": False}}
    return {
        "hide_parameters": True,
        "pool_timeout": 3,
        "pool_size": 10,
        "max_overflow": 10,
        "connect_args": {"connect_timeout": 2},
    }


def prepare(engine: Engine) -> None:
    """Teach a SQLite engine to begin transactions itself, at the strength that the unit asks for."""
    if engine.dialect.name != "sqlite":
        _ask_those_that_rested(engine)
        return

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
            f"busy_timeout={LOCK_PATIENCE * 1000:.0f}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        immediate = connection.get_execution_options().get("writing")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _ask_those_that_rested(engine: Engine) -> None:
    """A connection that has rested for a second is asked whether it is still there before it is used.

    Asking each time, as pool_pre_ping does, costs a busy process a question for every unit.
    """

    @event.listens_for(engine, "checkin")
    def _checkin(_connection: Any, record: Any) -> None:
        record.info["rests_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _checkout(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get("rests_since", float("inf")) > _RESTED:
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as error:
                raise InvalidatePoolError() from error


@contextmanager
def writing() -> Iterator[None]:
    """One writing transaction: commits at the end, rolls back on any exception. Inside another, it joins that one.

    What was read before is forgotten first, so that a unit decides on what the database says now. What
    was put off until after the commit (later.py) runs after it, outside. Never call the network in here.
    """
    session = db.session()
    if session.info.get("writing"):
        yield
        return
    session.rollback()
    lock = _only_writer() if db.engine.dialect.name == "sqlite" else nullcontext()
    after: dict[Callable[[list[Any]], None], list[Any]] = {}
    with lock:
        session.info.update(writing=True, after_commit=after, tail=(tail := Tail()))
        try:
            session.connection(execution_options={"writing": True})
            yield
            tail.commit(session)
        except BaseException:
            session.rollback()
            raise
        finally:
            session.info.update(writing=False, after_commit=None, tail=None)
    for do, what in after.items():
        do(what)


@contextmanager
def _only_writer() -> Iterator[None]:
    """Alone among the writers of this process. Raises OperationalError when it takes as long as SQLite's own lock may.

    Without that, while the file is locked by somebody else, the n-th in line would hang n times as long.
    """
    if not _sqlite_writer.acquire(timeout=LOCK_PATIENCE):
        raise OperationalError("BEGIN IMMEDIATE", None, sqlite3.OperationalError("database is locked"))
    try:
        yield
    finally:
        _sqlite_writer.release()


def retried(unit: Callable[[], T]) -> T:
    """Run `unit`, again at most twice when the database gave it up to resolve a deadlock; each time is counted.

    Inside another unit it runs once: what the database gives up there is the whole of it.
    """
    if db.session().info.get("writing"):
        return unit()
    for attempt in range(_TRIES):
        try:
            return unit()
        except OperationalError as error:
            db.session.rollback()
            sqlstate = getattr(error.orig, "sqlstate", None)
            if sqlstate not in _RETRIED or attempt == _TRIES - 1:
                raise
            metrics.UNITS_AGAIN.labels(sqlstate).inc()
    raise AssertionError("unreachable")


def rows(statement: Insert | Update, **values: Any) -> list[tuple[Any, ...]]:
    """Carry out a statement that was made once, in the current unit, and return the rows that it returns.

    Past the session: what its objects have not yet said goes later, and what comes back are the driver's numbers and
    texts.
    """
    [found] = rows_of_each(statement, [values])
    return found


def rows_of_each(statement: Insert | Update, of_each: list[dict[str, Any]]) -> list[list[tuple[Any, ...]]]:
    """As `rows`, once with each of these values: what each time returned."""
    return driver.rows(db.session.connection(), statement, of_each) if of_each else []


def changed(statement: Executable, values: dict[str, Any] | None = None) -> int:
    """Carry out an UPDATE or DELETE and return how many rows it found: whoever finds none came second."""
    return cast("CursorResult[Any]", db.session.execute(statement, values)).rowcount


def table(model: type[Base]) -> Table:
    """The table of a model, for statements that need no objects: they cost a third of what the same costs with them."""
    return cast("Table", model.__table__)


def insert(model: type[Base], *, plain: bool = False) -> Any:
    """An INSERT into `model` that knows ON CONFLICT, in the words of the database in use; `plain`, one without
    objects.
    """
    into = table(model) if plain else model
    return (postgresql if db.engine.dialect.name == "postgresql" else sqlite).insert(into)
