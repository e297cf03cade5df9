"""A shop in this process with very many orders, and the means to fill its database fast.

The acquirer is the tests' fake, in the same process. Orders are placed normally and then copied (bench/copy_orders.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from sqlalchemy import Engine, event, text

from shop import create_app
from shop.core import clock
from shop.jobs import sqlite_statistics
from shop.payments.providers import registry
from tests.fakes import Acquirer, FakePay
from tests.shop_fixtures import Shop, environ

PROVIDERS = ("fakepay", "otherpay")
_INDEXES = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql LIKE 'CREATE INDEX %'",
    "postgresql": "SELECT indexname, indexdef FROM pg_indexes"
    " WHERE schemaname = 'public' AND indexdef LIKE 'CREATE INDEX %'",
}
"""Name and definition of each index that is not unique."""
_UNSAFE = {
    "sqlite": ("PRAGMA foreign_keys=OFF", "PRAGMA synchronous=OFF", "PRAGMA cache_size=-400000"),
    "postgresql": (
        "SET session_replication_role = replica",  # no triggers and no checks of foreign keys
        "SET synchronous_commit = off",
        "SET statement_timeout = 0",
        "SET idle_in_transaction_session_timeout = 0",
        "SET work_mem = '128MB'",
        "SET maintenance_work_mem = '512MB'",
    ),
}


class FilledShop:
    """The shop on a migrated database, and its actions."""

    def __init__(self, database_url: str, redis_url: str, **settings: str) -> None:
        self.app = create_app(environ(database_url, redis_url, LOG_FORMAT="json", **settings), RATE_LIMITS=False)
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
        with self.app.app_context():
            acquirer = Acquirer(clock.now)
            for name in PROVIDERS:
                registry.all_providers()[name] = FakePay(acquirer, name)
            self.app.extensions["test_acquirer"] = acquirer
            self.shop = Shop(self.app)


@contextmanager
def bulk(engine: Engine) -> Iterator[None]:
    """Fill without durability, foreign keys and indexes that are not unique; at the end build these and collect
    statistics, as production does.
    """
    kind = engine.dialect.name

    def prepare(connection: Any, _record: Any) -> None:
        for statement in _UNSAFE[kind]:
            connection.execute(statement)
        connection.commit()

    event.listen(engine, "connect", prepare)
    engine.dispose()
    with engine.begin() as connection:
        indexes = connection.execute(text(_INDEXES[kind])).all()
        for name, _ in indexes:
            connection.exec_driver_sql(f"DROP INDEX {name}")
    yield
    with engine.begin() as connection:
        for _, definition in indexes:
            connection.exec_driver_sql(definition, execution_options={"no_parameters": True})  # a definition may hold %
    if kind == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
    event.remove(engine, "connect", prepare)
    engine.dispose()
    if kind == "sqlite":
        sqlite_statistics.collect()
        engine.dispose()
