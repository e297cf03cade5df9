from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete

from shop.accounts import sessions, signin
from shop.accounts.models import AccountLink, User
from shop.checkout import cart
from shop.core.db import db, transaction
from tests.parts.redis_server import RedisServer
from tests.parts.waiting import until
from tests.shop_fixtures import PEN

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
EMAIL, PASSWORD = "mei@example.com", "paper lantern 7"


@pytest.fixture
def mei(app: Flask) -> int:
    """The id of an account."""
    app.config["WTF_CSRF_ENABLED"] = False
    with app.app_context():
        return signin.register(EMAIL, "Mei", PASSWORD).id


def sign_in(client: FlaskClient, password: str = PASSWORD) -> int:
    return client.post("/sign-in", data={"email": EMAIL, "password": password}).status_code


def sid(client: FlaskClient) -> str | None:
    with client.session_transaction() as cookie:
        return cookie.get("sid")


def sees_account(client: FlaskClient) -> bool:
    return client.get("/account").status_code == 200


def test_signing_in_opens_the_account_and_signing_out_closes_it(client: FlaskClient, mei: int) -> None:
    assert client.get("/account").status_code == 303
    assert sign_in(client) == 303
    assert sees_account(client)
    old = sid(client)
    assert client.post("/sign-out").status_code == 303
    assert not sees_account(client)
    with client.session_transaction() as cookie:
        cookie["sid"] = old
    assert not sees_account(client), "the old id is dead, even for whoever kept it"


def test_every_sign_in_gets_a_new_id_and_ends_the_one_before(client: FlaskClient, mei: int, app: Flask) -> None:
    with client.session_transaction() as cookie:
        cookie["sid"] = "set by an attacker"
    sign_in(client)
    first = sid(client)
    assert first and first != "set by an attacker"
    sign_in(client)
    assert sid(client) not in (None, first)
    with app.app_context():
        assert len(sessions.of_user(mei)) == 1


def test_a_wrong_password_leaves_the_cookie_as_it_was(client: FlaskClient, mei: int) -> None:
    assert sign_in(client, "not this one") == 422
    assert sid(client) is None


def test_signing_in_renews_the_cart_id_and_the_seed_of_forms_and_keeps_what_is_in_the_cart(
    client: FlaskClient, mei: int, app: Flask
) -> None:
    with app.app_context():
        injected = cart.create()
        cart.add(injected, PEN, 3)
        key = cart.load(injected).checkout_key
    with client.session_transaction() as cookie:
        cookie.update(cart=injected, csrf_token="set by an attacker")
    sign_in(client)
    client.get("/account")
    with client.session_transaction() as cookie:
        assert cookie["cart"] != injected and cookie["csrf_token"] != "set by an attacker"
        renewed = cookie["cart"]
    with app.app_context():
        after = cart.load(renewed)
        assert [(line.sku, line.quantity) for line in after.lines] == [(PEN, 3)] and after.checkout_key != key
        assert cart.load(injected).id == "", "the attacker's id reaches nothing"


def test_signing_in_works_without_the_cart_of_the_session(client: FlaskClient, mei: int) -> None:
    with client.session_transaction() as cookie:
        cookie["cart"] = "long gone"
    assert sign_in(client) == 303
    with client.session_transaction() as cookie:
        assert "cart" not in cookie


def test_signing_out_leaves_no_cart_and_no_seed_in_the_browser(client: FlaskClient, mei: int, app: Flask) -> None:
    sign_in(client)
    with app.app_context():
        theirs = cart.create()
    with client.session_transaction() as cookie:
        cookie.update(cart=theirs, csrf_token="a seed")
    client.post("/sign-out")
    with client.session_transaction() as cookie:
        assert not {"cart", "csrf_token", "sid"} & set(cookie)


