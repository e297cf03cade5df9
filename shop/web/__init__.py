"""HTML pages of the shop, one module per page family. A view parses the request, calls one use case and renders."""

from __future__ import annotations

from flask import Flask

from shop.http_kit import language, pictures, template_helpers, translation
from shop.web import (
    accounts,
    addresses,
    announcements,
    cart,
    catalogue,
    checkout,
    credentials,
    dev,
    dev_mail,
    dev_states,
    documents,
    email_hint,
    health,
    history,
    identities,
    invitations,
    legal,
    media,
    order_returns,
    orders,
    passive,
    personal_data,
    recovery,
    returning,
    search_engines,
    second_step,
    security_txt,
    verification,
    webhooks,
)

BLUEPRINTS = (
    catalogue.bp,
    media.bp,
    cart.bp,
    email_hint.bp,
    checkout.bp,
    history.bp,
    orders.bp,
    order_returns.bp,
    documents.bp,
    legal.bp,
    announcements.bp,
    search_engines.bp,
    returning.bp,
    accounts.bp,
    addresses.bp,
    verification.bp,
    recovery.bp,
    invitations.bp,
    second_step.bp,
    credentials.bp,
    identities.bp,
    personal_data.bp,
    webhooks.blueprint,
    health.blueprint,
    security_txt.blueprint,
)


def init_app(app: Flask) -> None:
    """Register the pages, the template helpers and the translations with `app`."""
    language.init_app(app)
    translation.init_app(app)
    template_helpers.init_app(app)
    pictures.init_app(app)
    announcements.init_app(app)
    security_txt.init_app(app)
    app.jinja_env.globals.update(canonical=search_engines.canonical)
    passive.init_app(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    if app.config["SETTLED_ENV"] == "development":
        app.register_blueprint(dev.blueprint)
        app.register_blueprint(dev_mail.blueprint)
        app.register_blueprint(dev_states.blueprint)
