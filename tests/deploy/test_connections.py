"""Few database connections, a pooler, a locked table: every order is paid, and no request hangs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from flask import Flask

from bench.tools import each
from e2e.control import Control
from e2e.customers import HttpCustomer
from e2e.demo import Demo
from shop import settings
from shop.core import heartbeat
from shop.core.db import db, engine_options
from shop.jobs.clock import Clock
from tests.faults.test_at_the_database import AGAIN, EntryPoints, made, nothing_happened
from tests.parts.pgbouncer import PgBouncer
from tests.parts.postgres import PostgresServer
from tests.parts.processes import ROOT
from tests.parts.waiting import until
from tests.shop_fixtures import Shop, environ, migrate

HEROKU = 20
"""Connections that Heroku's smallest plan (essential-0) allows."""


def buy_and_pay(demo: Demo, orders: int) -> None:
    """Customers at the same time, each with one order, which they pay. Returns when all orders are PAID."""
    placed = each(range(orders), lambda _: _one(demo), hands=orders)
    each(placed, Control(demo).approve, hands=orders)
    until(lambda: _paid(demo) == orders, within=60, what="all orders to be PAID")


def _one(demo: Demo) -> str:
    customer = HttpCustomer(demo)
    return customer.go_and_pay(customer.order())


def _paid(demo: Demo) -> int:
    with psycopg.connect(demo.environ["DATABASE_URL"].replace("+psycopg", "")) as connection:
        [row] = connection.execute("SELECT count(*) FROM orders WHERE state = 'PAID'").fetchall()
    return int(row[0])


@pytest.fixture
def running(tmp_path: Path) -> Iterator[list[Demo]]:
    """Demos started by a test, which end with it."""
    demos: list[Demo] = []
    yield demos
    for demo in demos:
        demo.close()


def limited(server: PostgresServer, role: str) -> str:
    """The address of an empty database whose role may open as many connections as Heroku's smallest plan allows."""
    database = server.create()
    with psycopg.connect(f"host={server.folder} user=postgres dbname=postgres", autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT {HEROKU}")
        connection.execute(f"ALTER DATABASE {database} OWNER TO {role}")
    return f"postgresql+psycopg://{role}@/{database}?host={server.folder}"


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_thirty_orders_at_once_are_all_paid_on_herokus_smallest_plan(
    running: list[Demo], own_postgres: PostgresServer, tmp_path: Path
) -> None:
    """With the settings of app.json: web, worker, clock, and meanwhile the release of the next version."""
    shipped = json.loads((ROOT / "app.json").read_text())["env"]
    requested = {name: row["value"] for name, row in shipped.items() if name.startswith(("DATABASE_", "WEB_"))}
    demo = Demo(
        tmp_path,
        DATABASE_URL=limited(own_postgres, "shop"),
        ACQUIRER_DATABASE_URL=limited(own_postgres, "acquirer"),
        **requested,
    )
    running.append(demo)
    demo.start()
    with ThreadPoolExecutor() as pool:
        release = pool.submit(demo.processes, ["python", "-m", "deploy.release"], demo.environ)
        buy_and_pay(demo, 30)
    assert release.result().wait(within=60) == 0
    assert demo.flask("check").returncode == 0
    assert "too many connections" not in (own_postgres.folder / "log").read_text()


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_forty_orders_at_once_are_all_paid_through_pgbouncer_in_transaction_mode(
    running: list[Demo], pgbouncer: PgBouncer, postgres: PostgresServer, tmp_path: Path
) -> None:
    demo = Demo(
        tmp_path,
        DATABASE_URL=pgbouncer.url(postgres.create()),
        ACQUIRER_DATABASE_URL=pgbouncer.url(postgres.create()),
        DATABASE_PREPARED_STATEMENTS="false",
        DATABASE_POOL_SIZE="20",  # connections to the pooler are cheap
        ACQUIRER_DATABASE_PREPARED_STATEMENTS="off",
        WEB_CONCURRENCY="2",
    )
    running.append(demo)
    demo.start()
    buy_and_pay(demo, 40)
    assert demo.flask("check").returncode == 0
    for name, process in demo.running.items():
        assert "prepared statement" not in process.text, f"{name}: {process.text[-3000:]}"


def test_timeouts_are_set_at_connect_or_behind_a_pooler_in_each_transaction() -> None:
    direct = engine_options(settings.load(environ("postgresql://x", "")))["connect_args"]
    assert direct["options"] == "-c lock_timeout=3000 -c statement_timeout=30000"
    pooled = engine_options(settings.load(environ("postgresql://x", "", DATABASE_PREPARED_STATEMENTS="false")))
    assert pooled["connect_args"] == {"connect_timeout": 2, "prepare_threshold": None}


# --- a locked table ---


@pytest.fixture(params=["true", "false"], ids=["direct", "as behind a pooler"])
def impatient(
    request: pytest.FixtureRequest, postgres_shop: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Flask]:
    """A shop on PostgreSQL with a lock timeout of half a second."""
    few = {"DATABASE_LOCK_TIMEOUT": "0.5", "DATABASE_PREPARED_STATEMENTS": request.param}
    app = made(postgres_shop, redis_url, **few)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def postgres_shop(postgres: PostgresServer) -> str:
    return postgres.url(postgres.create(postgres.template("shop", migrate)))


@pytest.mark.full
@pytest.mark.sample(1)
def test_a_table_locked_by_another_session_blocks_no_request_and_the_clock_goes_on(impatient: Flask) -> None:
    entry_points = EntryPoints(Shop(impatient))
    db.session.remove()
    url = impatient.config["DATABASE_URL"].replace("+psycopg", "")
    clock = Clock()
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE orders, payments IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        assert entry_points.deliver_webhook() == AGAIN
        assert entry_points.check_out() == AGAIN
        assert time.monotonic() - began < 5
        clock.tick()
        assert time.monotonic() - began < 15, "each kind of work waits for half a second"
        age = heartbeat.age("clock")
        assert age is not None
        assert age < 2 * heartbeat.EVERY, "it says that it lives"
        assert impatient.test_client().get("/readyz").status_code == 200
        db.session.remove()
        other.rollback()
    nothing_happened(entry_points.shop, entry_points.order)
    entry_points.work_again()
    clock.tick()
    entry_points.shop.is_sound()
