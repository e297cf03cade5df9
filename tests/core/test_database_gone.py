"""What goes wrong beneath a page."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import text

from shop.core.db import db


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_database_that_goes_away_after_the_last_question_takes_back_no_answer(app: Flask) -> None:
    @app.get("/answered-just-in-time")
    def answer() -> str:
        backend = db.session.scalar(text("SELECT pg_backend_pid()"))
        with db.engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:backend)"), {"backend": backend})
        return "right"

    app.testing = False
    found = app.test_client().get("/answered-just-in-time")
    assert (found.status_code, found.text) == (200, "right")
    assert app.test_client().get("/healthz").status_code == 200
