"""Invitations of staff: mailed link, its page, roles that wait for a second admin, and misuse."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from shop.accounts import invitations, people, recovery, rights, role_requests, signin
from shop.accounts.decide import LinkPurpose
from shop.accounts.links import LinkEnded
from shop.accounts.models import AccountLink, User
from shop.accounts.permissions import Role
from shop.core.actor import Actor
from shop.core.audit import Act
from shop.core.audit_search import find
from shop.core.db import db, transaction
from shop.core.errors import BadInput, Refusal
from shop.mail.models import Mail
from tests.race_fixtures import Race
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor
from tests.web.test_verification import mailed_link

NEW = {"name": "Bo Chen", "password": "a new long sentence"}
EMAIL = "bo@example.com"


@pytest.fixture
def visitor(shop: Shop) -> Visitor:
    shop.app.config["RATE_LIMITS"] = False
    return Visitor(shop.app)


@pytest.fixture
def admins(shop: Shop) -> tuple[Actor, Actor]:
    ann, ben = shop.staff("ann", "ben", role=Role.ADMIN)
    return ann, ben


def account() -> User:
    db.session.rollback()
    return db.session.scalars(select(User).where(User.email == EMAIL)).one()


def signed_of(path: str) -> str:
    return path.rpartition("/")[2]


def test_an_invited_person_chooses_name_and_password_and_then_signs_in(
    shop: Shop, admins: tuple[Actor, Actor], visitor: Visitor
) -> None:
    invitations.invite(" Bo@Example.com", ["support"], by=admins[0], reason="hired")
    with pytest.raises(signin.WrongCredentials):
        signin.sign_in(EMAIL, "", "203.0.113.7")
    path = mailed_link(shop, visitor, "invitation")
    page = visitor.get(path)
    assert page.status_code == 200 and EMAIL in page.text and page.headers["Referrer-Policy"] == "no-referrer"
    for wrong in ({"password": "short"}, {"name": " "}, {"password": EMAIL}):
        assert visitor.post(path, {**NEW, **wrong}).status_code == 422
    assert account().password_hash == ""
    assert visitor.post(path, NEW).location == "/sign-in"
    assert (account().name, account().roles, account().email_verified_at is None) == ("Bo Chen", ["support"], False)
    visitor.get("/sign-in")
    assert visitor.post("/sign-in", {"email": EMAIL, "password": NEW["password"]}).location == "/ops"
    subject = str(account().id)
    assert [entry.act for entry in find().rows if entry.subject_id == subject] == [
        Act.SIGN_IN_SUCCEEDED,
        Act.INVITATION_ACCEPTED,
        Act.SIGN_IN_FAILED,
        Act.ACCOUNT_INVITED,
    ]


def test_the_page_of_a_used_or_expired_invitation_names_the_next_step(
    shop: Shop, admins: tuple[Actor, Actor], visitor: Visitor
) -> None:
    invitations.invite(EMAIL, ["support"], by=admins[0], reason="hired")
    path = mailed_link(shop, visitor, "invitation")
    visitor.get(path)
    with transaction():
        ends = db.session.scalars(select(AccountLink.expires_at)).one()
        db.session.execute(update(AccountLink).values(expires_at=ends - timedelta(hours=73)))
    for answer in (visitor.get(path), visitor.post(path, NEW)):
        assert answer.status_code == 410 and "ask the person who invited you" in answer.text
    assert account().password_hash == ""
    invitations.send_again(account().id, by=admins[1])
    newer = mailed_link(shop, visitor, "invitation")
    assert newer != path
    visitor.get(newer)
    assert visitor.post(newer, NEW).status_code == 303
    used = visitor.post(newer, NEW)
    assert used.status_code == 410 and "ask the person who invited you" in used.text
    with pytest.raises(Refusal, match="accepted the invitation already"):
        invitations.send_again(account().id, by=admins[1])


def test_an_invitation_is_valid_for_72_hours(shop: Shop, admins: tuple[Actor, Actor]) -> None:
    invitations.invite(EMAIL, ["support"], by=admins[0], reason="hired")
    link = db.session.scalars(select(AccountLink)).one()
    assert link.expires_at - link.created_at == timedelta(hours=72)


def test_a_money_role_of_an_invitation_counts_once_a_second_admin_has_approved_it(
    shop: Shop, admins: tuple[Actor, Actor]
) -> None:
    invitations.invite(EMAIL, ["finance", "support"], by=admins[0], reason="hired")
    assert account().roles == ["support"]
    [(request, _)] = role_requests.waiting()
    number = request.id
    with pytest.raises(Refusal, match="Another admin"):
        role_requests.approve(number, by=admins[0])
    role_requests.approve(number, by=admins[1])
    assert account().roles == ["finance", "support"]


def test_disabling_the_account_withdraws_the_invitation(
    shop: Shop, admins: tuple[Actor, Actor], visitor: Visitor
) -> None:
    invitations.invite(EMAIL, ["support"], by=admins[0], reason="hired")
    path = mailed_link(shop, visitor, "invitation")
    visitor.get(path)
    people.disable(account().id, by=admins[1], reason="mistake")
    assert visitor.post(path, NEW).status_code == 410
    with pytest.raises(LinkEnded):
        invitations.accept(signed_of(path), **NEW)
    assert account().password_hash == ""


def test_of_several_uses_of_a_link_at_once_one_counts(
    shop: Shop, admins: tuple[Actor, Actor], visitor: Visitor, race: Race
) -> None:
    invitations.invite(EMAIL, ["support"], by=admins[0], reason="hired")
    signed = signed_of(mailed_link(shop, visitor, "invitation"))
    results = race(lambda number: invitations.accept(signed, f"Bo {number}", NEW["password"]))
    assert [one for one in results if isinstance(one, str)] == [EMAIL]
    assert account().name == f"Bo {results.index(EMAIL)}"


def test_an_address_with_an_account_is_not_invited(shop: Shop, admins: tuple[Actor, Actor]) -> None:
    email = db.session.get_one(User, shop.customer()).email
    with pytest.raises(Refusal, match="has an account already") as refused:
        invitations.invite(email, ["support"], by=admins[0], reason="hired")
    assert (refused.value.code, refused.value.status) == ("account_exists", 409)
    shop.sweep()
    assert shop.count(Mail) == 0


def test_an_invited_account_gets_no_link_for_a_forgotten_password(shop: Shop, admins: tuple[Actor, Actor]) -> None:
    invitations.invite(EMAIL, ["support"], by=admins[0], reason="hired")
    recovery.request(LinkPurpose.RESET, EMAIL, "en")
    shop.sweep()
    assert db.session.scalars(select(Mail.kind)).all() == ["invitation"]


def test_only_admins_invite(shop: Shop) -> None:
    with pytest.raises(rights.Forbidden):
        invitations.invite(EMAIL, ["support"], by=shop.sam, reason="hired")
    shop.sweep()
    assert shop.count(Mail) == 0 and db.session.scalar(select(User.id).where(User.email == EMAIL)) is None


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"email": "bo"}, "bad_email"),
        ({"email": "a@example.com\r\nBcc: b@example.com"}, "bad_email"),
        ({"roles": []}, "roles_needed"),
        ({"roles": ["owner"]}, "unknown_role"),
        ({"reason": " "}, "reason_needed"),
    ],
)
def test_an_invitation_that_cannot_be_used_is_refused(
    shop: Shop, admins: tuple[Actor, Actor], changed: dict[str, object], code: str
) -> None:
    given = {"email": EMAIL, "roles": ["support"], "reason": "hired"} | changed
    before = shop.count(User)
    with pytest.raises(BadInput) as refused:
        invitations.invite(**given, by=admins[0])  # type: ignore[arg-type]
    assert (refused.value.code, shop.count(User)) == (code, before)
