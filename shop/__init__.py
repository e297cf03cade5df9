"""Settled: a shop whose checkout always settles. `create_app` is the roof; everything else is a room under it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Flask, url_for
from flask_migrate import Migrate

from shop import cli, live, ops, settings, web
from shop.accounts import sessions
from shop.alerts import models as _alert_models  # noqa: F401 - tables are known once their models are imported
from shop.checkout import models as _checkout_models  # noqa: F401 - tables are known once their models are imported
from shop.core import logs, metrics, redis
from shop.core.db import db, engine_options, prepare
from shop.payments import inbox, registry
from shop.web import guard

ROOT = Path(__file__).resolve().parent.parent


def create_app(environ: Mapping[str, str] | None = None, **overrides: Any) -> Flask:
    """The shop as a WSGI app. Settings come from `environ` (the process's by default); `overrides` win over them.

    Raises BadSetting when one of them cannot be used.
    """
    environ = dict(settings.environment() if environ is None else environ)
    app = Flask("shop", root_path=str(ROOT / "shop"), template_folder="../templates", static_folder="../static")
    app.config.update(settings.load(environ))
    app.config.update(overrides)
    app.config["SQLALCHEMY_DATABASE_URI"] = app.config["DATABASE_URL"]
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(app.config["DATABASE_URL"])
    production = app.config["SETTLED_ENV"] == "production"
    logs.configure(app.config["LOG_FORMAT"] or ("json" if production else "text"))
    db.init_app(app)
    with app.app_context():
        prepare(db.engine)
    Migrate(app, db, directory=str(ROOT / "migrations" / "shop"), render_as_batch=False)
    redis.init_app(app)
    metrics.init_app(app)
    registry.init_app(app, environ)
    inbox.init_app(app)
    sessions.init_app(app)
    guard.init_app(app)
    web.init_app(app)
    ops.init_app(app)
    for blueprint in live.BLUEPRINTS:
        app.register_blueprint(blueprint)
    cli.init_app(app)
    app.jinja_env.globals["asset"] = asset
    return app


def asset(name: str) -> str:
    """Address of a file under static/, with a mark of its content, so that browsers may keep it for long."""
    return url_for("static", filename=name, v=_mark(name))


@lru_cache(maxsize=256)
def _mark(name: str) -> str:
    path = ROOT / "static" / name
    return hashlib.sha256(path.read_bytes()).hexdigest()[:10] if path.is_file() else "none"
