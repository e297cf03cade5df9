"""ID tokens that programs hand over: which ones count, and the accounts that they sign in to."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select, update

from shop.accounts import people, signin
from shop.accounts.models import Identity, SpentIdToken, User
from shop.accounts.oidc import identities, issuers
from shop.accounts.oidc.identities import Client
from shop.core import clock
from shop.core.actor import Actor
from shop.core.db import db, transaction
from shop.core.errors import Refusal
from shop.jobs import retention
from shop.production import check
from shop.settings import SETTINGS, BadSetting, load, read
from tests.parts import issuer as issuer_parts
from tests.parts.issuer import Issuer, rsa_key

pytestmark = pytest.mark.usefixtures("inside")
ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For tests that no database decides."""
EMAIL, PASSWORD = "ada@example.com", "paper lantern 7"


@pytest.fixture
def issuer(app: Flask) -> Iterator[Issuer]:
    """The issuer that the settings name."""
    with issuer_parts.running() as found:
        app.config.update(OIDC_ISSUER=found.address, OIDC_CLIENT_ID="shop", OIDC_AUDIENCE="mobile")
        yield found


def refusal(token: str, **options: Any) -> Refusal:
    with pytest.raises(Refusal) as refused:
        identities.sign_in_with_token(token, Client(), **options)
    db.session.rollback()
    return refused.value


def problem(token: str, **options: Any) -> str:
    """The reason for which the token itself is refused."""
    found: str = getattr(refusal(token, **options), "problem", "")
    return found


def signed_in(token: str) -> User:
    return identities.sign_in_with_token(token, Client())


def account(email: str = EMAIL) -> User:
    db.session.rollback()
    return db.session.scalars(select(User).where(User.email == email)).one()


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    parts = (base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=").decode() for one in (header, claims))
    return ".".join((*parts, ""))


def test_a_new_person_gets_an_account_with_a_verified_address_and_no_password(issuer: Issuer) -> None:
    user = signed_in(issuer.token())
    assert (user.email, user.name, user.roles, user.has_password) == (EMAIL, "Ada Lin", [], False)
    assert user.email_verified_at is not None
    again = signed_in(issuer.token(email="other@example.com"))
    assert again.id == user.id, "the identity counts, not its address"
    with pytest.raises(signin.WrongCredentials):
        signin.sign_in(EMAIL, user.password_hash, "192.0.2.1")


@ONE_DATABASE
@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"iss": "https://accounts.example"}, "issuer"),
        ({"aud": "another shop"}, "audience"),
        ({"aud": ["shop", "another"]}, "audience"),
        ({"aud": ["shop", "another"], "azp": "another"}, "audience"),
        ({"azp": "another"}, "audience"),
        ({"aud": None}, "audience"),
        ({"exp": int(time.time()) - 60}, "expired"),
        ({"exp": None}, "unreadable"),
        ({"exp": "tomorrow"}, "unreadable"),
        ({"iat": int(time.time()) - 360}, "old"),
        ({"iat": int(time.time()) + 86400}, "future"),
        ({"nbf": int(time.time()) + 86400}, "future"),
        ({"sub": ""}, "subject"),
        ({"sub": 7}, "subject"),
        ({"sub": "x" * 256}, "subject"),
        ({"email": None}, "email"),
        ({"email": "no address"}, "email"),
        ({"email_verified": False}, "email"),
        ({"email_verified": None}, "email"),
        ({"email_verified": 1}, "email"),
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(issuer: Issuer, changed: dict[str, Any], reason: str) -> None:
    assert problem(issuer.token(**changed)) == reason
    assert db.session.scalars(select(User.id)).all() == []


