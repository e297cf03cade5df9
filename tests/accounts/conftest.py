"""The shop from outside and from inside; with a Redis of its own for a test that hurts it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.parts.redis_server import RedisServer


@pytest.fixture
def redis_url(request: pytest.FixtureRequest) -> str:
    """A Redis of the test's own when it asks for one in order to hurt it; else the session's, emptied."""
    mine = "own_redis" in request.fixturenames
    server: RedisServer = request.getfixturevalue("own_redis" if mine else "redis_server")
    server.empty()
    return server.url


@pytest.fixture
def inside(app: Flask) -> Iterator[None]:
    """Inside the shop, without a request."""
    with app.app_context():
        yield


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    app.config["WTF_CSRF_ENABLED"] = False
    return app.test_client()
