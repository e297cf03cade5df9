"""Pages of staff accounts: list, account, disable, roles, and requests that wait for a second admin."""

from __future__ import annotations

import re

import pytest

from shop.accounts import people, second_factor, signin, throttle
from shop.accounts.models import User
from shop.accounts.permissions import Role
from shop.core import clock, rate_limit
from shop.core.actor import Actor
from shop.core.db import db, transaction
from tests.ops.conftest import PASSWORD, visitor_as
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor


@pytest.fixture
def bo(shop: Shop) -> int:
    return signin.create("bo@example.com", "Bo", PASSWORD, ["support"], by=Actor.operator()).id


def account(user_id: int) -> User:
    db.session.rollback()
    return db.session.get_one(User, user_id, populate_existing=True)


def send(visitor: Visitor, user_id: int, act: str, **fields: object) -> tuple[int, str]:
    """Open the account, fill in a form and send it; status and text of the page that follows."""
    visitor.get(f"/ops/users/{user_id}")
    version = visitor.field("version")
    answer = visitor.post(f"/ops/users/{user_id}/{act}", {"version": version, "reason": "as agreed", **fields})
    if answer.status_code != 303:
        return answer.status_code, answer.text
    return 303, visitor.get(answer.location).text


def test_the_list_shows_staff_alone_with_roles_state_and_last_sign_in(shop: Shop, bo: int) -> None:
    admin = visitor_as(shop, "admin")
    customer = shop.customer()
    people.disable(bo, by=Actor.operator(), reason="left")
    page = admin.get("/ops/users").text
    assert re.search(
        r"bo@example\.com</a></td>\s*<td[^>]*>Bo</td>\s*<td[^>]*>support</td>\s*<td[^>]*><span[^>]*>disabled<", page
    )
    assert re.search(r"admin@example\.com</a>.*?active.*?<time", page, re.S)
    assert account(customer).email not in page
    assert "bo@example.com" in admin.get("/ops/users?state=disabled").text
    assert "bo@example.com" not in admin.get("/ops/users?state=active").text


@pytest.mark.parametrize("query", ["x=1", "state=away", "state=active&role=admin"])
def test_unknown_filters_are_refused_with_the_known_ones(shop: Shop, query: str) -> None:
    answer = visitor_as(shop, "admin").get(f"/ops/users?{query}")
    assert answer.status_code == 422
    assert "The only one is state." in answer.text or "States are active, invited, disabled." in answer.text


@pytest.mark.parametrize("number", ["0", "99", str(2**31), str(10**30), "x"])
def test_an_account_that_does_not_exist_is_404(shop: Shop, number: str) -> None:
    admin = visitor_as(shop, "admin")
    assert admin.get(f"/ops/users/{number}").status_code == 404
    for act in ("disable", "enable", "roles", "unlock"):
        assert admin.post(f"/ops/users/{number}/{act}", {"reason": "x"}).status_code == 404
    for act in ("approve", "decline"):
        assert admin.post(f"/ops/users/requests/{number}/{act}").status_code == 404


def test_the_next_request_of_a_person_who_was_disabled_goes_to_the_sign_in(shop: Shop) -> None:
    support, admin = visitor_as(shop, "support"), visitor_as(shop, "admin")
    assert support.get("/ops").status_code == 200
    user_id = db.session.scalars(db.select(User.id).where(User.email == "support@example.com")).one()
    status, page = send(admin, user_id, "disable")
    assert (status, "The account is disabled." in page) == (303, True)
    answer = support.get("/ops")
    assert (answer.status_code, answer.location) == (303, "/sign-in?next=/ops")
    support.get("/sign-in")
    answer = support.post("/sign-in", {"email": "support@example.com", "password": PASSWORD})
    assert answer.status_code == 403 and "This account has been disabled." in answer.text
    assert send(admin, user_id, "enable")[0] == 303
    support.get("/sign-in")
    assert support.post("/sign-in", {"email": "support@example.com", "password": PASSWORD}).status_code == 303


def test_the_next_request_of_a_person_who_was_demoted_is_refused(shop: Shop) -> None:
    second, first = visitor_as(shop, "admin", "support"), visitor_as(shop, "admin")
    user_id = db.session.scalars(db.select(User.id).where(User.email == "admin-support@example.com")).one()
    assert second.get("/ops/users").status_code == 200
    assert send(first, user_id, "roles", role=["support"])[0] == 303
    assert second.get("/ops/users").status_code == 403
    assert second.get("/ops").status_code == 200


