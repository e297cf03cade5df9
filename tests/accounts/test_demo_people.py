"""Accounts of the demo: in development only."""

from __future__ import annotations

import re

import pytest

from shop.accounts import demo_people, signin
from shop.accounts.models import User
from shop.accounts.permissions import Role
from shop.core.db import db
from shop.core.errors import Refusal
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor
from tools.docs.code import ROOT


def accounts(shop: Shop) -> dict[str, list[str]]:
    db.session.rollback()
    return {user.email: user.roles for user in db.session.scalars(db.select(User).order_by(User.id))}


def test_the_seed_creates_an_account_for_each_role_and_a_customer_once(shop: Shop) -> None:
    for _ in range(2):
        assert shop.app.test_cli_runner().invoke(args=["seed"]).exit_code == 0
    assert accounts(shop) == {
        "support@settled.example": ["support"],
        "finance@settled.example": ["finance"],
        "finance2@settled.example": ["finance"],
        "merchandiser@settled.example": ["merchandiser"],
        "admin@settled.example": ["admin"],
        "may@settled.example": [],
    }
    assert {role for _, roles in demo_people.PEOPLE.values() for role in roles} == set(Role)
    for email in demo_people.PEOPLE:
        assert signin.sign_in(email, "settled-demo", "").email == email


def test_an_account_that_exists_keeps_its_password_and_roles(shop: Shop) -> None:
    [email, *_] = demo_people.PEOPLE
    assert demo_people.insert_missing() == len(demo_people.PEOPLE)
    user = db.session.scalars(db.select(User).where(User.email == email)).one()
    user.roles, user.password_hash = [], "-"
    db.session.commit()
    assert demo_people.insert_missing() == 0
    with pytest.raises(Refusal):
        signin.sign_in(email, demo_people.PASSWORD, "")
    assert accounts(shop)[email] == []


def test_production_never_has_them(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shop.app.config, "SETTLED_ENV", "production")
    assert shop.app.test_cli_runner().invoke(args=["seed"]).exit_code == 0
    assert accounts(shop) == {}
    with pytest.raises(RuntimeError):
        demo_people.insert_missing()
    assert "settled.example" not in Visitor(shop.app).get("/sign-in").text.partition("<footer")[0]


def test_the_sign_in_page_of_a_development_shop_names_them(shop: Shop) -> None:
    page = Visitor(shop.app).get("/sign-in").text
    assert all(email in page for email in demo_people.PEOPLE) and demo_people.PASSWORD in page
    assert "settled.example" not in Visitor(shop.app).get("/register").text.partition("<footer")[0]


def test_the_start_of_the_demo_prints_them() -> None:
    text = (ROOT / "tools" / "runner" / "start.py").read_text()
    printed = text.partition('PEOPLE = """')[2].partition('"""')[0]
    assert demo_people.PASSWORD in printed
    assert set(re.findall(r"(\w+)@", printed)) == {email.partition("@")[0] for email in demo_people.PEOPLE}
