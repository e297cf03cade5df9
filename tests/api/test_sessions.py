"""Sessions of the API: pages list and end them, and those of staff end without a use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from shop.accounts import api_decide
from shop.accounts.api_models import ApiSession
from shop.accounts.models import User
from shop.accounts.permissions import Role
from shop.core.db import db
from tests.api.conftest import PASSWORD, Program, account, log_in, signed_in
from tests.ops.conftest import visitor_as
from tests.parts.statements import statements
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor

AT = datetime(2026, 12, 1, 12, tzinfo=UTC)
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile Safari/604.1"


@pytest.fixture
def time() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(datetime.now(UTC), tick=False) as traveller:
        yield traveller


def app_of(shop: Shop, email: str) -> Program:
    """An app that has signed in on a phone."""
    login = {"email": email, "password": PASSWORD}
    answer = Program(shop).post("/auth/login", login, headers={"User-Agent": PHONE})
    return Program(shop, str(answer.json["access_token"]))


def browser_of(shop: Shop, email: str) -> Visitor:
    shop.app.config["RATE_LIMITS"] = False
    visitor = Visitor(shop.app)
    visitor.get("/sign-in")
    assert visitor.post("/sign-in", {"email": email, "password": PASSWORD}).status_code == 303
    return visitor


def works(program: Program) -> bool:
    answer = program.get("/auth/profile")
    assert answer.status_code in (200, 401), answer.text
    return answer.status_code == 200


def ends_of(page: str) -> list[str]:
    """The addresses that end apps."""
    return re.findall(r'action="(/account/api-sessions/[^"]+/end)"', page)


def used_at() -> datetime | None:
    db.session.rollback()
    return db.session.scalars(db.select(ApiSession.last_used_at)).one()


def test_a_customer_signs_out_one_app_of_several(shop: Shop) -> None:
    email = account(shop)
    kept, lost = app_of(shop, email), app_of(shop, email)
    visitor = browser_of(shop, email)
    assert works(lost)
    page = visitor.get("/account").text
    assert page.count("App: Safari on iPhone") == 2 and page.count("Last used: ") == 1
    assert "Sign out all other devices and apps" in page
    end = next(one for one in ends_of(page) if _id(one) == _newest())
    assert visitor.post(end).location == "/account"
    assert not works(lost) and works(kept)
    assert "The app is signed out." in visitor.get("/account").text
    visitor.post(end)
    assert "The app is signed out." not in visitor.get("/account").text


def _id(path: str) -> str:
    return path.split("/")[3]


def _newest() -> str:
    db.session.rollback()
    return db.session.scalars(db.select(ApiSession.id).where(ApiSession.last_used_at.is_not(None))).one()


def test_a_customer_signs_out_all_other_devices_and_apps_at_once(shop: Shop) -> None:
    email = account(shop)
    token = log_in(shop, email).json
    programs = [Program(shop, token["access_token"]), app_of(shop, email)]
    visitor = browser_of(shop, email)
    visitor.get("/account")
    visitor.post("/account/sign-ins/end-others")
    assert not any(works(program) for program in programs)
    assert Program(shop).post("/auth/refresh", {"refresh_token": token["refresh_token"]}).status_code == 401
    page = visitor.get("/account").text
    assert "2 other devices are signed out." in page and not ends_of(page)


def test_an_app_of_another_customer_is_neither_listed_nor_ended(shop: Shop) -> None:
    other, visitor = app_of(shop, account(shop)), browser_of(shop, account(shop))
    assert works(other)
    assert not ends_of(visitor.get("/account").text)
    visitor.post(f"/account/api-sessions/{_newest()}/end")
    visitor.get("/account")
    visitor.post("/account/sign-ins/end-others")
    assert works(other)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_staff_see_the_apps_of_a_customer_and_of_a_colleague(shop: Shop) -> None:
    customer, colleague = account(shop), account(shop, Role.SUPPORT)
    for email in (customer, colleague):
        assert works(app_of(shop, email))
    admin = visitor_as(shop, "admin")
    numbers = {user.email: user.id for user in db.session.scalars(db.select(User))}
    page = admin.get(f"/ops/customers/{numbers[customer]}").text.partition("Sign-ins of apps, by the API")[2]
    assert "Safari on iPhone" in page
    page = admin.get(f"/ops/users/{numbers[colleague]}").text.partition("Apps signed in")[2]
    assert "Safari on iPhone since" in page and "last used" in page


def test_a_use_is_noted_at_most_once_a_minute(shop: Shop, time: time_machine.Traveller) -> None:
    program = signed_in(shop)
    assert works(program) and used_at() is not None
    first = used_at()
    time.shift(timedelta(seconds=59))
    with statements() as sent:
        assert works(program)
    assert not [one for one in sent if "UPDATE api_sessions" in one] and used_at() == first
    time.shift(timedelta(seconds=1))
    assert works(program) and used_at() != first


def test_a_session_of_staff_ends_without_a_use_and_gives_no_new_tokens(
    shop: Shop, time: time_machine.Traveller
) -> None:
    email = account(shop, Role.SUPPORT)
    tokens = log_in(shop, email).json
    assert works(Program(shop, tokens["access_token"]))
    shop.app.config["STAFF_IDLE_MINUTES"] = 10
    time.shift(timedelta(minutes=9, seconds=59))
    assert works(Program(shop, tokens["access_token"])), "and starts the time again"
    time.shift(timedelta(minutes=9))
    tokens = Program(shop).post("/auth/refresh", {"refresh_token": tokens["refresh_token"]}).json
    time.shift(timedelta(minutes=1))
    assert not works(Program(shop, tokens["access_token"])), "new tokens are no use"
    assert Program(shop).post("/auth/refresh", {"refresh_token": tokens["refresh_token"]}).status_code == 401
    assert works(signed_in(shop, Role.SUPPORT))


def test_a_session_of_a_customer_has_no_idle_limit(shop: Shop, time: time_machine.Traveller) -> None:
    tokens = log_in(shop, account(shop)).json
    time.shift(timedelta(days=29))
    again = Program(shop).post("/auth/refresh", {"refresh_token": tokens["refresh_token"]})
    assert again.status_code == 200 and works(Program(shop, again.json["access_token"]))


@pytest.mark.parametrize(("idle", "end"), [(None, 60), (30, 30), (90, 60)])
def test_a_session_ends_at_the_earlier_of_its_two_limits(idle: int | None, end: int) -> None:
    limit = None if idle is None else timedelta(minutes=idle)
    assert api_decide.ends_at(AT + timedelta(minutes=60), AT, limit) == AT + timedelta(minutes=end)
