"""Sign-in with an account at an issuer, by redirect to a real one on this machine, and the identities of an account."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import oidc_provider_mock
import pytest
import time_machine
from flask import Flask
from werkzeug.test import TestResponse

from shop.accounts import preferences, signin
from shop.accounts.models import User
from shop.accounts.oidc import identities
from shop.core import clock
from shop.core.actor import Actor
from shop.core.db import db
from shop.mail import compose
from shop.mail.models import Mail
from shop.mail.states import MailKind
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor
from tests.web.test_verification import ADA, mailed_link

pytestmark = [
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:authlib"),
]
EMAIL, PASSWORD = "ada@example.com", ADA["password"]
Person = Callable[..., None]


@pytest.fixture
def issuer(shop: Shop) -> Iterator[str]:
    """The address of an issuer, which the settings name."""
    with oidc_provider_mock.run_server_in_thread(require_nonce=True) as server:
        address = f"http://localhost:{server.server_port}"
        named = {"OIDC_ISSUER": address, "OIDC_CLIENT_ID": "shop", "OIDC_CLIENT_SECRET": "s:e%cret"}
        shop.app.config.update(named | {"OIDC_NAME": "Acme"})
        yield address


@pytest.fixture
def person(issuer: str) -> Person:
    """`person(sub, **claims)` makes an account at the issuer."""

    def make(subject: str = "ada", **claims: object) -> None:
        known = {"email": EMAIL, "email_verified": True, "name": "Ada Lin"} | claims
        assert httpx.put(f"{issuer}/users/{quote(subject)}", json=known).status_code == 204

    make()
    return make


def left_for_issuer(visitor: Visitor, path: str = "/sign-in/oidc") -> str:
    """The address at the issuer to which the browser is sent."""
    response = visitor.get(path)
    assert response.status_code == 303, response.text
    return str(response.location)


def came_back(visitor: Visitor, address: str, subject: str = "ada") -> TestResponse:
    """The answer to the return, after the person has signed in at the issuer."""
    answer = httpx.post(address, data={"sub": subject})
    assert answer.status_code == 302, answer.text
    parts = urlsplit(answer.headers["Location"])
    assert parts.path == "/sign-in/oidc/return"
    return visitor.get(f"{parts.path}?{parts.query}")


def signed_in(visitor: Visitor, path: str = "/sign-in/oidc", subject: str = "ada") -> TestResponse:
    return came_back(visitor, left_for_issuer(visitor, path), subject)


def account(email: str = EMAIL) -> User:
    db.session.rollback()
    return db.session.scalars(db.select(User).where(User.email == email)).one()


def make_ada(*roles: str) -> None:
    signin.create(EMAIL, "Ada", PASSWORD, roles, by=Actor.operator(), is_verified=True)


def mails_about_identities(shop: Shop) -> list[str]:
    """The languages of the mails about added identities."""
    shop.sweep()
    db.session.rollback()
    return list(db.session.scalars(db.select(Mail.language).where(Mail.kind == MailKind.IDENTITY_ADDED)))


def test_the_sign_in_page_offers_the_issuer_only_when_it_is_configured(app: Flask, visitor: Visitor) -> None:
    assert "Continue with" not in visitor.get("/sign-in").text
    assert visitor.get("/sign-in/oidc").status_code == 422
    app.config.update(OIDC_ISSUER="https://login.example", OIDC_CLIENT_ID="shop")
    assert "Continue with login.example" in visitor.get("/sign-in?next=/cart").text
    assert "/sign-in/oidc?next=/cart" in visitor.page


def test_a_new_customer_signs_in_by_redirect_and_goes_on_to_the_wanted_page(visitor: Visitor, person: Person) -> None:
    address = left_for_issuer(visitor, "/sign-in/oidc?next=/cart")
    wanted = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert (wanted["response_type"], wanted["code_challenge_method"]) == ("code", "S256")
    assert min(len(wanted[name]) for name in ("state", "nonce", "code_challenge")) >= 43
    assert came_back(visitor, address).location == "/cart"
    page = visitor.get("/account").text
    assert "Hello, Ada Lin" in page and "You sign in with ada@example.com at Acme" in page
    assert "Change password" not in page and "E-mail me a link to set a password" in page
    visitor.post("/sign-out")
    assert signed_in(visitor, "/sign-in/oidc?next=//evil.example").location == "/account"


@pytest.mark.parametrize("damage", ["state", "again", "other browser", "late", "issuer"])
def test_a_return_that_does_not_belong_to_the_waiting_sign_in_is_refused(
    visitor: Visitor, other_visitor: Visitor, person: Person, damage: str
) -> None:
    address = left_for_issuer(visitor)
    answer = httpx.post(address, data={"sub": "ada"})
    path = "/sign-in/oidc/return?" + urlsplit(answer.headers["Location"]).query
    at = clock.wall()
    if damage == "state":
        path = path.replace("state=", "state=x")
    elif damage == "issuer":
        path += "&iss=https%3A%2F%2Fevil.example"
    elif damage == "late":
        at += timedelta(minutes=11)
    elif damage == "again":
        assert visitor.get(path).status_code == 303
        visitor.get("/account")
        visitor.post("/sign-out")
    with time_machine.travel(at):
        page = (other_visitor if damage == "other browser" else visitor).get(path)
    assert page.status_code == 422 and "This sign-in took too long, or was started in another tab." in page.text


def test_a_refusal_at_the_issuer_and_an_issuer_that_is_away_are_sentences_on_the_sign_in_page(
    app: Flask, visitor: Visitor, person: Person
) -> None:
    for error, status, sentence in (
        ("access_denied", 422, "You have not signed in with Acme."),
        ("server_error", 422, "Acme could not sign you in."),
        ("temporarily_unavailable", 503, "Acme cannot be reached at the moment."),
    ):
        address = left_for_issuer(visitor, "/sign-in/oidc?next=/cart")
        state = parse_qs(urlsplit(address).query)["state"][0]
        page = visitor.get(f"/sign-in/oidc/return?error={error}&state={state}")
        assert page.status_code == status and sentence in page.text
        assert visitor.field("next") == "/cart"
    app.config["OIDC_ISSUER"] = "http://127.0.0.1:9"
    away = visitor.get("/sign-in/oidc")
    assert away.status_code == 503 and "Acme cannot be reached at the moment." in away.text


def test_a_wrong_code_and_an_unverified_address_do_not_sign_in(visitor: Visitor, person: Person) -> None:
    state = parse_qs(urlsplit(left_for_issuer(visitor)).query)["state"][0]
    page = visitor.get(f"/sign-in/oidc/return?code=guessed&state={state}")
    assert page.status_code == 422 and "Acme could not sign you in." in page.text
    person("bo", email="bo@example.com", email_verified=False)
    page = signed_in(visitor, subject="bo")
    assert page.status_code == 401 and "has not confirmed your e-mail address" in page.text
    assert visitor.get("/account").status_code == 303


def test_a_verified_account_is_connected_by_the_link_that_it_was_mailed(
    shop: Shop, visitor: Visitor, person: Person
) -> None:
    make_ada()
    page = signed_in(visitor)
    assert page.status_code == 409 and "We have sent a link to this address." in page.text
    path = mailed_link(shop, visitor, "link_identity")
    assert visitor.get(path).status_code == 200 and identities.of_user(account().id) == []
    assert visitor.post(path).location == "/sign-in"
    assert visitor.get(path).status_code == 410
    assert signed_in(visitor).location == "/account"
    assert account().has_password
    assert mails_about_identities(shop) == ["en"]


def test_a_signed_in_person_connects_with_the_password_and_removes_it_again(
    shop: Shop, visitor: Visitor, person: Person
) -> None:
    make_ada()
    person("work", email="ada@work.example")
    visitor.get("/sign-in")
    visitor.post("/sign-in", {"email": EMAIL, "password": PASSWORD})
    assert "Connect Acme" in visitor.get("/account").text
    assert signed_in(visitor, "/sign-in/oidc?add=1", "work").location == "/account/identity"
    assert "ada@work.example" in visitor.get("/account/identity").text
    assert visitor.post("/account/identity", {"current": "wrong one"}).status_code == 422
    assert identities.of_user(account().id) == []
    assert visitor.post("/account/identity", {"current": PASSWORD}).location == "/account"
    (added,) = identities.of_user(account().id)
    assert "Connect Acme" not in visitor.get("/account").text
    assert visitor.post("/account/identity", {"current": PASSWORD}).location == "/account", "the proof counts once"
    visitor.get("/account")
    visitor.post(f"/account/identities/{added.id}/remove")
    assert identities.of_user(account().id) == []
    assert mails_about_identities(shop) == ["en"]


def test_the_owner_is_mailed_in_the_language_of_the_account_about_each_identity(
    shop: Shop, visitor: Visitor, person: Person
) -> None:
    signin.create(EMAIL, "Ada", PASSWORD, by=Actor.operator())
    preferences.set_language(account().id, "ja")
    signed_in(visitor)
    assert mails_about_identities(shop) == ["ja"], "the address proves the owner of an account that was not verified"
    (mail,) = db.session.scalars(db.select(Mail).where(Mail.kind == MailKind.IDENTITY_ADDED))
    content = compose.content(mail)
    assert "Acme" in content.text and "/account" in content.text and content.subject != "A new way to sign in was added"


def test_a_new_account_gets_no_mail_about_its_first_identity(shop: Shop, visitor: Visitor, person: Person) -> None:
    signed_in(visitor)
    assert mails_about_identities(shop) == []


def test_the_only_way_to_sign_in_is_not_removed_until_a_password_is_set(
    shop: Shop, visitor: Visitor, person: Person
) -> None:
    signed_in(visitor)
    (only,) = identities.of_user(account().id)
    visitor.get("/account")
    visitor.post(f"/account/identities/{only.id}/remove")
    assert "This is your only way to sign in." in visitor.get("/account").text
    assert visitor.post("/account/password/link").location == "/forgot-password/sent"
    path = mailed_link(shop, visitor, "password_reset")
    visitor.get(path)
    assert visitor.post(path, {"password": "another long phrase"}).location == "/sign-in"
    signed_in(visitor)
    visitor.get("/account")
    visitor.post(f"/account/identities/{only.id}/remove")
    assert identities.of_user(account().id) == []


def test_an_identity_of_another_customer_cannot_be_added_or_removed(
    visitor: Visitor, other_visitor: Visitor, person: Person
) -> None:
    signed_in(visitor)
    (hers,) = identities.of_user(account().id)
    signin.create("bo@example.com", "Bo", PASSWORD, by=Actor.operator(), is_verified=True)
    other_visitor.get("/sign-in")
    other_visitor.post("/sign-in", {"email": "bo@example.com", "password": PASSWORD})
    assert signed_in(other_visitor, "/sign-in/oidc?add=1").location == "/account/identity"
    other_visitor.get("/account/identity")
    refused = other_visitor.post("/account/identity", {"current": PASSWORD})
    assert refused.status_code == 409 and "already connected to a different account" in refused.text
    other_visitor.post(f"/account/identities/{hers.id}/remove")
    assert [one.id for one in identities.of_user(account().id)] == [hers.id]


def test_staff_connect_while_signed_in_and_still_need_their_second_factor(visitor: Visitor, person: Person) -> None:
    make_ada("support")
    page = signed_in(visitor)
    assert page.status_code == 403 and "Sign in with your password." in page.text
    visitor.get("/sign-in")
    visitor.post("/sign-in", {"email": EMAIL, "password": PASSWORD})
    signed_in(visitor, "/sign-in/oidc?add=1")
    visitor.get("/account/identity")
    visitor.post("/account/identity", {"current": PASSWORD})
    db.session.execute(db.update(User).values(second_factor_at=clock.now()))
    db.session.commit()
    visitor.get("/account")
    visitor.post("/sign-out")
    assert signed_in(visitor).location == "/sign-in/code"
    assert visitor.get("/ops").status_code == 303
