"""docs/routes.md: every route of the shop and of the acquirer, from their URL maps."""

from __future__ import annotations

import inspect
from functools import lru_cache

from flask import Flask

import mock_acquirer
from shop import create_app
from tools.docs.text import GENERATED, table

WHO = {
    "public": "anyone",
    "order_token": "anyone with the order's token; any other token is 404",
    "return_token": "browsers that return from an acquirer; any other token is 404",
    "signed_in": "signed-in users; guests are redirected to the sign-in page",
    "bearer": "requests with the bearer token of a setting",
    "signature": "acquirers; the provider verifies the signature",
}
"""Access rules that views declare, and their meaning."""
FOR_STAFF = "staff whose roles have it; guests are redirected to the sign-in page, others get 403"

FOR_PROGRAMS = (
    "calls with a Bearer token: of a customer, of an order, or of staff with the permission; `public` needs none"
)


@lru_cache
def shop_app() -> Flask:
    """Return a shop without data, to read its routes."""
    return create_app({"SETTLED_ENV": "development", "DATABASE_URL": "sqlite:///:memory:"})


@lru_cache
def acquirer_app() -> Flask:
    """Return an acquirer without data, to read its routes."""
    return mock_acquirer.create_app(
        {"SETTLED_ENV": "development", "ACQUIRER_DATABASE_URL": "sqlite:///:memory:", "ACQUIRER_LOOP": "off"}
    )


def page() -> str:
    """Return the text of docs/routes.md."""
    shop = [(*_row(app := shop_app(), rule), f"`{_access(app, rule)}`") for rule in _rules(shop_app())]
    who = [(f"`{name}`", says) for name, says in WHO.items()]
    who += [("a permission, such as `order.read`", FOR_STAFF), ("`api …`", FOR_PROGRAMS)]
    acquirer = [_row(acquirer_app(), rule) for rule in _rules(acquirer_app())]
    parts = [
        GENERATED,
        "# Routes",
        "## The shop",
        "Every view declares its access rule (`shop/http_kit/access.py`); a test finds a view without one.",
        table(("Access", "Allows"), who),
        table(("Methods", "Path", "Purpose", "Access"), shop),
        "## The mock acquirer",
        "Paths under `/_sim` need `Authorization: Bearer $ACQUIRER_CONTROL_TOKEN`, paths under a dialect's name the\n"
        "credentials of that dialect. `/pay/…` are the hosted payment pages.",
        table(("Methods", "Path", "Purpose"), acquirer),
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
    return str(getattr(app.view_functions[rule.endpoint], "access", ""))
