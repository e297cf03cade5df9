"""Database session and writing transactions.

SQLite needs care (see docs/decisions/0003): SQLAlchemy's default transaction mode loses updates silently, so a writing
transaction begins with BEGIN IMMEDIATE; and a process-wide lock comes before it, because a greenlet that waits for
SQLite's own lock blocks every other greenlet of the process, the holder included.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial, wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar, cast

import psycopg
from flask import current_app
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    BigInteger,
    Connection,
    CursorResult,
    DateTime,
    Dialect,
    Engine,
    Executable,
    MetaData,
    PoolProxiedConnection,
    Select,
    Table,
    event,
    exc,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.types import TypeDecorator

from shop.core import logs, metrics, postgres
from shop.core.errors import PassiveCopy
from shop.core.session import Session

_NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
log = logs.get()
P = ParamSpec("P")
T = TypeVar("T")
LOCK_TIMEOUT = 5.0
"""Seconds that a writer waits for SQLite's lock, and before that for the other writers of its process."""
_TRIES = 3
_PREPARED = 512
"""Statements that a connection to SQLite keeps prepared. To prepare that of a list takes about as long as to execute
it, and the lists of the console alone, with their filters, have more than the driver's 128.
"""
_REOPENED = 3600
"""Seconds after which a connection to SQLite is opened again: it reads the planner's statistics when it is opened."""
_RETRIED = ("40001", "40P01")  # serialization failure, deadlock detected


class Base(DeclarativeBase):
    """Base of all tables of the shop."""

    metadata = MetaData(naming_convention=_NAMES)


MinorUnits = Annotated[int, mapped_column(BigInteger)]
"""A column of minor units. 64 bits, because 32 bits end at NT$ 21 million and any amount that an acquirer reports is
stored.
"""

db = SQLAlchemy(model_class=Base, session_options={"class_": Session})
_sqlite_writer = threading.RLock()
_making = threading.Lock()


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime; stored as naive UTC by databases without time zones."""

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


def engine_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Pool and connect options: fail within seconds, never hang, and keep values out of errors' texts."""
    if config["DATABASE_URL"].startswith("sqlite"):
        connect = {"timeout": LOCK_TIMEOUT, "check_same_thread": False, "cached_statements": _PREPARED}
        return {"hide_parameters": True, "connect_args": connect, "pool_recycle": _REOPENED}
    return postgres.engine_options(config)


def prepare(engine: Engine, config: Mapping[str, Any]) -> None:
    """Make a SQLite engine begin transactions explicitly; `transaction` makes writing ones of them."""
    if engine.dialect.name != "sqlite":
        postgres.prepare(engine, config)
        return

    @event.listens_for(engine, "do_connect")
    def _make_private(*_: Any) -> None:
        if engine.url.database and engine.url.database != ":memory:":
            keep_private(Path(engine.url.database))

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
            f"busy_timeout={LOCK_TIMEOUT * 1000:.0f}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    def begin(dbapi_connection: PoolProxiedConnection) -> None:
        cast("sqlite3.Connection", dbapi_connection.driver_connection).execute("BEGIN")  # it waits for no lock

    # A listener to the event `begin` would make SQLAlchemy call listeners around every statement.
    engine.dialect.do_begin = begin  # type: ignore[method-assign]


