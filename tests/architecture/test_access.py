"""Access declarations: every route of the shop declares its callers, and public routes that write are listed here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from flask import Flask

from shop import create_app
from shop.accounts.permissions import Permission
from shop.api.access import ApiAccess, api_access
from shop.core.db import db
from shop.http_kit.access import Who, access
from tools.docs.routes import WHO, shop_app

PUBLIC_POSTS = {
    "/cart/lines": "a guest has a cart",
    "/cart/lines/<sku>": "the cart is the cookie's",
    "/cart/lines/<sku>/remove": "the cart is the cookie's",
    "/cart/prices": "the cart is the cookie's",
    "/cart/currency": "the cart is the cookie's",
    "/checkout": "guests may buy",
    "/checkout/update": "shows what an order would cost; places nothing; limited",
    "/email-hint": "shows what an address may have meant, from a list in the program; limited",
    "/checkout/sign-in": "keeps what was typed for the cookie that typed it; limited",
    "/checkout/language": "keeps what was typed for the cookie that typed it; limited",
    "/announcements/<int:number>/dismiss": "hides a text for the cookie; limited",
    "/orders": "sends a link to the address that is asked about, never shows its orders",
    "/sign-in": "throttled",
    "/sign-in/code": "the password, which the signed cookie proves, and a code; throttled",
    "/sign-in/passkey": "the password, which the signed cookie proves, and a passkey; throttled",
    "/sign-in/passkey/options": "the password, which the signed cookie proves; limited",
    "/register": "limited",
    "/account/verify/<signed>": "the signed link, and a sign-in to its account",
    "/account/link-identity/<signed>": "the link that was mailed to the account",
    "/account/change-email/<signed>": "the signed link, and a sign-in to its account",
    "/account/reset/<signed>": "the signed link, once",
    "/account/unlock/<signed>": "the signed link, once",
    "/account/invitation/<signed>": "the signed link, once; limited",
    "/forgot-password": "mails a link to the address of the account; limited by address and client",
    "/unlock-account": "mails a link to the address of the account; limited by address and client",
    "/sign-out": "ends the caller's own sign-in",
    "/api/v1/auth/login": "throttled as the sign-in page; limited",
    "/api/v1/auth/token": "an ID token of a configured issuer, once; limited",
    "/api/v1/auth/refresh": "the refresh token, once; limited",
    "/api/v1/orders": "guests may buy; an Idempotency-Key; limited",
    "/api/v1/aliases/payments/notify": "the signature of the acquirer; limited",
}
"""Public routes that accept POST, each with its reason. Those of pages need a CSRF token; the API reads no cookie."""
PROVE_THEMSELVES = {"/webhooks/<name>": "signature", "/dev/clock": "bearer", "/metrics": "bearer"}
"""Routes whose callers authenticate in the request itself; the only ones that need no CSRF token."""


def rules(app: Flask) -> list[tuple[str, set[str], Any]]:
    """(path, methods, view) of every route except Flask's static files."""
    return [
        (rule.rule, set(rule.methods or ()), app.view_functions[rule.endpoint])
        for rule in app.url_map.iter_rules()
        if rule.endpoint != "static"
    ]


def undeclared(app: Flask) -> list[str]:
    """Routes without a declaration, or with an unknown one."""
    known = {*get_args(Who), *Permission}
    declared = [(path, getattr(view, "access", None)) for path, _, view in rules(app)]
    return [path for path, access in declared if not isinstance(access, ApiAccess) and access not in known]


def public_posts(app: Flask) -> set[str]:
    """Public routes that accept more than GET."""
    changing = {"POST", "PUT", "PATCH", "DELETE"}
    return {path for path, methods, view in rules(app) if is_public(view) and methods & changing}


def is_public(view: Any) -> bool:
    """True for a view that anyone may call."""
    return view.access == "public" or (isinstance(view.access, ApiAccess) and "public" in view.access.who)


