"""SQLite locks survive a second connection of the same process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask

import mock_acquirer
from mock_acquirer.db import db as acquirer_db
from shop import create_app
from shop.core.db import db
from tests.shop_fixtures import environ

TAKE_THE_WAL_AWAY = """
import sqlite3, sys
print(sqlite3.connect(sys.argv[1], timeout=0).execute("PRAGMA journal_mode=DELETE").fetchone())
"""
"""The last connection to a database removes the WAL when it closes, unless another process is connected."""


@pytest.mark.parametrize("world", ["shop", "acquirer"])
def test_a_second_connection_leaves_the_locks_of_the_first_to_it(world: str, tmp_path: Path) -> None:
    path = tmp_path / "one.db"
    app: Flask
    if world == "shop":
        app, engine_of = create_app(environ(f"sqlite:///{path}", "")), db
    else:
        app, engine_of = mock_acquirer.create_app({"ACQUIRER_DATABASE_URL": f"sqlite:///{path}"}), acquirer_db  # type: ignore[assignment]
    with app.app_context():
        engine = engine_of.engine
        with engine.connect() as first:
            first.exec_driver_sql("CREATE TABLE things (id INTEGER)")
            first.commit()
            first.exec_driver_sql("SELECT * FROM things").all()
            with engine.connect() as second:
                second.exec_driver_sql("SELECT * FROM things").all()
                tried = [sys.executable, "-c", TAKE_THE_WAL_AWAY, str(path)]
                other = subprocess.run(tried, capture_output=True, text=True)
        engine.dispose()
    assert "locked" in other.stderr, other.stdout