def keep_private(path: Path) -> None:
    """Make a SQLite database that only its owner may read. SQLite gives its -wal and -shm the same rights.

    Wider permissions of an existing file are removed where possible (not with another owner or on a read-only disk). An
    existing file is never opened here: closing it would end every lock that this process holds on it (POSIX), and
    another process could then remove the database's WAL.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _making, suppress(OSError):
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o600))
    for each in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        with suppress(OSError):
            if each.stat().st_mode & 0o077:
                each.chmod(0o600)


class OutdatedSnapshot(RuntimeError):
    """A row is not what the decision was made on; nothing of it may be committed."""


def transactional(function: Callable[P, T]) -> Callable[P, T]:
    """Run `function` in one writing transaction, as `transaction` describes.

    When the database aborts the transaction (serialization failure, deadlock), or a row has changed since the decision
    was made (OutdatedSnapshot), it runs again, at most twice; each retry is counted. Called inside a transaction, the
    function joins it and runs once: the outermost function is retried.
    """

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        if in_transaction():
            return function(*args, **kwargs)
        for attempt in range(1, _TRIES + 1):
            try:
                with transaction():
                    return function(*args, **kwargs)
            except (OperationalError, OutdatedSnapshot) as error:
                db.session.rollback()
                reason = _reason_to_retry(error)
                if reason is None or attempt == _TRIES:
                    raise
                metrics.TRANSACTIONS_RETRIED.labels(reason).inc()
        raise AssertionError("unreachable")

    return run


def _reason_to_retry(error: OperationalError | OutdatedSnapshot) -> str | None:
    """The SQLSTATE, or `outdated`; None for an error that a repetition would meet again."""
    if isinstance(error, OutdatedSnapshot):
        return "outdated"
    sqlstate = getattr(error.orig, "sqlstate", None)
    return sqlstate if sqlstate in _RETRIED else None


def in_transaction() -> bool:
    """True while a writing transaction is open."""
    return bool(db.session().info.get("writing"))


@contextmanager
def transaction() -> Iterator[None]:
    """A writing transaction: commits at the end, rolls back on any exception. Inside another, it joins that one.

    For code whose boundary is not a function; it is not repeated after a deadlock (see `transactional`). Objects that
    were read before are expired first, so that decisions use current rows. Callbacks of `after_commit` run after the
    commit, outside. Never call the network inside. Raises PassiveCopy where SETTLED_PASSIVE is on.
    """
    if current_app.config["SETTLED_PASSIVE"]:
        raise PassiveCopy
    if in_transaction():
        yield
        return
    end_reading()
    session = db.session()
    lock = _only_writer() if db.engine.dialect.name == "sqlite" else nullcontext()
    after: dict[Callable[[list[Any]], None], list[Any]] = {}
    with lock:
        session.info.update(writing=True, after_commit=after)
        try:
            _begin_writing(session.connection())
            yield
            session.commit()
        except BaseException:
            session.rollback()
            raise
        finally:
            session.info.update(writing=False, after_commit=None)
    for do, what in after.items():
        _call(partial(do, what))


def end_reading(*, is_last: bool = False) -> None:
    """End the session's transaction if it has only read. What has not been committed is lost: outside of `transaction`
    that is a defect, which is logged, and a RuntimeError in tests. With `is_last` the session ends too, and its objects
    keep what was read: a response may be sent after it.
    """
    session = cast("Session", db.session())
    is_reading, has_changed = session.in_transaction() and not in_transaction(), session.has_changed
    connection = session.open_connection
    if is_reading and session.is_active and not has_changed and connection and connection.dialect.name == "postgresql":
        postgres.end_reading(connection)
    (db.session.remove if is_last else session.rollback)()
    if is_reading and has_changed:
        log.error("transaction.change_outside")
        if current_app.testing:
            raise RuntimeError("a change outside of a transaction")


def after_commit(callback: Callable[[], None]) -> None:
    """Call `callback` once the current transaction has committed, with the log ids that are bound now; at once outside
    a transaction.

    A callback that raises is logged: the transaction is committed and must not look failed, and the other callbacks
    still run.
    """
    with_ids_of_now: Callable[[], None] = partial(copy_context().run, callback)
    after_commit_once(_call_each, with_ids_of_now)


def after_commit_once(do: Callable[[list[T]], None], what: T) -> None:
    """As `after_commit`: call `do` once, with every value that was given for it in this transaction."""
    after = db.session().info.get("after_commit")
    if after is None:
        _call(partial(do, [what]))
    else:
        after.setdefault(do, []).append(what)


def _call_each(callbacks: list[Callable[[], None]]) -> None:
    for callback in callbacks:
        _call(callback)


def _call(callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception as error:  # noqa: BLE001 - see after_commit
        db.session.rollback()
        log.error("transaction.callback_failed", error=f"{type(error).__name__}: {error}"[:500])


def _begin_writing(connection: Connection) -> None:
    """Make the transaction that has just begun, and has done nothing, a writing one."""
    if connection.dialect.name == "sqlite":
        cast("sqlite3.Connection", connection.connection.driver_connection).rollback()
        connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def _only_writer() -> Iterator[None]:
    """Hold the lock on writers of this process. Raises OperationalError after LOCK_TIMEOUT seconds.

    Without this limit the n-th waiting writer would hang n times as long while another process locks the file.
    """
    if not _sqlite_writer.acquire(timeout=LOCK_TIMEOUT):
        raise OperationalError("BEGIN IMMEDIATE", None, sqlite3.OperationalError("database is locked"))
    try:
        yield
    finally:
        _sqlite_writer.release()


@contextmanager
def pipeline(*, commit: bool = False) -> Iterator[Connection]:
    """Execute the block's statements in one round trip on PostgreSQL, with COMMIT if `commit`.

    For statements whose results are not read. Errors are raised at the end of the block at the latest. With `commit`
    the transaction has ended then: nothing may be written after it.
    """
    session = db.session()
    session.flush()
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        with _driver_pipeline(connection):
            yield connection
            if commit:
                connection.exec_driver_sql("COMMIT")
    else:
        yield connection
    if commit:
        session.commit()


@contextmanager
def _driver_pipeline(connection: Connection) -> Iterator[psycopg.Connection[Any]]:
    """psycopg's connection in pipeline mode. Errors are raised as SQLAlchemy raises them."""
    driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
    try:
        with driver.pipeline():
            yield driver
    except psycopg.Error as error:
        if driver.closed:  # SQLAlchemy, when it sees it, replaces all idle connections: a restart has cut them too
            with suppress(exc.DBAPIError):
                connection.exec_driver_sql("SELECT 1")
        raise _as_sqlalchemy(error) from error


