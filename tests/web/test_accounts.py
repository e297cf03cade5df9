"""Account pages."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from tests.web.conftest import Visitor, title

ADA = {"email": "ada@example.com", "name": "Ada", "password": "a long enough sentence"}


def test_an_account_can_be_made_used_and_left(visitor: Visitor) -> None:
    visitor.get("/register")
    assert visitor.post("/register", ADA).location == "/account"
    assert "Hello, Ada" in visitor.get("/account").text
    assert visitor.post("/sign-out").location == "/"
    assert visitor.get("/account").location == "/sign-in?next=/account"
    visitor.get("/sign-in?next=/account")
    assert visitor.field("next") == "/account"
    assert visitor.post("/sign-in", {**ADA, "next": "/account"}).location == "/account"


def test_a_signed_in_customer_sees_own_orders_and_a_prefilled_checkout(visitor: Visitor) -> None:
    visitor.get("/register")
    visitor.post("/register", ADA)
    path = visitor.order()
    assert path in visitor.get("/account").text and path in visitor.get("/orders").text
    visitor.add()
    assert 'value="ada@example.com"' in visitor.get("/checkout").text


def test_the_cart_survives_signing_in_and_is_not_shown_to_the_next_user_of_the_browser(visitor: Visitor) -> None:
    visitor.add()
    visitor.get("/register")
    visitor.post("/register", ADA)
    assert visitor.cart() == {"TEST-KETTLE": 1}
    visitor.get("/account")
    visitor.post("/sign-out")
    assert visitor.cart() == {}


def test_a_wrong_password_and_an_unknown_address_are_the_same_answer(visitor: Visitor, other_visitor: Visitor) -> None:
    visitor.get("/register")
    visitor.post("/register", ADA)
    answers = []
    for email in (ADA["email"], "nobody@example.com"):
        other_visitor.get("/sign-in")
        response = other_visitor.post("/sign-in", {"email": email, "password": "something wrong"})
        assert response.status_code == 422
        answers.append(re.sub(r'value="[^"]*"', "", re.sub(r"reference.*", "", response.text)))
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"email": "ada"}, "Enter an e-mail address in the format name@example.com."),
        ({"email": "x" * 65 + "@e.com"}, "This e-mail address is too long."),
        ({"password": "short"}, "wrong-password"),
        ({"name": ""}, "Enter your name."),
        ({"password": ""}, "Choose a password."),
    ],
)
def test_errors_of_a_new_account_are_shown_at_their_fields(visitor: Visitor, changed: dict, message: str) -> None:
    visitor.get("/register")
    response = visitor.post("/register", {**ADA, **changed})
    assert response.status_code == 422 and message in response.text
    assert title(visitor.get("/sign-in")).startswith("Sign in")


def test_an_address_that_has_an_account_is_reported_and_the_password_is_never_sent_back(
    visitor: Visitor, other_visitor: Visitor
) -> None:
    visitor.get("/register")
    visitor.post("/register", ADA)
    other_visitor.get("/register")
    response = other_visitor.post("/register", ADA)
    assert response.status_code == 409 and "There is already an account" in response.text
    assert ADA["password"] not in response.text


def test_all_other_devices_can_be_signed_out_at_once(visitor: Visitor, app: Flask) -> None:
    visitor.get("/register")
    visitor.post("/register", ADA, headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"})
    others = [Visitor(app) for _ in range(2)]
    for other in others:
        other.get("/sign-in")
        other.post("/sign-in", ADA, headers={"User-Agent": "Mozilla/5.0 (iPhone) Version/18.0 Safari/604.1"})
    page = visitor.get("/account").text
    assert page.count("Safari on iPhone") == 2 and "Firefox on Linux" in page
    assert visitor.post("/account/sign-ins/end-others").location == "/account"
    page = visitor.get("/account").text
    assert "2 other devices are signed out." in page and "Safari on iPhone" not in page
    assert [other.get("/account").status_code for other in others] == [303, 303]


def test_another_device_can_be_signed_out(visitor: Visitor, other_visitor: Visitor) -> None:
    visitor.get("/register")
    visitor.post("/register", ADA)
    other_visitor.get("/sign-in")
    other_visitor.post("/sign-in", ADA)
    page = visitor.get("/account").text
    handle = re.search(r'action="(/account/sign-ins/[^"]+/end)"', page)
    assert handle and visitor.post(handle[1]).status_code == 303
    assert other_visitor.get("/account").status_code == 303
    assert visitor.get("/account").status_code == 200
