"""Files in var/ are readable by their owner only, whatever the umask at the start."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

import mock_acquirer
from mock_acquirer.db import db as acquirer_db
from shop import create_app
from shop.core.db import db
from tests.shop_fixtures import environ


@pytest.fixture
def careless() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def shop(folder: Path) -> Flask:
    return create_app(environ(f"sqlite:///{folder}/shop.db", ""))


def acquirer(folder: Path) -> Flask:
    there = {"ACQUIRER_DATABASE_URL": f"sqlite:///{folder}/acquirer.db", "ACQUIRER_LOOP": "off"}
    return mock_acquirer.create_app(there)


def rights(folder: Path) -> dict[str, str]:
    return {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in folder.iterdir()}


@pytest.mark.parametrize(("make", "the_db", "name"), [(shop, db, "shop.db"), (acquirer, acquirer_db, "acquirer.db")])
@pytest.mark.parametrize("there_already", [False, True])
def test_a_database_file_and_its_journal_are_for_the_owner_alone(  # type: ignore[no-untyped-def]
    tmp_path: Path, careless: None, make, the_db, name: str, there_already: bool
) -> None:
    folder = tmp_path / "var"
    if there_already:  # created by an older version
        folder.mkdir()
        (folder / name).touch(0o644)
    app = make(folder)
    with app.app_context():
        the_db.create_all()
        found = rights(folder)
        the_db.session.remove()
        the_db.engine.dispose()
    assert found == dict.fromkeys((name, f"{name}-wal", f"{name}-shm"), "0o600")
