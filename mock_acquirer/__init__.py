"""Mock acquirer: a third-party payment service for tests that can simulate every known misbehaviour of an acquirer.

Callers need `create_app` alone. It shares no code with the shop; both talk over HTTP.
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
import threading
from collections.abc import Mapping
from typing import Any

from flask import Flask
from flask_migrate import Migrate

from mock_acquirer import cli, control, dashboard, dialects, lab, logs, loop, pages, trust, web, workbench
from mock_acquirer.db import db, init_db
from mock_acquirer.handover import HandOver
from mock_acquirer.outgoing import new_client
from mock_acquirer.settings import ROOT, ROWS, BadSetting, Row, check, load

__all__ = ["BadSetting", "create_app", "setting_rows"]
LARGEST_BODY = 64 * 1024


def setting_rows() -> tuple[Row, ...]:
    """All settings, including those of the dialects."""
    return ROWS + tuple(row for dialect in dialects.discover().values() for row in dialect.settings)


def create_app(settings: Mapping[str, Any] | None = None) -> Flask:
    """Create the acquirer as its own Flask app, which can be mounted under a prefix. `settings` overrides the
    environment.

    Raises BadSetting when a setting cannot be read, or is unsafe in production.
    """
    values = load(setting_rows(), settings)
    found = dialects.served(values["PROVIDERS"])
    check(values, setting_rows(), [row for dialect in found.values() for row in dialect.settings])
    app = Flask(
        __name__,
        static_folder=str(ROOT / "static" / "mock_acquirer"),
        static_url_path="/static",
        template_folder=str(ROOT / "templates"),
    )
    app.config.update(values)
    app.config.update(
        SECRET_KEY=_cookie_key(values["ACQUIRER_SECRET_KEY"] or values["SECRET_KEY"] or "development"),
        SECRET_KEY_FALLBACKS=[_cookie_key(former) for former in values["SECRET_KEY_FALLBACKS"]],
        SESSION_COOKIE_NAME="acq",
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=values["ACQUIRER_PUBLIC_URL"].startswith("https://"),
        SESSION_REFRESH_EACH_REQUEST=False,
        MAX_CONTENT_LENGTH=LARGEST_BODY,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    logs.set_up(app.logger, values["ACQUIRER_LOG_LEVEL"], values["ACQUIRER_LOG_FORMAT"])
    init_db(app, values["ACQUIRER_DATABASE_URL"])
    Migrate(app, db, directory=str(ROOT / "migrations" / "acquirer"), render_as_batch=True)
    app.extensions["acquirer.http"] = new_client(_authorities(values))
    app.extensions["acquirer.courier"] = HandOver(app)
    dialects.install(app, found)
    for blueprint in (pages.bp, dashboard.bp, control.bp, lab.bp, workbench.bp):
        app.register_blueprint(blueprint)
    web.set_up(app)
    cli.set_up(app)
    if values["ACQUIRER_LOOP"]:
        _loop_with_the_first_request(app)
    return app


def _authorities(values: dict[str, Any]) -> ssl.SSLContext:
    try:
        return trust.context(values["SSL_CERT_FILE"], values["SSL_CERT_DIR"])
    except OSError as wrong:  # ssl.SSLError is a subclass
        name = "SSL_CERT_FILE" if values["SSL_CERT_FILE"] else "SSL_CERT_DIR"
        raise BadSetting(f"{name} cannot be {values[name]!r}: certificate authorities cannot be read there.") from wrong


def _cookie_key(written: str) -> bytes:
    """Key of the session cookie, derived so that it differs from the shop's even when both share one SECRET_KEY."""
    return hmac.new(written.encode(), b"mock-acquirer cookie", hashlib.sha256).digest()


def _loop_with_the_first_request(app: Flask) -> None:
    """Start the delivery loop at the first request: a thread does not survive the fork of a preloading server, and
    commands such as
    `db upgrade` need none.
    """
    once = threading.Lock()

    def start() -> None:
        if once.acquire(blocking=False):
            app.extensions["acquirer.loop"] = loop.start_thread(app)

    app.before_request(start)