def test_an_admin_unlocks_the_sign_in_of_staff_with_the_hourly_limit_of_codes(shop: Shop, bo: int) -> None:
    admin, support = visitor_as(shop, "admin"), visitor_as(shop, "support")
    assert send(admin, bo, "unlock")[0] == 409
    with transaction():
        account(bo).second_factor_at = clock.now()
    name = second_factor.counter(bo)
    while rate_limit.allowed(second_factor.PER_ACCOUNT, name):
        pass
    for _ in range(throttle.FREE_FAILURES):
        throttle.count("bo@example.com", "192.0.2.7")
    assert "Sign-in is delayed until" in admin.get(f"/ops/users/{bo}").text
    assert send(support, bo, "unlock")[0] == 403
    assert send(admin, bo, "unlock")[0] == 303
    assert rate_limit.allowed(second_factor.PER_ACCOUNT, name)
    assert "No wrong passwords are counted." in admin.get(f"/ops/users/{bo}").text


def test_a_refused_form_is_shown_again_with_the_typed_reason_and_changes_nothing(shop: Shop, bo: int) -> None:
    admin = visitor_as(shop, "admin")
    status, page = send(admin, bo, "disable", reason=" ")
    assert status == 422 and "Enter a reason." in page
    status, page = send(admin, bo, "roles", role=["owner"], reason="new job")
    assert status == 422 and "owner is not a role." in page and ">new job</textarea>" in page
    status, page = send(admin, bo, "disable", version="7", reason="left")
    assert status == 409 and "Someone else has changed this account" in page
    status, page = send(admin, bo, "disable", version="x" * 99, reason="left")
    assert status == 409
    assert (account(bo).disabled_at, account(bo).roles, account(bo).access_version) == (None, ["support"], 0)


def test_a_money_role_waits_on_the_page_until_another_admin_approves_it(shop: Shop, bo: int) -> None:
    first, second = visitor_as(shop, "admin"), visitor_as(shop, "admin", "merchandiser")
    assert send(first, bo, "roles", role=["support", "finance"])[0] == 303
    assert account(bo).roles == ["support"]
    page = first.get("/ops/users").text
    assert ">Decline<" in page and ">Approve<" not in page
    page = second.get("/ops/users").text
    path = re.search(r'action="(/ops/users/requests/\d+/approve)"', page)
    assert path
    assert first.post(path[1]).status_code == 409
    assert second.post(path[1]).status_code == 303
    assert account(bo).roles == ["finance", "support"]
    answer = second.post(path[1])
    assert answer.status_code == 409 and "admin-merchandiser@example.com approved this request at" in answer.text


def test_ones_own_account_has_no_forms_and_refuses_them(shop: Shop) -> None:
    admin = visitor_as(shop, "admin")
    user_id = db.session.scalars(db.select(User.id).where(User.email == "admin@example.com")).one()
    page = admin.get(f"/ops/users/{user_id}").text
    assert "This is your own account." in page and "Disable account" not in page
    for act in ("disable", "roles"):
        answer = admin.post(f"/ops/users/{user_id}/{act}", {"reason": "x", "version": "0", "role": "finance"})
        assert answer.status_code == 409
    assert account(user_id).roles == ["admin"]


@pytest.mark.parametrize("role", [role for role in Role if role != Role.ADMIN])
def test_others_than_admins_do_not_see_the_pages(shop: Shop, bo: int, role: Role) -> None:
    other = visitor_as(shop, role)
    assert "/ops/users" not in other.get("/ops").text
    assert other.get("/ops/users").status_code == other.get(f"/ops/users/{bo}").status_code == 403


def test_an_admin_invites_a_person_and_a_refused_form_keeps_what_was_typed(shop: Shop, bo: int) -> None:
    admin = visitor_as(shop, "admin")
    admin.get("/ops/users")
    wrong = {"email": "new@example.com", "role": ["support"], "reason": ""}
    answer = admin.post("/ops/users/invite", wrong)
    assert answer.status_code == 422 and 'value="new@example.com"' in answer.text
    assert re.search(r'value="support" checked', answer.text)
    assert admin.post("/ops/users/invite", {**wrong, "reason": "x", "language": "xx"}).status_code == 422
    known = admin.post("/ops/users/invite", {**wrong, "reason": "x", "email": "bo@example.com"})
    assert known.status_code == 409 and f'href="/ops/users/{bo}"' in known.text
    sent = admin.post("/ops/users/invite", {**wrong, "reason": "hired", "language": "zh_Hant"})
    assert sent.status_code == 303
    page = admin.get(sent.location).text
    assert ">invited<" in page and "Send invitation again" in page
    assert admin.post(f"{sent.location}/invite").status_code == 303
    assert admin.post(f"/ops/users/{bo}/invite").status_code == 409
    assert "new@example.com" in admin.get("/ops/users?state=invited").text
