"""A password that is reset while it is checked: the old one starts no sign-in that lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from argon2 import PasswordHasher
from flask.testing import FlaskClient
from sqlalchemy import select, update

from shop.accounts import credentials, links, passwords, recovery, sessions, signin, throttle
from shop.accounts.credentials import Origin
from shop.accounts.decide import LinkPurpose
from shop.accounts.models import AccountLink, User
from shop.core.actor import Actor
from shop.core.db import after_commit, db, transaction
from tests.accounts.test_recovery import EMAIL, NEW, PASSWORD, PLACE, epoch, refused
from tests.accounts.test_verification import newest_token
from tests.shop_fixtures import Shop

OTHER = "a third lantern 9"


@pytest.fixture
def mei(shop: Shop) -> Iterator[int]:
    """An account; afterwards the shop's books are checked."""
    shop.app.config.update(RATE_LIMITS=False, WTF_CSRF_ENABLED=False)
    yield signin.create(EMAIL, "Mei", PASSWORD, by=Actor.operator()).id
    shop.sweep()


@pytest.fixture
def reset(shop: Shop, mei: int) -> Callable[[], None]:
    """The owner resets the password with a mailed link, in another transaction."""

    def use() -> None:
        with shop.app.app_context():
            recovery.request(LinkPurpose.RESET, EMAIL, "en")
            recovery.reset(newest_token(LinkPurpose.RESET), OTHER, PLACE)

    return use


def once_after(monkeypatch: pytest.MonkeyPatch, module: object, name: str, then: Callable[[], None]) -> None:
    """Let `then` happen right after the next call of a function has returned."""
    function = getattr(module, name)

    def call(*args: object, **kwargs: object) -> object:
        result = function(*args, **kwargs)
        monkeypatch.setattr(module, name, function)
        then()
        return result

    monkeypatch.setattr(module, name, call)


@pytest.fixture
def client(shop: Shop) -> FlaskClient:
    return shop.app.test_client()


def sees_account(shop: Shop, client: FlaskClient) -> bool:
    with shop.app.app_context():
        return client.get("/account").status_code == 200


def sent(shop: Shop, client: FlaskClient, path: str, **form: str) -> str | None:
    """The address to which a form leads."""
    with shop.app.app_context():
        return client.post(path, data=form).location


def test_a_password_that_is_reset_while_it_is_checked_starts_no_sign_in(
    shop: Shop, mei: int, reset: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    once_after(monkeypatch, passwords, "matches", reset)
    assert refused(lambda: signin.sign_in(EMAIL, PASSWORD, PLACE)) == "wrong_credentials"
    assert db.session.scalars(select(User.last_signed_in_at)).one() is None
    assert signin.sign_in(EMAIL, OTHER, PLACE).id == mei


def test_a_sign_in_ends_with_a_reset_between_the_check_of_its_password_and_its_start(
    shop: Shop, client: FlaskClient, reset: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    once_after(monkeypatch, throttle, "forgive", lambda: after_commit(reset))
    assert sent(shop, client, "/sign-in", email=EMAIL, password=PASSWORD) == "/account"
    assert not sees_account(shop, client)
    assert sent(shop, client, "/sign-in", email=EMAIL, password=OTHER) == "/account"
    assert sees_account(shop, client)


def test_a_new_account_whose_password_is_reset_at_once_is_not_signed_in(
    shop: Shop, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end() -> None:
        with shop.app.app_context():
            sessions.end_all(db.session.scalars(select(User.id)).one())

    shop.app.config["WTF_CSRF_ENABLED"] = False
    once_after(monkeypatch, links, "make", lambda: after_commit(end))
    assert sent(shop, client, "/register", email=EMAIL, name="Mei", password=PASSWORD) == "/account"
    assert not sees_account(shop, client)
    shop.sweep()


def test_a_changed_password_that_is_reset_at_once_does_not_sign_in_again(
    shop: Shop, client: FlaskClient, reset: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent(shop, client, "/sign-in", email=EMAIL, password=PASSWORD)
    once_after(monkeypatch, credentials, "change_password", reset)
    assert sent(shop, client, "/account/password", current=PASSWORD, password=NEW) == "/sign-in"
    assert not sees_account(shop, client)


def test_a_changed_address_after_which_all_sign_ins_end_does_not_sign_in_again(
    shop: Shop, client: FlaskClient, mei: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end() -> None:
        with shop.app.app_context():
            sessions.end_all(mei)

    sent(shop, client, "/sign-in", email=EMAIL, password=PASSWORD)
    credentials.request_email_change(mei, PASSWORD, "new@example.com", Origin(PLACE))
    once_after(monkeypatch, credentials, "change_email", end)
    sent(shop, client, f"/account/change-email/{newest_token(LinkPurpose.CHANGE_EMAIL)}")
    assert epoch(mei) == 2
    assert not sees_account(shop, client)


def test_a_hash_that_another_sign_in_renews_meanwhile_does_not_refuse_the_sign_in(
    shop: Shop, mei: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD)
    with transaction():
        db.session.execute(update(User).values(password_hash=older))

    def other() -> None:
        with shop.app.app_context():
            signin.sign_in(EMAIL, PASSWORD, PLACE)

    once_after(monkeypatch, passwords, "matches", other)
    assert signin.sign_in(EMAIL, PASSWORD, PLACE).id == mei
    assert epoch(mei) == 0


def test_a_sign_in_starts_from_a_snapshot_only(shop: Shop, mei: int) -> None:
    with shop.app.test_request_context(), pytest.raises(ValueError, match="snapshot"):
        sessions.start(db.session.get_one(User, mei))


def test_a_link_to_a_new_address_is_not_made_with_a_password_that_is_reset_meanwhile(
    shop: Shop, mei: int, reset: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    once_after(monkeypatch, passwords, "matches", reset)
    origin = Origin(PLACE)
    code = refused(lambda: credentials.request_email_change(mei, PASSWORD, "new@example.com", origin))
    assert code == "account_changed"
    made = select(AccountLink.id).where(AccountLink.purpose == LinkPurpose.CHANGE_EMAIL)
    assert db.session.scalars(made).all() == []
