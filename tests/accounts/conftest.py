"""A shop for these tests, on either database, with a real Redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from shop import create_app
from shop.core.db import db
from tests.parts.redis_server import RedisServer


def database_url(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """An empty database of `kind`."""
    return f"sqlite:///{folder}/shop.db" if kind == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture(params=["sqlite", "postgresql"])
def app(request: pytest.FixtureRequest, tmp_path: Path, own_redis: RedisServer) -> Iterator[Flask]:
    """The shop with empty tables and a Redis of its own, which the test may stop."""
    environ = {"DATABASE_URL": database_url(request.param, request, tmp_path), "REDIS_URL": own_redis.url}
    made = create_app(environ, WTF_CSRF_ENABLED=False)
    with made.app_context():
        db.create_all()
    yield made
    with made.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def context(app: Flask) -> Iterator[None]:
    """Inside the shop, without a request."""
    with app.app_context():
        yield


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
