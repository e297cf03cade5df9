"""Pages of a forgotten password, of changes to an account, and of the mailed unlock."""

from __future__ import annotations

import pytest

from shop.accounts.throttle import FREE_ON_KNOWN_DEVICE
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor, title
from tests.web.test_verification import ADA, is_private, mailed_link

NEW = {"password": "a new long sentence"}


@pytest.fixture
def ada(visitor: Visitor) -> Visitor:
    """A signed-in customer."""
    visitor.get("/register")
    visitor.post("/register", ADA)
    return visitor


def signed_in(visitor: Visitor, **changed: str) -> Visitor:
    visitor.get("/sign-in")
    assert visitor.post("/sign-in", {**ADA, **changed}).status_code == 303
    return visitor


def request_link(visitor: Visitor, email: str = ADA["email"], path: str = "/forgot-password") -> str:
    """Ask for a link; the page that follows."""
    visitor.get(path)
    answer = visitor.post(path, {"email": email})
    assert (answer.status_code, answer.location) == (303, f"{path}/sent")
    return visitor.get(f"{path}/sent").text


def test_a_password_is_reset_and_every_other_device_signed_out(
    shop: Shop, ada: Visitor, other_visitor: Visitor
) -> None:
    request_link(other_visitor)
    path = mailed_link(shop, other_visitor, "password_reset")
    page = other_visitor.get(path)
    assert page.status_code == 200 and is_private(page) and 'autocomplete="new-password"' in page.text
    assert ada.get("/account").status_code == 200, "looking at the link changes nothing"
    refused = other_visitor.post(path, {"password": "short"})
    assert refused.status_code == 422 and is_private(refused) and "wrong-password" in refused.text
    done = other_visitor.post(path, NEW)
    assert done.location == "/sign-in" and is_private(done)
    assert "Your password is changed." in other_visitor.get("/sign-in").text
    assert ada.get("/account").status_code == 303
    signed_in(other_visitor, **NEW)
    other_visitor.get("/account")
    for used in (other_visitor.get(path), other_visitor.post(path, NEW)):
        assert used.status_code == 410 and is_private(used) and 'href="/forgot-password"' in used.text


def test_the_page_after_a_request_is_the_same_for_an_unknown_address(ada: Visitor, other_visitor: Visitor) -> None:
    for path in ("/forgot-password", "/unlock-account"):
        known, unknown = (request_link(other_visitor, email, path) for email in (ADA["email"], "no@example.com"))
        assert known == unknown


@pytest.mark.parametrize("email", ["", "ada", "a@example.com\r\nBcc: b@example.com", "a@example.com%0aBcc:b"])
def test_text_that_is_no_address_is_refused_and_sends_nothing(shop: Shop, visitor: Visitor, email: str) -> None:
    visitor.get("/forgot-password")
    answer = visitor.post("/forgot-password", {"email": email})
    assert answer.status_code == 422 and 'aria-invalid="true"' in answer.text
    shop.sweep()
    assert visitor.client.get("/dev/mail.json").get_json() == []


@pytest.mark.parametrize("purpose", ["reset", "unlock", "change-email"])
def test_a_forged_link_is_404_and_changes_nothing(visitor: Visitor, purpose: str) -> None:
    visitor.get("/sign-in")
    for answer in (visitor.get(f"/account/{purpose}/forged.token"), visitor.post(f"/account/{purpose}/x", NEW)):
        assert answer.status_code == 404 and is_private(answer)
        assert title(answer) == "This link is not valid · Settled"


def test_the_fourth_mail_within_an_hour_is_refused_for_every_address(shop: Shop, visitor: Visitor) -> None:
    shop.app.config["RATE_LIMITS"] = True
    visitor.get("/forgot-password")
    answers = [visitor.post("/forgot-password", {"email": "limited@example.com"}) for _ in range(4)]
    assert [one.status_code for one in answers] == [303, 303, 303, 429]
    assert answers[3].headers["Retry-After"] == "3600" and "several e-mails" in answers[3].text
    assert 'value="limited@example.com"' in answers[3].text


def test_a_password_is_changed_and_only_this_device_stays_signed_in(
    shop: Shop, ada: Visitor, other_visitor: Visitor
) -> None:
    signed_in(other_visitor)
    page = ada.get("/account/password").text
    assert 'autocomplete="current-password"' in page and 'autocomplete="new-password"' in page
    wrong = ada.post("/account/password", {"current": "wrong password", **NEW})
    assert wrong.status_code == 422 and "This is not your current password." in wrong.text
    assert other_visitor.get("/account").status_code == 200
    assert ada.post("/account/password", {"current": ADA["password"], **NEW}).location == "/account"
    account = ada.get("/account")
    assert account.status_code == 200 and "All other devices are signed out." in account.text
    assert account.text.count("Signed in since") == 1
    assert other_visitor.get("/account").status_code == 303


def test_an_address_is_changed_by_its_owner_with_the_link_of_the_mail(
    shop: Shop, ada: Visitor, other_visitor: Visitor
) -> None:
    signed_in(other_visitor)
    ada.get("/account/email")
    assert ada.post("/account/email", {"email": "ada@new.example", "current": "wrong one"}).status_code == 422
    assert ada.post("/account/email", {"email": "ada@new.example", "current": ADA["password"]}).status_code == 303
    assert "sent a link" in ada.get("/account/email/sent").text
    path = mailed_link(shop, ada, "email_change")
    ada.post("/sign-out")
    guest = ada.get(path)
    assert guest.status_code == 200 and 'href="/sign-in"' in guest.text
    assert path.rpartition("/")[2] not in guest.text
    ada.get("/sign-in")
    assert ada.post("/sign-in", ADA).location == path
    assert "ada@new.example" in ada.get(path).text
    assert ada.post(path).location == "/account"
    assert "ada@new.example" in ada.get("/account").text
    assert other_visitor.get("/account").status_code == 303
    assert ada.get(path).status_code == 410


def test_a_locked_sign_in_offers_a_link_that_unlocks_it(shop: Shop, ada: Visitor) -> None:
    ada.post("/sign-out")
    ada.get("/sign-in")
    for _ in range(FREE_ON_KNOWN_DEVICE):
        assert "/unlock-account" not in ada.post("/sign-in", {**ADA, "password": "wrong one"}).text
    ada.post("/sign-in", {**ADA, "password": "wrong one"})
    locked = ada.post("/sign-in", ADA)
    assert locked.status_code == 429 and 'href="/unlock-account"' in locked.text
    request_link(ada, path="/unlock-account")
    path = mailed_link(shop, ada, "unlock")
    assert "Unlock" in ada.get(path).text
    ada.get("/sign-in")
    assert ada.post("/sign-in", ADA).status_code == 429, "looking at the link changes nothing"
    ada.get(path)
    assert ada.post(path).location == "/sign-in"
    assert "You can sign in again." in ada.get("/sign-in").text
    signed_in(ada)


def test_pages_of_mailed_links_work_over_https_in_browsers_without_fetch_metadata(ada: Visitor, shop: Shop) -> None:
    """They send no Referer, which the CSRF check over https must not demand."""
    shop.app.config["WTF_CSRF_ENABLED"] = True
    answer = ada.client.post("/forgot-password", base_url="https://localhost", data={"csrf_token": "wrong"})
    assert answer.status_code == 400
    page = ada.get("/forgot-password", base_url="https://localhost")
    assert page.status_code == 200
    assert ada.post("/forgot-password", {"email": "x@example.com"}, base_url="https://localhost").status_code == 303
