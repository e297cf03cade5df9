"""PostgreSQL connections: pool, timeouts, and support for PgBouncer.

Behind a pooler in transaction mode every transaction may run on another connection. A session must therefore keep no
state: no prepared statements, no session-level locks, and timeouts are set in each transaction instead of at connect.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import InvalidatePoolError

_IDLE = 1.0  # seconds


def engine_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Options for `create_engine`: fail within seconds, never hang, and keep values out of the texts of errors."""
    connect: dict[str, Any] = {"connect_timeout": 2}
    if config["DATABASE_PREPARED_STATEMENTS"]:
        connect["options"] = " ".join(f"-c {name}={value}" for name, value in _timeouts(config).items())
    else:
        connect["prepare_threshold"] = None
    return {
        "hide_parameters": True,
        "pool_size": config["DATABASE_POOL_SIZE"],
        "max_overflow": config["DATABASE_POOL_OVERFLOW"],
        "pool_timeout": config["DATABASE_POOL_TIMEOUT"],
        "pool_use_lifo": True,  # the connection used last has the most prepared statements
        "connect_args": connect,
    }


def prepare(engine: Engine, config: Mapping[str, Any]) -> None:
    """Register event listeners on the engine: ping idle connections, set timeouts in each transaction behind a
    pooler.
    """
    _ping_idle_connections(engine)
    engine.dialect.use_insertmanyvalues_wo_returning = True  # many rows in one statement
    if not config["DATABASE_PREPARED_STATEMENTS"]:
        _set_timeouts_in_each_transaction(engine, config)


def _set_timeouts_in_each_transaction(engine: Engine, config: Mapping[str, Any]) -> None:
    """Set the timeouts at the begin of each transaction: a pooler refuses options at connect and shares sessions."""
    timeouts = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in _timeouts(config).items())

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"SELECT {timeouts}")


def _ping_idle_connections(engine: Engine) -> None:
    """Ping a connection before use if it was idle for a second. Pinging at every checkout, as pool_pre_ping does, costs
    a round trip for every transaction.
    """

    @event.listens_for(engine, "checkin")
    def _checkin(_connection: Any, record: Any) -> None:
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _checkout(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get("idle_since", float("inf")) > _IDLE:
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as error:
                raise InvalidatePoolError() from error


def end_reading(connection: Connection) -> None:
    """End a transaction that has only read, with COMMIT: at each ROLLBACK psycopg forgets the prepared statements of
    its connection, and the next request would have none. Nothing is sent on a connection that was cut.
    """
    if connection.invalidated:
        return
    driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
    if driver.info.transaction_status == TransactionStatus.INTRANS:
        with suppress(psycopg.Error):  # the ROLLBACK that follows raises it too, as an error of SQLAlchemy
            driver.commit()


def without_statement_timeout(connection: Connection) -> None:
    """Remove the statement timeout from the current transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))


def _timeouts(config: Mapping[str, Any]) -> dict[str, int]:
    """Milliseconds by the names of PostgreSQL's settings."""
    return {
        "lock_timeout": round(config["DATABASE_LOCK_TIMEOUT"] * 1000),
        "statement_timeout": round(config["DATABASE_STATEMENT_TIMEOUT"] * 1000),
    }
