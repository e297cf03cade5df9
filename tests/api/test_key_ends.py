"""Ends of access tokens, refresh tokens and API keys, by each act that ends them; docs/api.md has the same table."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shop.accounts import api_keys, credentials, people, recovery, sign_in_help
from shop.accounts.api_models import ApiKey
from shop.accounts.credentials import Origin
from shop.accounts.decide import LinkPurpose
from shop.accounts.models import User
from shop.accounts.permissions import Permission, Role
from shop.core import audit_search
from shop.core.actor import Actor
from shop.core.audit import Act
from shop.core.audit_search import Filters
from shop.core.db import db
from tests.accounts.test_verification import newest_token
from tests.api.conftest import PASSWORD, Program, account, log_in
from tests.shop_fixtures import Shop

NEW, PLACE = "another battery staple", "192.0.2.1"


class Member:
    """A member of finance with a session of the API and a key."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.email = shop, account(shop, Role.FINANCE)
        self.id = db.session.scalars(db.select(User.id).where(User.email == self.email)).one()
        self.tokens = log_in(shop, self.email).json
        self.key = api_keys.make("till", [Permission.ORDER_READ], by=Actor.staff(self.id)).text

    @property
    def alive(self) -> dict[str, bool]:
        """Which of the three still prove the account."""
        refreshed = Program(self.shop).post("/auth/refresh", {"refresh_token": self.tokens["refresh_token"]})
        found = {"access": Program(self.shop, self.tokens["access_token"]).get("/auth/profile").status_code}
        found |= {"refresh": refreshed.status_code, "key": Program(self.shop, self.key).get("/orders").status_code}
        assert set(found.values()) <= {200, 401}, found
        return {name: status == 200 for name, status in found.items()}


def _reset(member: Member, _root: Actor) -> None:
    recovery.request(LinkPurpose.RESET, member.email, "en")
    recovery.reset(newest_token(LinkPurpose.RESET), NEW, PLACE)


ACTS: dict[str, tuple[Callable[[Member, Actor], object], bool]] = {
    "new password": (lambda member, _: credentials.change_password(member.id, PASSWORD, NEW, Origin(PLACE)), True),
    "password reset by mail": (_reset, False),
    "signed out by an admin": (lambda member, root: sign_in_help.sign_out(member.id, by=root, reason="lost"), False),
    "disabled": (lambda member, root: people.disable(member.id, by=root, reason="left"), False),
}
"""Acts, and whether API keys survive them."""


@pytest.mark.parametrize("act", ACTS)
def test_what_ends_the_sign_ins_of_an_account_ends_its_tokens_and_mostly_its_keys(shop: Shop, act: str) -> None:
    shop.app.config["RATE_LIMITS"] = False
    member, [root] = Member(shop), shop.staff("root", role=Role.ADMIN)
    assert member.alive == {"access": True, "refresh": True, "key": True}
    do, keys_stay = ACTS[act]
    do(member, root)
    assert member.alive == {"access": False, "refresh": False, "key": keys_stay}


def test_a_key_of_a_disabled_account_stays_ended_when_the_account_is_enabled(shop: Shop) -> None:
    member, [root] = Member(shop), shop.staff("root", role=Role.ADMIN)
    people.disable(member.id, by=root, reason="left")
    people.enable(member.id, by=root, reason="came back")
    assert Program(shop, member.key).get("/orders").status_code == 401
    key = db.session.scalars(db.select(ApiKey)).one()
    assert key.revoked_by == root
    [entry] = audit_search.find(Filters(acts=[Act.API_KEY_REVOKED])).rows
    assert (entry.subject_id, entry.reason) == (key.public_id, "The account was disabled: left")


def test_the_keys_of_a_colleague_and_what_was_revoked_before_stay_as_they_are(shop: Shop) -> None:
    member, other, [root] = Member(shop), Member(shop), shop.staff("root", role=Role.ADMIN)
    first = db.session.scalars(db.select(ApiKey.id).where(ApiKey.user_id == member.id)).one()
    api_keys.revoke(first, by=Actor.staff(member.id))
    sign_in_help.sign_out(member.id, by=root, reason="lost")
    db.session.rollback()
    assert db.session.get_one(ApiKey, first).revoked_by == Actor.staff(member.id)
    assert other.alive == {"access": True, "refresh": True, "key": True}
