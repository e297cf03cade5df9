"""Rotation of SECRET_KEY: signatures of the former key are valid while it is in SECRET_KEY_FALLBACKS."""

from __future__ import annotations

import re
import secrets

import pytest
from flask import Flask

import mock_acquirer
from shop import create_app
from shop.core import keys
from shop.core.db import db
from shop.orders import links
from tests.shop_fixtures import PEN, environ
from tools.docs.code import sources

OLD, OLDER, NEW = (secrets.token_urlsafe(48) for _ in range(3))
EMAIL = {"email": "ada@example.com"}


def shop(database_url: str, key: str, *former: str) -> Flask:
    settings = {"SECRET_KEY": key, "SECRET_KEY_FALLBACKS": ",".join(former)}
    return create_app(environ(database_url, "", **settings), TESTING=True)


def close(*apps: Flask) -> None:
    for app in apps:
        with app.app_context():
            db.engine.dispose()


def csrf_of(page: str) -> str:
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    assert found
    return found[1]


def test_a_cart_an_open_form_and_a_link_survive_the_rotation_of_the_key(database_url: str) -> None:
    before, after, without = shop(database_url, OLD), shop(database_url, NEW, OLD, OLDER), shop(database_url, NEW)
    client = before.test_client()
    form = csrf_of(client.get("/products/pen").text)
    client.post("/cart/lines", data={"csrf_token": form, "sku": PEN, "quantity": "2"})
    cookie = client.get_cookie("settled")
    assert cookie
    with before.app_context():
        link = links.history_link("ada@example.com")
    for app, knows in ((after, True), (without, False)):
        visitor = app.test_client()
        visitor.set_cookie("settled", cookie.value)
        assert ("Pen" in visitor.get("/cart").text) == knows
        sent = visitor.post("/cart/lines", data={"csrf_token": form, "sku": PEN, "quantity": "1"})
        assert sent.status_code == (303 if knows else 400), "a form that was open meanwhile"
        assert visitor.get(f"/orders/of/{link}").status_code == (200 if knows else 404)
    close(before, after, without)


def test_the_newest_key_signs(database_url: str) -> None:
    after, only_new = shop(database_url, NEW, OLD), shop(database_url, NEW)
    client = after.test_client()
    client.get("/products/pen")
    cookie = client.get_cookie("settled")
    assert cookie
    serializer = only_new.session_interface.get_signing_serializer(only_new)  # type: ignore[attr-defined]
    assert "csrf_token" in serializer.loads(cookie.value)
    with after.app_context():
        link = links.history_link("ada@example.com")
    with only_new.app_context():
        assert links.read_history_link(link) == "ada@example.com"
    close(after, only_new)


def test_a_key_that_was_removed_from_the_ring_signs_nothing_valid(database_url: str) -> None:
    app = shop(database_url, NEW, OLD)
    with app.app_context():
        forged = keys.URLSafeTimedSerializer(OLDER, salt="order history").dumps("ada@example.com")
        assert links.read_history_link(forged) is None
    close(app)


def test_everything_that_the_shop_signs_goes_through_the_ring() -> None:
    """A new signer with SECRET_KEY alone would break at the next rotation."""
    signs = [source.path for source in sources("shop") if re.search("itsdangerous import.*Serializer", source.text)]
    assert signs == ["shop/core/keys.py"]


@pytest.mark.parametrize("former", [(OLD,), ()])
def test_the_acquirers_cookie_survives_the_rotation_of_its_key(former: tuple[str, ...]) -> None:
    there = {"ACQUIRER_DATABASE_URL": "sqlite://", "ACQUIRER_LOOP": "off"}
    before = mock_acquirer.create_app(there | {"SECRET_KEY": OLD})
    after = mock_acquirer.create_app(there | {"SECRET_KEY": NEW, "SECRET_KEY_FALLBACKS": ",".join(former)})
    signed = before.session_interface.get_signing_serializer(before).dumps({"csrf": "kept"})  # type: ignore[attr-defined]
    with after.test_request_context(headers={"Cookie": f"acq={signed}"}) as context:
        assert context.session.get("csrf") == ("kept" if former else None)  # type: ignore[union-attr]
