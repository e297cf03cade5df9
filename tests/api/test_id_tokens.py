"""Sign-in by the API with ID tokens of an OpenID Connect issuer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shop.accounts import signin
from shop.accounts.models import User
from shop.accounts.permissions import Role
from shop.core import clock
from shop.core.actor import Actor
from shop.core.db import db, transaction
from tests.api.conftest import PASSWORD, Program, account
from tests.parts import issuer as issuer_parts
from tests.parts.issuer import Issuer
from tests.shop_fixtures import Shop

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def issuer(shop: Shop) -> Iterator[Issuer]:
    """The issuer that the settings name."""
    with issuer_parts.running() as found:
        shop.app.config.update(OIDC_ISSUER=found.address, OIDC_CLIENT_ID="shop")
        yield found


def test_an_id_token_gives_a_session_once(shop: Shop, guest: Program, issuer: Issuer) -> None:
    token = issuer.token(nonce="n1")
    assert guest.post("/auth/token", {"id_token": token, "nonce": "n2"}).json["code"] == "id_token_refused"
    answer = guest.post("/auth/token", {"id_token": token, "nonce": "n1"})
    assert answer.status_code == 200 and answer.json["token_type"] == "Bearer"
    profile = Program(shop, answer.json["access_token"]).get("/auth/profile").json
    assert (profile["email"], profile["name"], profile["roles"]) == ("ada@example.com", "Ada Lin", [])
    again = guest.post("/auth/token", {"id_token": token, "nonce": "n1"})
    assert (again.status_code, again.json["code"]) == (401, "id_token_used")


def test_each_reason_to_refuse_an_id_token_is_a_problem(shop: Shop, guest: Program, issuer: Issuer) -> None:
    staff = account(shop, Role.SUPPORT)
    signin.create("bo@example.com", "Bo", PASSWORD, by=Actor.operator(), is_verified=True)
    found = {}
    for token in (
        "no token",
        issuer.token(aud="another"),
        issuer.token(email_verified=False),
        issuer.token(email=staff),
        issuer.token(email="bo@example.com"),
    ):
        answer = guest.post("/auth/token", {"id_token": token})
        assert answer.mimetype == "application/problem+json"
        found[answer.json["code"]] = answer.status_code
    assert found == {
        "id_token_refused": 401,
        "identity_email_unverified": 401,
        "identity_of_staff": 403,
        "identity_needs_confirmation": 409,
    }
    issuer.keys, issuer.is_away = [], True
    shop.app.extensions.pop("settled_oidc")
    answer = guest.post("/auth/token", {"id_token": issuer.token()})
    assert (answer.status_code, answer.json["code"]) == (503, "identity_away")
    assert int(answer.headers["Retry-After"]) > 0
    assert guest.post("/auth/token", {"id_token": 7}).status_code == 422


def test_a_second_factor_is_needed_after_an_id_token_too(shop: Shop, guest: Program, issuer: Issuer) -> None:
    assert guest.post("/auth/token", {"id_token": issuer.token()}).status_code == 200
    with transaction():
        db.session.execute(db.update(User).values(roles=["support"], second_factor_at=clock.now()))
    answer = guest.post("/auth/token", {"id_token": issuer.token()})
    assert (answer.status_code, answer.json["code"]) == (401, "otp_required")
    answer = guest.post("/auth/token", {"id_token": issuer.token(), "otp": "000000"})
    assert (answer.status_code, answer.json["code"]) == (401, "invalid_otp")
