"""The mock acquirer: a third party that takes test payments and knows every way in which an acquirer can be unkind.

`create_app` is all that others need. It shares nothing with the shop but HTTP.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Mapping
from typing import Any

from flask import Flask
from flask_migrate import Migrate

from mock_acquirer import cli, control, dashboard, dialects, lab, logs, loop, pages, web, workbench
from mock_acquirer.courier import new_client
from mock_acquirer.db import db, init_db
from mock_acquirer.handover import HandOver
from mock_acquirer.settings import ROOT, ROWS, BadSetting, Row, load

LARGEST_BODY = 64 * 1024


def setting_rows() -> tuple[Row, ...]:
    """Every setting, those of the dialects included."""
    return ROWS + tuple(row for dialect in dialects.discover().values() for row in dialect.settings)


def create_app(settings: Mapping[str, Any] | None = None) -> Flask:
    """The acquirer as an app of its own; can be mounted under a prefix. `settings` wins over the environment.

    Raises BadSetting when a setting cannot be read, or a secret is missing in production.
    """
    found = dialects.discover()
    values = load(setting_rows(), settings)
    app = Flask(
        __name__,
        static_folder=str(ROOT / "static" / "mock_acquirer"),
        static_url_path="/static",
        template_folder=str(ROOT / "templates"),
    )
    app.config.update(values)
    app.config.update(
        SECRET_KEY=_cookie_key(values),
        SESSION_COOKIE_NAME="acq",
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=values["ACQUIRER_PUBLIC_URL"].startswith("https://"),
        SESSION_REFRESH_EACH_REQUEST=False,
        MAX_CONTENT_LENGTH=LARGEST_BODY,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    logs.set_up(app.logger, values["ACQUIRER_LOG_LEVEL"])
    init_db(app, values["ACQUIRER_DATABASE_URL"])
    Migrate(app, db, directory=str(ROOT / "migrations" / "acquirer"), render_as_batch=True)
    app.extensions["acquirer.http"] = new_client()
    app.extensions["acquirer.courier"] = HandOver(app)
    dialects.install(app, found)
    for blueprint in (pages.bp, dashboard.bp, control.bp, lab.bp, workbench.bp):
        app.register_blueprint(blueprint)
    web.set_up(app)
    cli.set_up(app)
    if values["ACQUIRER_LOOP"]:
        _loop_with_the_first_request(app)
    return app


def _cookie_key(values: dict[str, Any]) -> bytes:
    """The key of the cookie. Not the shop's, even where only SECRET_KEY is given."""
    written = values["ACQUIRER_SECRET_KEY"] or values["SECRET_KEY"]
    if not written and values["SETTLED_ENV"] == "production":
        raise BadSetting("Set ACQUIRER_SECRET_KEY or SECRET_KEY: production does not run on a known key.")
    return hmac.new((written or "development").encode(), b"mock-acquirer cookie", hashlib.sha256).digest()


def _loop_with_the_first_request(app: Flask) -> None:
    """A thread does not survive the fork of a preloading server, and commands such as `db upgrade` need none."""
    once = threading.Lock()

    def start() -> None:
        if once.acquire(blocking=False):
            app.extensions["acquirer.loop"] = loop.start_thread(app)

    app.before_request(start)
