"""A read-only database: a standby, a read-only file, a full disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from shop.core import writable
from shop.core.db import db
from tests.parts.lending import Databases
from tests.shop_fixtures import Shop, migrate
from tests.web.conftest import Visitor, visitor  # noqa: F401 - a fixture


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path, _databases: Databases) -> str:
    """On SQLite a file of its own: writing to it directly releases the locks of all connections of this process."""
    if request.param == "postgresql":
        return _databases.lend(request.param)
    url = f"sqlite:///{tmp_path}/shop.db"
    migrate(url)
    return url


@pytest.fixture
def read_only(app: Flask) -> Iterator[None]:
    """Make the database read-only for every connection during the block."""
    with app.app_context():
        engine = db.engine
        engine.dispose()
        if engine.dialect.name == "postgresql":
            name = db.session.scalar(text("SELECT current_database()"))
            db.session.rollback()
            _autocommit(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
            engine.dispose()
            yield
            _autocommit(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
            engine.dispose()
            return
        path = Path(str(engine.url.database))
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        _write_version(path, 3)
        engine.dispose()
        yield
        _write_version(path, 2)
        engine.dispose()


def _autocommit(statement: str) -> None:
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET default_transaction_read_only = off"))
        connection.execute(text(statement))
        connection.detach()


def _write_version(path: Path, version: int) -> None:
    """Byte 18 of the file: above 2 it is read-only."""
    with path.open("r+b") as file:
        file.seek(18)
        file.write(bytes([version]))


def test_writes_are_503_with_a_time_reading_goes_on_and_the_process_is_not_ready(
    app: Flask,
    shop: Shop,
    visitor: Visitor,  # noqa: F811
    request: pytest.FixtureRequest,
) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False
    path = visitor.order()
    payment = shop.payment(shop.order())
    headers, body = shop.acquirer.webhook(payment.id, "evt-read-only")
    visitor.get("/products/pen")
    assert visitor.client.get("/readyz").status_code == 200
    app.extensions.pop("settled_writable")
    request.getfixturevalue("read_only")
    answers = {
        "cart": visitor.post("/cart/lines", {"sku": "TEST-PEN", "quantity": 1}),
        "cancel": visitor.post(f"{path}/cancel"),
        "webhook": visitor.client.post("/webhooks/fakepay", data=body, headers=headers),
        "readyz": visitor.client.get("/readyz"),
    }
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(answers, 503)
    assert all(int(answers[name].headers["Retry-After"]) > 0 for name in ("cart", "cancel", "webhook"))
    assert answers["readyz"].json and answers["readyz"].json["database"] == "read-only"
    assert visitor.client.get("/products/pen").status_code == 200
    assert visitor.client.get("/healthz").status_code == 200


@pytest.mark.full
def test_a_process_is_ready_again_when_its_database_takes_writes_again(
    app: Flask, request: pytest.FixtureRequest
) -> None:
    client = app.test_client()
    assert client.get("/readyz").status_code == 200
    with app.app_context():
        seen = app.extensions["settled_writable"]
        writable.note_failure()
    assert client.get("/readyz").status_code == 503, "a write has just failed"
    seen.failed_at = float("-inf")
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_full_disk_is_503_and_not_ready_and_is_checked_once_in_two_seconds(
    app: Flask,
    visitor: Visitor,  # noqa: F811
) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False
    visitor.get("/products/pen")
    with app.app_context():
        engine = db.engine

    def full(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT"):
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise OperationalError(statement, None, error)

    event.listen(engine, "before_cursor_execute", full)
    try:
        answer = visitor.post("/cart/lines", {"sku": "TEST-PEN", "quantity": 1})
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert visitor.client.get("/readyz").status_code == 503
    finally:
        event.remove(engine, "before_cursor_execute", full)