@ONE_DATABASE
def test_a_token_that_is_not_signed_by_a_published_key_is_refused(issuer: Issuer) -> None:
    public = rsa_key("one").as_pem(private=False)
    by_secret = unsigned({"alg": "HS256", "kid": "one"}, issuer.claims())[:-1]
    mac = hmac.digest(public, by_secret.encode(), "sha256")
    by_secret += "." + base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
    good = issuer.token()
    head, _, signature = good.split(".")
    other = unsigned({}, issuer.claims(sub="eve")).split(".")[1]
    wrong = {
        by_secret: "algorithm",
        unsigned({"alg": "none"}, issuer.claims()): "algorithm",
        unsigned({"alg": "RS256", "kid": "one"}, issuer.claims()): "signature",
        issuer.token(header={"alg": "PS256"}): "algorithm",
        issuer.token(key=rsa_key("eve")): "signature",
        issuer.token(header={"kid": "unknown"}): "key",
        unsigned({"alg": "RS256", "kid": []}, issuer.claims()): "algorithm",
        f"{head}.{other}.{signature}": "signature",
        "x" * 20000: "unreadable",
        "a.b": "unreadable",
        "é.é.é": "unreadable",
        unsigned({"alg": "RS256"}, []): "unreadable",  # type: ignore[arg-type]
    }
    assert {problem(token) for token in wrong} == set(wrong.values())
    for token, reason in wrong.items():
        assert problem(token) == reason, token
    assert signed_in(good).email == EMAIL


@ONE_DATABASE
def test_a_token_for_a_listed_audience_and_party_is_accepted(issuer: Issuer) -> None:
    for changed in ({"aud": "mobile"}, {"aud": ["shop", "x"], "azp": "mobile"}, {"email_verified": "true"}):
        assert signed_in(issuer.token(**changed)).email == EMAIL


@ONE_DATABASE
def test_a_nonce_that_a_program_names_must_be_in_the_token(issuer: Issuer) -> None:
    assert problem(issuer.token(), nonce="n1") == "nonce"
    assert problem(issuer.token(nonce="n2"), nonce="n1") == "nonce"
    assert identities.sign_in_with_token(issuer.token(nonce="n1"), Client(), nonce="n1").email == EMAIL


@pytest.mark.whole_sweep
def test_a_token_counts_once_also_with_its_signature_written_in_another_way(issuer: Issuer) -> None:
    token = issuer.token()
    signed_in(token)
    assert refusal(token).code == "id_token_used"
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = letters[letters.index(token[-1]) ^ 1]  # the last letter has bits that no byte needs
    assert refusal(token[:-1] + last).code in ("id_token_used", "id_token_refused")
    retention.sweep()
    assert db.session.scalars(select(SpentIdToken.digest)).all() != []
    with time_machine.travel(clock.wall() + timedelta(days=2)):
        retention.sweep()
    assert db.session.scalars(select(SpentIdToken.digest)).all() == []


