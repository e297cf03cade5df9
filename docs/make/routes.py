"""docs/routes.md: every address of the shop and of the acquirer, from the apps themselves."""

from __future__ import annotations

import inspect
from functools import lru_cache

from flask import Flask

import mock_acquirer
from docs.make.text import GENERATED, table
from shop import create_app

WHO = {
    "public": "anyone",
    "order_token": "who holds the order's token; any other token is 404",
    "signed_in": "who is signed in; guests are sent to sign in",
    "staff": "who is signed in and has a role; guests are sent to sign in, customers get 403",
    "bearer": "who sends the bearer token; checked by the view",
    "signature": "who signed the body; checked by the provider",
}
"""Who may call a view, in words; the names are those that views declare."""


@lru_cache
def shop_app() -> Flask:
    """A shop that stands on nothing, to look at."""
    return create_app({"DATABASE_URL": "sqlite:///:memory:", "SECRET_KEY": "only to look at " * 3})


@lru_cache
def acquirer_app() -> Flask:
    """An acquirer that stands on nothing, to look at."""
    return mock_acquirer.create_app({"ACQUIRER_DATABASE_URL": "sqlite:///:memory:", "ACQUIRER_LOOP": "off"})


def page() -> str:
    """The text of docs/routes.md."""
    shop = [(*_row(app := shop_app(), rule), f"`{_access(app, rule)}`") for rule in _rules(shop_app())]
    who = [(f"`{name}`", says) for name, says in WHO.items()]
    acquirer = [_row(acquirer_app(), rule) for rule in _rules(acquirer_app())]
    parts = [
        GENERATED,
        "# Routes",
        "## The shop",
        "Every view declares who may call it (`shop/web/access.py`); a test finds the ones that do not.",
        table(("Who", "Means"), who),
        table(("Methods", "Path", "Does", "Who"), shop),
        "## The mock acquirer",
        "Paths under `/_sim` need `Authorization: Bearer $ACQUIRER_CONTROL_TOKEN`, those under a dialect's name need\n"
        "that dialect's own credentials. `/pay/…` are the hosted pages.",
        table(("Methods", "Path", "Does"), acquirer),
    ]
    return "\n\n".join(parts) + "\n"


def _rules(app: Flask) -> list:
    found = [rule for rule in app.url_map.iter_rules() if rule.endpoint != "static"]
    return sorted(found, key=lambda rule: (rule.rule, sorted(rule.methods or ())))


def _row(app: Flask, rule) -> tuple[str, str, str]:
    methods = " ".join(sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}))
    doc = inspect.getdoc(app.view_functions[rule.endpoint]) or ""
    return methods, f"`{rule.rule}`", doc.split("\n\n")[0].replace("\n", " ")


def _access(app: Flask, rule) -> str:
    return getattr(app.view_functions[rule.endpoint], "access", "")
