"""Rate limits of pages: the message, and kept input."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from limits import RateLimitItemPerHour

from shop.accounts import signin
from shop.web import accounts
from tests.web.conftest import CUSTOMER, Visitor

TYPED = {
    "/checkout": (CUSTOMER, 30, ("email", "name", "line1", "city", "postcode")),
    "/register": ({"email": "ada@example.com", "name": "Ada Lin", "password": "tiny-pw"}, 10, ("email", "name")),
    "/orders": ({"email": "ada@example.com"}, 10, ("email",)),
    "/sign-in": ({"email": "ada@example.com", "password": "not this one"}, 5, ("email",)),
}


@pytest.mark.parametrize("path", TYPED)
def test_too_many_at_once_is_429_with_a_time_and_everything_typed_kept(app: Flask, visitor: Visitor, path: str) -> None:
    typed, limit, kept = TYPED[path]
    app.config["RATE_LIMITS"] = True
    visitor.add()
    visitor.get(path)
    for _ in range(4 * limit + 1):
        answer = visitor.post(path, typed)
        if answer.status_code == 429:
            break
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert [visitor.field(name) for name in kept] == [typed[name] for name in kept]
    assert "password" not in typed or typed["password"] not in answer.text
    assert re.search(r"wait a (minute|few minutes)", answer.text)


def test_a_form_that_is_corrected_forty_times_still_becomes_an_order(app: Flask, visitor: Visitor) -> None:
    app.config["RATE_LIMITS"] = True
    visitor.add()
    assert {visitor.checkout(city="").status_code for _ in range(40)} == {422}
    assert visitor.checkout().status_code == 303


def test_after_several_taken_addresses_a_network_cannot_find_out_about_more(
    app: Flask, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "TAKEN", RateLimitItemPerHour(2))
    app.config["RATE_LIMITS"] = True
    with app.app_context():
        signin.register("ada@example.com", "Ada", "paper lantern 7")
    form = {"email": "ada@example.com", "name": "Ada", "password": "paper lantern 7"}
    visitor.get("/register")
    tried = [{"password": "short"}, {"password": "short"}, {}, {}, {}, {"email": "free@example.com"}]
    answers = [visitor.post("/register", {**form, **changed}) for changed in tried]
    assert [answer.status_code for answer in answers] == [422, 422, 409, 409, 429, 429], "only taken ones are counted"
    for refused in answers[-2:]:
        assert refused.headers["Retry-After"] == "3600" and "try again in an hour" in refused.text


def test_a_browser_that_signed_in_before_is_not_blocked_by_attempts_of_others(
    app: Flask, visitor: Visitor, other_visitor: Visitor
) -> None:
    app.config["RATE_LIMITS"] = True
    ada = {"email": "ada@example.com", "password": "paper lantern 7"}
    with app.app_context():
        signin.register(ada["email"], "Ada", ada["password"])
    visitor.get("/sign-in")
    answer = visitor.post("/sign-in", ada)
    assert answer.status_code == 303
    [cookie] = [line for line in answer.headers.getlist("Set-Cookie") if line.startswith("settled-device=")]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Max-Age=31536000" in cookie
    assert "ada" not in cookie
    visitor.get("/account")
    visitor.post("/sign-out")
    other_visitor.get("/sign-in")
    wrong = {**ada, "password": "not this one"}
    assert [other_visitor.post("/sign-in", wrong).status_code for _ in range(10)][-1] == 429
    assert other_visitor.post("/sign-in", ada).status_code == 429, "a stranger of that network waits"
    visitor.get("/sign-in")
    assert visitor.post("/sign-in", ada).status_code == 303
