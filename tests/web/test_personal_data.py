"""Pages with which customers download their data and delete their account, without JavaScript."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from shop.core.languages import OFFERED
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor, title
from tests.web.test_identities import issuer, person, signed_in  # noqa: F401 - fixtures
from tests.web.test_verification import ADA, is_private

pytestmark = [
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:authlib"),
]
CONFIRMED = {"confirmation": ADA["email"], "current": ADA["password"]}


@pytest.fixture
def ada(visitor: Visitor) -> Visitor:
    """A customer who has just registered."""
    visitor.get("/register")
    visitor.post("/register", ADA)
    return visitor


def test_the_account_page_leads_to_the_download_which_needs_the_password(ada: Visitor) -> None:
    path = ada.order()
    assert 'href="/account/data"' in ada.get("/account").text
    assert is_private(ada.get("/account/data"))
    refused = ada.post("/account/data", {"current": "something wrong"})
    assert refused.status_code == 422 and "This is not your current password." in refused.text
    file = ada.post("/account/data", {"current": ADA["password"]}, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in file.headers, "a stream stays as it is"
    assert re.fullmatch(r'attachment; filename="settled-data-[0-9-]{10}\.json"', file.headers["Content-Disposition"])
    found = file.get_json()
    assert (found["account"]["email"], len(found["orders"]), found["is_complete"]) == (ADA["email"], 1, True)
    assert path.rpartition("/")[2] not in file.text and is_private(file)


def test_an_account_is_exported_a_few_times_an_hour(app: Flask, ada: Visitor) -> None:
    app.config["RATE_LIMITS"] = True
    ada.get("/account/data")
    answers = [ada.post("/account/data", {"current": ADA["password"]}) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert "Try again in an hour." in answers[-1].text and answers[-1].headers["Retry-After"] == "3600"


def test_a_deleted_account_is_signed_out_and_its_address_is_free(
    shop: Shop, ada: Visitor, other_visitor: Visitor
) -> None:
    order = ada.order()
    other_visitor.get("/sign-in")
    other_visitor.post("/sign-in", ADA)
    page = ada.get("/account/delete")
    assert is_private(page) and f'href="{order}"' in page.text and "Orders that are not paid yet" in page.text
    assert "(optional)" not in page.text
    assert ada.post("/account/delete", CONFIRMED).location == "/sign-in"
    assert "Your account is deleted." in ada.get("/sign-in").text
    assert [one.get("/account").status_code for one in (ada, other_visitor)] == [303, 303]
    assert ada.post("/sign-in", ADA).status_code == 422
    assert other_visitor.get(order).status_code == 200, "its link goes on"
    ada.get("/register")
    assert ada.post("/register", ADA).location == "/account"
    assert order not in ada.get("/account").text and order not in ada.get("/orders").text
    ada.get(order)
    ada.post(f"{order}/cancel")


@pytest.mark.parametrize(
    ("changed", "status", "message"),
    [
        ({"confirmation": ""}, 422, "Enter the e-mail address of your account"),
        ({"confirmation": "delete"}, 422, "Enter the e-mail address of your account"),
        ({"confirmation": "\u202e" * 300}, 422, "Enter the e-mail address of your account"),
        ({"current": "something wrong"}, 422, "This is not your current password."),
        ({"current": "x" * 300}, 422, "Enter at most 256 characters."),
    ],
)
def test_a_form_with_mistakes_deletes_nothing(ada: Visitor, changed: dict[str, str], status: int, message: str) -> None:
    ada.get("/account/delete")
    answer = ada.post("/account/delete", CONFIRMED | changed)
    assert answer.status_code == status and message in answer.text
    assert ada.get("/account").status_code == 200


def test_guests_are_sent_to_sign_in(visitor: Visitor) -> None:
    for path in ("/account/data", "/account/delete"):
        assert visitor.get(path).location == f"/sign-in?next={path}"


def test_the_pages_are_in_every_language(ada: Visitor) -> None:
    for path in ("/account/data", "/account/delete"):
        titles = {title(ada.get(path, query_string={"lang": locale.replace("_", "-")})) for locale in OFFERED}
        assert len(titles) == len(OFFERED), titles


@pytest.mark.usefixtures("person")
def test_an_account_without_a_password_is_deleted_after_a_recent_sign_in(shop: Shop, visitor: Visitor) -> None:
    signed_in(visitor)
    page = visitor.get("/account/delete")
    assert "Current password" not in page.text and "sign out and sign in again" not in page.text
    shop.app.config["STAFF_CONFIRM_MINUTES"] = 0
    assert "sign out and sign in again" in visitor.get("/account/delete").text
    refused = visitor.post("/account/delete", {"confirmation": "ada@example.com"})
    assert "Sign out and sign in again, then repeat this." in refused.text
    shop.app.config["STAFF_CONFIRM_MINUTES"] = 10
    assert visitor.post("/account/delete", {"confirmation": "ada@example.com"}).location == "/sign-in"
