"""Pages of the link that verifies an address."""

from __future__ import annotations

import re

import pytest
from werkzeug.test import TestResponse

from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor, title

ADA = {"email": "ada@example.com", "name": "Ada", "password": "a long enough sentence"}


def mailed_link(shop: Shop, visitor: Visitor, kind: str) -> str:
    """The path of the link in the newest mail of a kind, as /dev/mail shows it."""
    shop.sweep()
    mails = [one for one in visitor.client.get("/dev/mail.json").get_json() if one["kind"] == kind]
    found = re.search(r"https?://[^/\s]+(/account/\S+)", mails[0]["text"])
    assert found
    return found[1]


def is_private(response: TestResponse) -> bool:
    return (response.headers["Cache-Control"], response.headers["Referrer-Policy"]) == ("no-store", "no-referrer")


@pytest.fixture
def ada(visitor: Visitor) -> Visitor:
    """A customer who has just registered."""
    visitor.get("/register")
    visitor.post("/register", ADA)
    return visitor


def test_the_link_shows_a_button_and_only_the_button_verifies(shop: Shop, ada: Visitor) -> None:
    path = mailed_link(shop, ada, "verification")
    for _ in range(2):  # such as a scanner of mail
        page = ada.get(path)
        assert page.status_code == 200 and is_private(page) and "Confirm this address" in page.text
    assert "Open the link that we sent" in ada.get("/account").text
    ada.get(path)
    assert ada.post(path).location == "/account"
    account = ada.get("/account").text
    assert "Your e-mail address is confirmed." in account and "Open the link that we sent" not in account
    used = ada.get(path)
    assert (used.status_code, title(used)) == (410, "This link was already used · Settled")
    assert is_private(used) and 'href="/account"' in used.text
    ada.get("/account")
    assert ada.post(path).status_code == 410


def test_a_guest_is_sent_to_sign_in_first_and_another_account_is_refused(
    shop: Shop, ada: Visitor, other_visitor: Visitor
) -> None:
    path = mailed_link(shop, ada, "verification")
    page = other_visitor.get(path)
    assert page.status_code == 200 and 'href="/sign-in"' in page.text
    assert "Confirm this address" not in page.text
    other_visitor.get("/register")
    assert other_visitor.post(path).status_code == 200, "a guest's POST changes nothing"
    other_visitor.post("/register", {**ADA, "email": "bo@example.com"})
    refused = other_visitor.get(path)
    assert (refused.status_code, title(refused)) == (403, "This link belongs to another account · Settled")
    assert other_visitor.post(path).status_code == 403
    assert "Open the link that we sent" in ada.get("/account").text


def test_a_sign_in_returns_to_the_page_of_a_link_without_its_token_in_a_query_string(
    shop: Shop, ada: Visitor, other_visitor: Visitor
) -> None:
    path = mailed_link(shop, ada, "verification")
    token = path.rpartition("/")[2]
    pages = [other_visitor.get(path).text, other_visitor.get("/register").text, other_visitor.get("/sign-in").text]
    assert not any(token in page for page in pages)
    assert other_visitor.post("/sign-in", {**ADA, "password": "wrong one"}).status_code == 422
    assert other_visitor.post("/sign-in", ADA).location == path
    assert "Confirm this address" in other_visitor.get(path).text
    other_visitor.post("/sign-out")
    other_visitor.get("/sign-in")
    assert other_visitor.post("/sign-in", ADA).location == "/account", "once"


def test_a_page_named_by_the_sign_in_goes_before_the_page_of_a_link(
    shop: Shop, ada: Visitor, other_visitor: Visitor
) -> None:
    other_visitor.get(mailed_link(shop, ada, "verification"))
    other_visitor.get("/sign-in?next=/checkout")
    assert other_visitor.post("/sign-in", {**ADA, "next": "/checkout"}).location == "/checkout"


@pytest.mark.parametrize("token", ["x", "a.b.c", "%00", "x" * 3000])
def test_a_forged_link_is_404(ada: Visitor, token: str) -> None:
    page = ada.get(f"/account/verify/{token}")
    assert page.status_code == 404
    ada.get("/account")
    assert ada.post(f"/account/verify/{token}").status_code == 404


def test_another_link_is_mailed_from_the_account_page(shop: Shop, ada: Visitor) -> None:
    first = mailed_link(shop, ada, "verification")
    ada.get("/account")
    assert ada.post("/account/verification").location == "/account"
    assert "We have sent a link to ada@example.com." in ada.get("/account").text
    assert mailed_link(shop, ada, "verification") != first