@ONE_DATABASE
def test_keys_are_fetched_once_and_again_for_an_unknown_key_at_most_once_a_minute(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        signed_in(issuer.token())
    assert issuer.requests == {"/.well-known/openid-configuration": 1, "/keys": 1}
    issuer.keys.append(rsa_key("two"))
    for _ in range(3):
        assert problem(issuer.token(key=rsa_key("two"), header={"kid": "two"})) == "key"
    assert issuer.requests["/keys"] == 1
    monkeypatch.setattr(issuers, "REFETCH_AFTER", 0.0)
    assert signed_in(issuer.token(key=rsa_key("two"), header={"kid": "two"})).email == EMAIL
    assert issuer.requests["/keys"] == 2


@ONE_DATABASE
def test_an_issuer_that_is_away_or_publishes_wrong_metadata_gives_503_and_is_not_called_again_at_once(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.is_away = True
    for _ in range(3):
        assert (refusal(issuer.token()).code, refusal(issuer.token()).status) == ("identity_away", 503)
    assert issuer.requests == {"/.well-known/openid-configuration": 1}
    issuer.is_away = False
    monkeypatch.setattr(issuers, "RETRY_AFTER", 0.0)
    for wrong in ({"issuer": "https://accounts.example"}, {"jwks_uri": "file:///etc/passwd"}, {"jwks_uri": ""}):
        issuer.metadata = wrong
        assert refusal(issuer.token()).code == "identity_away"
    assert "/keys" not in issuer.requests
    issuer.metadata = {}
    assert signed_in(issuer.token()).email == EMAIL


def test_an_unverified_account_is_taken_over_and_loses_all_that_proved_its_maker(issuer: Issuer) -> None:
    maker = signin.register(EMAIL, "Eve", PASSWORD)
    with transaction():
        row = {"user_id": maker.id, "issuer": issuer.address, "subject": "eve", "email": "eve@example.com"}
        db.session.add(Identity(**row, added_at=clock.now()))
    owner = signed_in(issuer.token())
    assert (owner.id, owner.has_password) == (maker.id, False)
    assert owner.email_verified_at is not None and owner.session_epoch == maker.session_epoch + 1
    with pytest.raises(signin.WrongCredentials):
        signin.sign_in(EMAIL, PASSWORD, "192.0.2.1")
    assert refusal(issuer.token(sub="eve")).code == "identity_needs_confirmation"


def test_a_verified_account_is_not_signed_in_to_before_it_confirms(issuer: Issuer) -> None:
    signin.create(EMAIL, "Ada", PASSWORD, by=Actor.operator(), is_verified=True)
    assert refusal(issuer.token()).code == "identity_needs_confirmation"
    assert account().has_password and identities.of_user(account().id) == []
    assert signin.sign_in(EMAIL, PASSWORD, "192.0.2.1").email == EMAIL


@pytest.mark.parametrize("is_verified", [True, False])
def test_staff_and_invited_people_are_never_linked_by_their_address(issuer: Issuer, is_verified: bool) -> None:
    signin.create(EMAIL, "Ada", PASSWORD, ["support"], by=Actor.operator(), is_verified=is_verified)
    assert refusal(issuer.token()).code == "identity_of_staff"
    wanted = signin.create("bo@example.com", "Bo", PASSWORD, by=Actor.operator(), is_verified=is_verified)
    admin = signin.create("root@example.com", "Root", PASSWORD, ["admin"], by=Actor.operator(), is_verified=True)
    people.set_roles(wanted.id, ["finance"], by=Actor.staff(admin.id), reason="a new job")
    assert refusal(issuer.token(sub="bo", email="bo@example.com")).code == "identity_of_staff"
    with transaction():
        db.session.execute(update(User).where(User.email == EMAIL).values(password_hash="", roles=[]))
    assert refusal(issuer.token()).code == "identity_of_staff"
    assert db.session.scalars(select(Identity.id)).all() == []


@ONE_DATABASE
def test_a_disabled_account_is_refused_with_and_without_an_identity(issuer: Issuer) -> None:
    user = signed_in(issuer.token())
    people.disable(user.id, by=Actor.operator(), reason="abuse")
    assert refusal(issuer.token()).code == "account_disabled"
    assert refusal(issuer.token(sub="ada2")).code == "account_disabled"


@ONE_DATABASE
def test_a_firebase_project_gives_its_issuer_and_audience(app: Flask) -> None:
    app.config.update(OIDC_ISSUER="", FIREBASE_PROJECT_ID="settled-shop")
    (found,) = issuers.configured()
    assert found.address == "https://securetoken.google.com/settled-shop"
    assert found.audiences == {"settled-shop"} and issuers.for_redirect() is None


@ONE_DATABASE
def test_an_issuer_needs_https_in_production_and_a_client_or_audience(app: Flask) -> None:
    values = read(
        SETTINGS, {"SETTLED_ENV": "production", "OIDC_ISSUER": "http://login.example", "SECRET_KEY": "x" * 40}
    )
    with pytest.raises(BadSetting, match="OIDC_ISSUER is not https"):
        check(values, SETTINGS, {}, [])
    with pytest.raises(BadSetting, match="OIDC_CLIENT_ID"):
        load({"SETTLED_ENV": "development", "OIDC_ISSUER": "https://login.example"})
    for wrong in ("Settled", "a/b", "x" * 40):
        with pytest.raises(BadSetting, match="FIREBASE_PROJECT_ID"):
            load({"SETTLED_ENV": "development", "FIREBASE_PROJECT_ID": wrong})
