"""The acquirer's database: SQLite (WAL) or PostgreSQL, writing units, and what happens after a commit."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from flask import Flask, current_app
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import BigInteger, Connection, Dialect, Engine, event, literal_column
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


class Base(DeclarativeBase):
    """Root of the acquirer's tables."""


db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})

if TYPE_CHECKING:
    Model = Base
else:
    Model = db.Model


class Moment(TypeDecorator[datetime]):
    """Aware UTC in Python, whole microseconds since 1970 in the database: a run's clock offset can be added in SQL."""

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
    """The address as SQLAlchemy wants it: `postgres://` becomes psycopg, a relative SQLite path stays as it is."""
    for prefix in ("postgres://", "postgresql://"):
        if written.startswith(prefix):
            return "postgresql+psycopg://" + written[len(prefix) :]
    return written


def init_db(app: Flask, written: str) -> None:
    """Connect the app to its database with the options that its kind needs."""
    url = make_url(database_url(written))
    app.config["SQLALCHEMY_DATABASE_URI"] = url.render_as_string(hide_password=False)
    if url.get_backend_name() == "sqlite":
        if url.database and url.database != ":memory:":
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"hide_parameters": True, "connect_args": {"timeout": 5}}
        app.extensions["acquirer.write_lock"] = threading.Lock()
    else:
        app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {
            "hide_parameters": True,
            "pool_pre_ping": True,
            "pool_timeout": 3,
            "pool_size": 10,
            "max_overflow": 20,
            "connect_args": {"connect_timeout": 2},
        }
    db.init_app(app)
    if url.get_backend_name() == "sqlite":
        with app.app_context():
            _tune_sqlite(db.engine)


def _tune_sqlite(engine: Engine) -> None:
    """SQLAlchemy's default mode loses updates silently on SQLite, so we emit BEGIN ourselves."""

    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=5000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        writing = connection.get_execution_options().get("writing")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def unit(work: Callable[P, R]) -> Callable[P, R]:
    """Run `work` as one writing transaction; inside another unit it joins that one.

    A serialization failure or deadlock is tried again, three times in all. Call no network inside.
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
        session.commit()  # ends the reads before: a SQLite read transaction cannot become a writing one safely
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
    """A greenlet that yields inside a SQLite write transaction freezes a gevent process; the lock prevents that."""
    return current_app.extensions.get("acquirer.write_lock") or nullcontext()


def after_commit(act: Callable[[], None]) -> None:
    """Do `act` once the unit around us is committed. Only inside a unit."""
    db.session().info["after"].append(act)


def seen_in_unit() -> dict[Any, Any]:
    """A notebook for what was read in this unit; outside a unit an empty one that nobody keeps."""
    seen: dict[Any, Any] = db.session().info.get("seen", {})
    return seen


def release() -> None:
    """Give the connection back before waiting for anything: no transaction stays open across the network or a sleep."""
    db.session().commit()


def insert_once(model: type[Base], **values: Any) -> bool:
    """Insert the row unless its unique key is taken; True when it was ours. Only inside a unit."""
    engine = db.engine.dialect.name
    table: Any = model.__table__
    insert = postgresql.insert(table) if engine == "postgresql" else sqlite.insert(table)
    once: Any = insert.values(**values).on_conflict_do_nothing().returning(literal_column("1"))  # inserts count no rows
    return db.session.scalar(once) is not None