def read_together(queries: Sequence[Select[Any]], values: Mapping[str, Any]) -> list[list[dict[str, Any]]]:
    """Execute queries in this order and return the rows of each, by column name: in one round trip on PostgreSQL.

    SQLAlchemy has no pipeline for results. `values` are strings and integers, given to every query that names them.
    """
    session = db.session()
    session.flush()
    connection = session.connection()
    if connection.dialect.name != "postgresql":
        return [[dict(row) for row in connection.execute(query, values).mappings()] for query in queries]
    sent = [_compiled(query, connection.dialect) for query in queries]
    with _driver_pipeline(connection) as driver:
        cursors = [driver.execute(each.text, each.parameters(values)) for each in sent]
    return [each.rows(cursor.fetchall()) for each, cursor in zip(sent, cursors, strict=True)]


@dataclass(frozen=True)
class _Compiled:
    """A query for the driver: its text, its own values, the names of those that are given to it, and its columns with
    their types' conversions.
    """

    text: str
    own: Mapping[str, Any]
    needed: tuple[str, ...]
    columns: tuple[tuple[str, Callable[[Any], Any] | None], ...]

    def parameters(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The values for the driver. Raises KeyError for one that is not given."""
        return {**self.own, **{name: given[name] for name in self.needed}}

    def rows(self, found: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
        return [
            {
                name: convert(value) if convert else value
                for (name, convert), value in zip(self.columns, row, strict=True)
            }
            for row in found
        ]


@lru_cache(maxsize=256)
def _compiled(query: Select[Any], dialect: Dialect) -> _Compiled:
    compiled = query.compile(dialect=dialect)
    columns = [(one.name, one.type.dialect_impl(dialect)) for one in query.selected_columns]
    return _Compiled(
        str(compiled),
        dict(compiled.params),
        tuple(name for name, bind in compiled.binds.items() if bind.required),
        tuple((name, kind.result_processor(dialect, None)) for name, kind in columns),
    )


def _as_sqlalchemy(error: psycopg.Error) -> exc.DBAPIError:
    """The SQLAlchemy error with the same name as an error of the driver."""
    kinds = (getattr(exc, kind.__name__, None) for kind in type(error).__mro__)
    kind = next((one for one in kinds if isinstance(one, type) and issubclass(one, exc.DBAPIError)), exc.DBAPIError)
    return kind(None, None, error, hide_parameters=True)


def changed(statement: Executable, values: dict[str, Any] | None = None) -> int:
    """Execute an UPDATE or DELETE and return the number of matched rows; 0 after a lost race."""
    return cast("CursorResult[Any]", db.session.execute(statement, values)).rowcount


def table(model: type[Base]) -> Table:
    """The table of a model, for Core statements, which cost a third of the same statement with ORM objects."""
    return cast("Table", model.__table__)


def insert(model: type[Base], *, plain: bool = False) -> Any:
    """An INSERT into `model` with ON CONFLICT, for the database in use; with `plain` a Core statement without ORM
    objects.
    """
    into = table(model) if plain else model
    return (postgresql if db.engine.dialect.name == "postgresql" else sqlite).insert(into)
