"""Settled: a shop whose checkout always ends in the right state. `create_app` connects the packages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask
from flask_migrate import Migrate

from shop import api, cli, live, ops, settings, web
from shop.accounts import api_models as _api_models  # noqa: F401 - tables are known once their models are imported
from shop.accounts import sessions
from shop.alerts import models as _alert_models  # noqa: F401 - tables are known once their models are imported
from shop.announcements import models as _announcement_models  # noqa: F401 - tables are known once their models are imported
from shop.api_log import models as _api_log_models  # noqa: F401 - tables are known once their models are imported
from shop.checkout import models as _checkout_models  # noqa: F401 - tables are known once their models are imported
from shop.core import logs, redis
from shop.core.db import db, engine_options, prepare
from shop.credit_gifts import models as _gift_models  # noqa: F401 - tables are known once their models are imported
from shop.http_kit import compression, request_guard
from shop.idempotency import models as _idempotency_models  # noqa: F401 - tables are known once their models are imported
from shop.legal_texts import models as _legal_models  # noqa: F401 - tables are known once their models are imported
from shop.mail import models as _mail_models  # noqa: F401 - tables are known once their models are imported
from shop.media import models as _media_models  # noqa: F401 - tables are known once their models are imported
from shop.merchandising import models as _import_models  # noqa: F401 - tables are known once their models are imported
from shop.order_search import models as _search_models  # noqa: F401 - tables are known once their models are imported
from shop.payments.providers import registry
from shop.pricing import models as _pricing_models  # noqa: F401 - tables are known once their models are imported
from shop.returns import models as _return_models  # noqa: F401 - tables are known once their models are imported
from shop.seller_data import models as _seller_models  # noqa: F401 - tables are known once their models are imported

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
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(app.config)
    production = app.config["SETTLED_ENV"] != "development"
    logs.configure(app.config["LOG_FORMAT"] or ("json" if production else "text"), app.config["LOG_LEVEL"])
    db.init_app(app)
    with app.app_context():
        prepare(db.engine, app.config)
    Migrate(app, db, directory=str(ROOT / "migrations" / "shop"), render_as_batch=False)
    redis.init_app(app)
    registry.init_app(app, environ)
    sessions.init_app(app)
    compression.init_app(app)
    request_guard.init_app(app)
    web.init_app(app)
    ops.init_app(app)
    api.init_app(app)
    for blueprint in live.BLUEPRINTS:
        app.register_blueprint(blueprint)
    cli.init_app(app)
    return app
