"""The doors that people use: one file per page family. They parse, ask, render, and decide nothing."""

from __future__ import annotations

from flask import Flask, abort, request
from flask_babel import Babel

from shop.web import accounts, cart, catalogue, checkout, dev, furniture, health, history, orders, webhooks

BLUEPRINTS = (
    catalogue.bp,
    cart.bp,
    checkout.bp,
    history.bp,
    orders.bp,
    accounts.bp,
    webhooks.blueprint,
    health.blueprint,
    dev.blueprint,
)


def init_app(app: Flask) -> None:
    """Open these doors of `app`, and give its templates what they call."""
    if "babel" not in app.extensions:
        Babel(app)
    furniture.init_app(app)
    app.before_request(_refuse_nul)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)


def _refuse_nul() -> None:
    """No address of ours has a NUL in it, and PostgreSQL takes none."""
    if "\0" in request.path or any("\0" in value for value in request.args.values()):
        abort(404)