@pytest.fixture(scope="module")
def shop() -> Iterator[Flask]:
    """A shop on an empty database."""
    app = create_app(
        {"DATABASE_URL": "sqlite:///:memory:", "SETTLED_ENV": "development"},
        WTF_CSRF_ENABLED=False,
    )
    with app.app_context():
        db.create_all()
    yield app


def test_every_route_declares_who_may_call_it() -> None:
    assert undeclared(shop_app()) == []


def test_a_route_that_declares_nothing_is_seen() -> None:
    app = Flask("planted")
    app.add_url_rule("/bare", view_func=lambda: "", endpoint="bare")
    assert undeclared(app) == ["/bare"]


def test_the_public_routes_that_change_something_are_known_by_name() -> None:
    assert public_posts(shop_app()) == set(PUBLIC_POSTS)


def test_a_new_public_route_that_changes_something_is_seen() -> None:
    app = Flask("planted")
    app.add_url_rule("/new", view_func=access("public")(lambda: ""), endpoint="new", methods=["POST"])
    assert public_posts(app) == {"/new"}


def test_callers_that_prove_themselves_are_known_by_name() -> None:
    found = {path: view.access for path, _, view in rules(shop_app()) if view.access in ("bearer", "signature")}
    assert found == PROVE_THEMSELVES


@pytest.mark.parametrize(
    ("who", "setting"),
    [("bearer", ""), ("bearer", "SECRET_KEY"), ("public", "METRICS_TOKEN"), ("signed_in", "CONTROL_TOKEN")],
)
def test_only_the_control_and_metrics_tokens_are_bearer_tokens(who: Who, setting: str) -> None:
    with pytest.raises(ValueError, match="a bearer token is one of CONTROL_TOKEN, METRICS_TOKEN"):
        access(who, setting=setting)


def test_every_way_of_declaring_access_is_explained_in_the_docs() -> None:
    assert set(WHO) == set(get_args(Who))


def test_exactly_the_pages_of_the_console_declare_a_permission() -> None:
    found = rules(shop_app())
    assert [path for path, _, view in found if path.startswith("/ops") != isinstance(view.access, Permission)] == []


def test_every_call_of_the_api_and_nothing_else_is_guarded_by_the_rule_of_the_api() -> None:
    found = rules(shop_app())
    assert [path for path, _, view in found if path.startswith("/api/") != isinstance(view.access, ApiAccess)] == []


@pytest.mark.parametrize("who", [(), ("public", "customer")])
def test_a_call_of_the_api_names_its_callers(who: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="a call is public, or it names its callers"):
        api_access(*who)


def test_views_for_the_holder_of_a_token_have_it_in_their_path() -> None:
    assert all("<token>" in path for path, _, view in rules(shop_app()) if view.access == "order_token")


def test_a_token_that_opens_nothing_is_404_on_every_page_of_an_order(shop: Flask) -> None:
    client = shop.test_client()
    for path, methods, view in rules(shop):
        if view.access == "order_token":
            method = "POST" if "POST" in methods else "GET"
            headers = {"Host": "localhost"}
            if path.startswith("/ws/"):
                headers |= {"Connection": "Upgrade", "Upgrade": "websocket"}
            answer = client.open(path.replace("<token>", "T" * 32), method=method, headers=headers)
            assert answer.status_code == 404, (method, path)


def test_account_pages_send_guests_to_sign_in(shop: Flask) -> None:
    client = shop.test_client()
    for path, methods, view in rules(shop):
        if view.access == "signed_in":
            method = "POST" if "POST" in methods else "GET"
            filled = path.replace("<handle>", "x").replace("<int:identity_id>", "7").replace("<int:address_id>", "7")
            answer = client.open(filled, method=method, headers={"Host": "localhost"})
            assert (answer.status_code, answer.headers["Location"].partition("?")[0]) == (303, "/sign-in"), path