def test_a_session_id_read_from_redis_is_no_sign_in(client: FlaskClient, mei: int, redis_server: RedisServer) -> None:
    sign_in(client)
    (key,) = redis_server.client.keys("settled:sid:*")
    assert sid(client) not in key
    stolen = client.application.test_client()
    with stolen.session_transaction() as cookie:
        cookie["sid"] = key.removeprefix("settled:sid:")
    assert not sees_account(stolen)


def test_a_sign_in_ends_after_two_weeks(client: FlaskClient, mei: int, redis_server: RedisServer) -> None:
    sign_in(client)
    (key,) = redis_server.client.keys("settled:sid:*")
    assert 0 <= 14 * 86400 - redis_server.client.ttl(key) < 60
    redis_server.client.delete(key)
    assert not sees_account(client)


def test_sign_ins_are_listed_and_each_can_be_ended_from_elsewhere(app: Flask, mei: int) -> None:
    laptop, phone = app.test_client(), app.test_client()
    sign_in(laptop)
    phone.post("/sign-in", data={"email": EMAIL, "password": PASSWORD}, headers={"User-Agent": "Phone/1.0"})
    with app.app_context():
        newest, _ = sessions.of_user(mei)
        assert newest.device == "Phone/1.0"
        assert not sessions.revoke(mei + 1, newest.handle), "nobody ends another user's sign-in"
        assert sees_account(phone)
        assert sessions.revoke(mei, newest.handle)
        assert not sessions.revoke(mei, newest.handle)
    assert not sees_account(phone)
    assert sees_account(laptop)
    with app.app_context():
        assert sessions.revoke_all(mei) == 1
        assert sessions.of_user(mei) == []
    assert not sees_account(laptop)


def test_a_deleted_account_has_no_sign_in(app: Flask, client: FlaskClient, mei: int) -> None:
    sign_in(client)
    with app.app_context(), transaction():
        db.session.execute(delete(AccountLink))
        db.session.execute(delete(User))
    assert not sees_account(client)


@pytest.mark.parametrize("rubbish", [b"", b"{}", b"null", b"[1]", b'{"user": "x"}', b"\xff\xfe"])
def test_invalid_data_in_redis_is_no_sign_in(
    client: FlaskClient, mei: int, redis_server: RedisServer, rubbish: bytes
) -> None:
    sign_in(client)
    (key,) = redis_server.client.keys("settled:sid:*")
    redis_server.client.set(key, rubbish)
    assert client.get("/account").status_code == 303


def stopped(server: RedisServer) -> None:
    server.stop()


def paused(server: RedisServer) -> None:
    server.pause()


@pytest.mark.parametrize("hurt", [stopped, paused])
def test_with_redis_away_guests_and_pages_go_on_and_what_needs_a_sign_in_gets_retry_after(
    client: FlaskClient, mei: int, own_redis: RedisServer, hurt: Callable[[RedisServer], None]
) -> None:
    sign_in(client)
    hurt(own_redis)
    began = time.monotonic()
    page = client.get("/")
    assert page.status_code == 200
    assert time.monotonic() - began < 1.5
    account = client.get("/account")
    assert account.status_code == 503
    assert int(account.headers["Retry-After"]) > 0
    fresh = client.application.test_client()
    assert sign_in(fresh) == 503
    assert fresh.get("/account").status_code == 303, "a guest is asked to sign in, as always"


def test_after_redis_was_restarted_sign_ins_are_there_again_and_after_it_was_emptied_one_signs_in_again(
    client: FlaskClient, mei: int, own_redis: RedisServer
) -> None:
    sign_in(client)
    own_redis.stop()
    assert client.get("/account").status_code == 503
    own_redis.start()
    until(lambda: sees_account(client), within=5, what="the account to come back")
    own_redis.empty()
    assert client.get("/account").status_code == 303
    assert sign_in(client) == 303


def test_signing_out_with_redis_away_removes_the_id_from_this_device(
    client: FlaskClient, mei: int, own_redis: RedisServer
) -> None:
    sign_in(client)
    own_redis.stop()
    assert client.post("/sign-out").status_code == 303
    assert sid(client) is None
