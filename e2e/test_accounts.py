"""Accounts in a browser: a forgotten password, a confirmed address with the orders of a guest, a changed address."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from e2e.conftest import Visitor
from e2e.console_checks import is_sound
from e2e.customers import HttpCustomer
from e2e.mailbox import confirm, link_in_mail
from e2e.pages import Shop

_numbers = itertools.count(1)
NEW = "another long sentence"


def address(name: str) -> str:
    return f"{name}{next(_numbers)}@example.com"


def sign_in(shop: Shop, email: str, password: str) -> None:
    shop.visit("/sign-in").page.get_by_label("E-mail").fill(email)
    shop.page.get_by_label("Password").fill(password)
    shop.button("Sign in").click()


@pytest.mark.full
def test_a_forgotten_password_is_replaced_by_the_link_of_the_mail_and_other_devices_are_signed_out(
    new_visitor: Callable[..., Visitor],
) -> None:
    phone, desk = new_visitor(), new_visitor()
    email = address("forgetful")
    on_phone, at_desk = phone.shop(), desk.shop()
    on_phone.register(email)
    at_desk.visit("/sign-in").link("Forgot your password?").click()
    at_desk.is_called("Forgotten password")
    at_desk.page.get_by_label("E-mail").fill(email)
    is_sound(at_desk.page)
    at_desk.button("E-mail me a link").click()
    at_desk.is_called("Check your e-mail")
    is_sound(at_desk.page)
    link = link_in_mail(desk, "Choose a new password", email)
    at_desk.link("Show e-mails").click()
    at_desk.link("Choose a new password").first.click()
    with desk.context.expect_page() as opened:
        at_desk.page.frame_locator("iframe").get_by_role("link", name=re.compile("choose a new password")).click()
    at_desk = Shop(opened.value, desk.demo.shop)
    at_desk.is_called("Choose a new password")
    expect(at_desk.page.get_by_text(email)).to_be_visible()
    is_sound(at_desk.page)
    at_desk.page.get_by_label("New password").fill(NEW)
    at_desk.button("Change password").click()
    at_desk.is_called("Sign in")
    expect(at_desk.page.get_by_text("Your password is changed.")).to_be_visible()
    on_phone.visit("/account").is_called("Sign in")
    sign_in(at_desk, email, NEW)
    at_desk.is_called("Hello, Ada")
    desk.watch.expect_status(410)
    at_desk.page.goto(link)
    at_desk.is_called("This link was already used")
    is_sound(at_desk.page)


@pytest.mark.full
def test_a_guest_creates_an_account_confirms_the_address_and_adds_the_order(visitor: Visitor) -> None:
    email = address("guest")
    order = HttpCustomer(visitor.demo).order(email=email)
    shop = visitor.shop()
    shop.register(email)
    expect(shop.page.get_by_text("without signing in")).to_have_count(0)
    expect(shop.page.get_by_role("heading", name="Confirm your e-mail address")).to_be_visible()
    is_sound(shop.page)
    page = visitor.tab()
    page.goto(link_in_mail(visitor, "Confirm your e-mail address", email))
    is_sound(page)
    page.close()
    confirm(visitor, email)
    shop.visit("/account").button("Add it to your account").click()
    expect(shop.page.get_by_text("1 order was added to your account.")).to_be_visible()
    expect(shop.page.get_by_role("table").first.get_by_role("link").first).to_have_attribute(
        "href", re.compile(re.escape(order.url.rpartition("/")[2]))
    )
    is_sound(shop.page)


@pytest.mark.full
def test_a_new_address_is_confirmed_by_its_owner_after_signing_in(new_visitor: Callable[..., Visitor]) -> None:
    desk, phone = new_visitor(), new_visitor()
    old, new = address("old"), address("new")
    shop = desk.shop()
    shop.register(old)
    shop.link("Change e-mail address").click()
    shop.page.get_by_label("New e-mail address").fill(new)
    shop.page.get_by_label("Current password").fill("a long enough sentence")
    is_sound(shop.page)
    shop.button("E-mail me a link").click()
    shop.is_called("Check your e-mail")
    on_phone = phone.shop()
    on_phone.page.goto(link_in_mail(phone, "Confirm your new e-mail address", new))
    is_sound(on_phone.page)
    on_phone.page.get_by_role("main").get_by_role("link", name="Sign in").click()
    on_phone.page.get_by_label("E-mail").fill(old)
    on_phone.page.get_by_label("Password").fill("a long enough sentence")
    on_phone.button("Sign in").click()
    on_phone.is_called("Confirm your address")
    on_phone.button("Confirm this address").click()
    on_phone.is_called("Hello, Ada")
    expect(on_phone.page.get_by_role("main").get_by_text(new).first).to_be_visible()
    shop.visit("/account").is_called("Sign in")


@pytest.mark.full
def test_a_password_is_changed_without_javascript(new_visitor: Callable[..., Visitor]) -> None:
    visitor = new_visitor(java_script_enabled=False)
    shop = visitor.shop()
    shop.register(address("plain"))
    shop.link("Change password").click()
    shop.page.get_by_label("Current password").fill("a long enough sentence")
    shop.page.get_by_label("New password").fill(NEW)
    shop.button("Change password").click()
    shop.is_called("Hello, Ada")
    expect(shop.page.get_by_text("All other devices are signed out.")).to_be_visible()
