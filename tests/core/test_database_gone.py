"""Failures of the database below a page."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from shop import create_app
from shop.core.db import db
from tests.shop_fixtures import environ


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_database_that_goes_away_after_the_last_question_takes_back_no_answer(
    database_url: str, redis_url: str
) -> None:
    app = create_app(environ(database_url, redis_url))

    @app.get("/answered-just-in-time")
    def answer() -> str:
        backend = db.session.scalar(text("SELECT pg_backend_pid()"))
        with db.engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:backend)"), {"backend": backend})
        return "right"

    found = app.test_client().get("/answered-just-in-time")
    assert (found.status_code, found.text) == (200, "right")
    assert app.test_client().get("/healthz").status_code == 200
    with app.app_context():
        db.engine.dispose()
