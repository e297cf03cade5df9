"""A version that starts with its release waits for it; after a rollback it starts on the newer schema."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.parts.postgres import PostgresServer
from tests.parts.processes import Process, Processes
from tests.shop_fixtures import environ


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    if request.param == "sqlite":
        return environ(f"sqlite:///{tmp_path}/shop.db", "")
    server: PostgresServer = request.getfixturevalue("postgres")
    return environ(server.url(server.create()), "")


@pytest.mark.full
def test_a_version_waits_until_the_release_has_migrated(settings: dict[str, str], process: Processes) -> None:
    def ready(*options: str) -> Process:
        return process(["python", "-m", "deploy.ready", *options], settings)

    at_once = ready()
    assert at_once.wait(within=60) == 1
    assert "the schema is at nothing" in at_once.text
    waiting = ready("--wait", "120")
    release = process(["python", "-m", "deploy.release"], settings)
    assert waiting.wait(within=90) == 0, waiting.text
    assert release.wait(within=60) == 0, release.text
    with create_engine(settings["DATABASE_URL"]).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'of a newer version'"))
    assert ready().wait(within=60) == 0, "after a rollback the schema is newer than the version"
