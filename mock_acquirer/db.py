"""The acquirer's database: SQLite (WAL) or PostgreSQL, transactions, and after-commit callbacks."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from flask import Flask, current_app
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import BigInteger, Connection, Dialect, Engine, event, literal_column, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

P = ParamSpec("P")
R = TypeVar("R")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
TRY_AGAIN = {"40001", "40P01"}
TRIES = 3
_making = threading.Lock()


class Base(DeclarativeBase):
    """Base class of the acquirer's tables."""


db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})

if TYPE_CHECKING:
    Model = Base
else:
    Model = db.Model


class Moment(TypeDecorator[datetime]):
    """Aware UTC in Python, whole microseconds since 1970 in the database, so that SQL can add a run's clock offset."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else EPOCH + value * MICROSECOND


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970. Raises TypeError for a naive time."""
    return (moment - EPOCH) // MICROSECOND


def database_url(written: str) -> str:
    """The address in SQLAlchemy's form: `postgres://` becomes psycopg, a relative SQLite path stays relative."""
    for prefix in ("postgres://", "postgresql://"):
        if written.startswith(prefix):
            return "postgresql+psycopg://" + written[len(prefix) :]
    return written


def init_db(app: Flask, written: str) -> None:
    """Connect the app to its database, with the options of its engine."""
    url = make_url(database_url(written))
    app.config["SQLALCHEMY_DATABASE_URI"] = url.render_as_string(hide_password=False)
    if url.get_backend_name() == "sqlite":
        app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"hide_parameters": True, "connect_args": {"timeout": 5}}
        app.extensions["acquirer.write_lock"] = threading.Lock()
    else:
        connect: dict[str, Any] = {"connect_timeout": 2}
        if not app.config["ACQUIRER_DATABASE_PREPARED_STATEMENTS"]:
            connect |= {"prepare_threshold": None}
        app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {
            "hide_parameters": True,
            "pool_pre_ping": True,
            "pool_timeout": 10,
            "pool_size": app.config["ACQUIRER_DATABASE_POOL_SIZE"],
            "max_overflow": 0,
            "connect_args": connect,
        }
    db.init_app(app)
    if url.get_backend_name() == "sqlite":
        with app.app_context():
            _tune_sqlite(db.engine)


def _tune_sqlite(engine: Engine) -> None:
    """Emit BEGIN ourselves: SQLAlchemy's default mode loses updates silently on SQLite."""

    @event.listens_for(engine, "do_connect")
    def make_private(*_: object) -> None:
        if engine.url.database and engine.url.database != ":memory:":
            _keep_private(Path(engine.url.database))

    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=5000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        writing = connection.get_execution_options().get("writing")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _keep_private(path: Path) -> None:
    """Make a SQLite database readable by its owner alone; SQLite gives -wal and -shm the same permissions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # An existing file is never opened: closing it would release every lock that this process holds on it (POSIX).
    with _making, suppress(OSError):
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o600))
    for each in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        with suppress(OSError):
            if each.stat().st_mode & 0o077:
                each.chmod(0o600)


def unit(work: Callable[P, R]) -> Callable[P, R]:
    """Run `work` in one write transaction; inside another transaction it joins that one.

    Serialization failures and deadlocks are retried, three attempts in all. Do not call the network inside.
    """

    @wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        session = db.session()
        if "after" in session.info:
            return work(*args, **kwargs)
        for last in (False,) * (TRIES - 1) + (True,):
            try:
                return _write(session, lambda: work(*args, **kwargs))
            except DBAPIError as failed:
                if last or getattr(failed.orig, "sqlstate", None) not in TRY_AGAIN:
                    raise
        raise AssertionError("unreachable")

    return run


def _write(session: Session, work: Callable[[], R]) -> R:
    if session.in_transaction():
        session.commit()  # end earlier reads: a SQLite read transaction cannot become a write transaction safely
    after: list[Callable[[], None]] = []
    session.info |= {"after": after, "seen": {}}
    try:
        with _write_lock():
            try:
                session.connection(execution_options={"writing": True})
                result = work()
                session.commit()
            except BaseException:
                session.rollback()
                raise
    finally:
        del session.info["after"], session.info["seen"]
    for act in after:
        act()
    return result


def _write_lock() -> AbstractContextManager[Any]:
    """Lock around SQLite writes: a greenlet that yields inside a write transaction would freeze a gevent process."""
    return current_app.extensions.get("acquirer.write_lock") or nullcontext()


@contextmanager
def alone(engine: Engine, name: str) -> Iterator[None]:
    """Run the block while no other process holds the lock `name`: an advisory lock on PostgreSQL, a lock
    on a file beside the database on SQLite.
    """
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection, connection.begin():
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            connection.execute(
                text("SELECT pg_advisory_xact_lock(:key)"), {"key": zlib.crc32(f"acquirer {name}".encode())}
            )
            yield
        return
    database = engine.url.database
    if not database or database == ":memory:":
        yield
        return
    path = Path(database)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.{name}-lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def after_commit(act: Callable[[], None]) -> None:
    """Call `act` after the surrounding transaction commits. Only inside a transaction."""
    db.session().info["after"].append(act)


def seen_in_unit() -> dict[Any, Any]:
    """Cache of reads within this transaction; outside a transaction a new dict that is discarded."""
    seen: dict[Any, Any] = db.session().info.get("seen", {})
    return seen


def release() -> None:
    """Return the connection before any wait: no transaction stays open across the network or a sleep."""
    db.session().commit()


def insert_once(model: type[Base], **values: Any) -> bool:
    """Insert the row unless its unique key exists; True when inserted. Only inside a transaction."""
    engine = db.engine.dialect.name
    table: Any = model.__table__
    insert = postgresql.insert(table) if engine == "postgresql" else sqlite.insert(table)
    # an insert that is ignored counts no rows
    once: Any = insert.values(**values).on_conflict_do_nothing().returning(literal_column("1"))
    return db.session.scalar(once) is not None
