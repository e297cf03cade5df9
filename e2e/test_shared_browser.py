"""Pages after signing out on a shared browser, and pages without their scripts or stream."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, BrowserType, expect

from e2e.conftest import Visitor
from e2e.control import Control
from e2e.customers import PLENTY, HttpCustomer
from e2e.demo import Demo
from e2e.pages import OrderPage, Shop

_numbers = itertools.count(1)


@pytest.fixture
def remembering(
    demo: Demo, browser_type: BrowserType, browser_type_launch_args: dict[str, Any]
) -> Iterator[BrowserContext]:
    """A browser with the back/forward cache, which Playwright switches off."""
    memory = {"ignore_default_args": ["--disable-back-forward-cache"]}
    browser = browser_type.launch(**{**browser_type_launch_args, **memory})
    yield browser.new_context()
    browser.close()


@pytest.mark.full
def test_back_after_signing_out_shows_nothing_of_the_former_user(demo: Demo, remembering: BrowserContext) -> None:
    email = f"leaving{next(_numbers)}@example.com"
    shop = Shop(remembering.new_page(), demo.shop)
    shop.register(email)
    shop.visit(f"/products/{PLENTY}").add_to_cart()
    expect(shop.link("View cart")).to_be_visible()
    expect(shop.visit("/checkout").page.get_by_label("E-mail")).to_have_value(email)
    shop.visit("/account").button("Sign out").click()
    shop.page.wait_for_url(re.compile("/$"))
    for _ in ("the account", "the checkout"):
        shop.page.go_back()
        expect(shop.page.get_by_role("navigation", name="Main").get_by_role("link", name="Sign in")).to_be_visible()
        assert email not in shop.page.content()


@pytest.mark.full
def test_a_page_whose_htmx_was_blocked_is_updated_all_the_same(
    visitor: Visitor, http_customer: HttpCustomer, acquirer: Control
) -> None:
    page = visitor.tab()
    page.route("**/vendor/htmx.js*", lambda route: route.fulfill(status=200, content_type="text/javascript", body=""))
    page.goto(http_customer.order().url)
    order = OrderPage(page)
    order.is_called("Pay to complete your order")
    card = order.opens_payment()
    card.pay()
    order.is_called("Payment received", within=20)


@pytest.mark.full
def test_a_page_that_is_up_to_date_does_not_show_reconnecting(
    visitor: Visitor, http_customer: HttpCustomer, acquirer: Control
) -> None:
    visitor.watch.expect_outage()
    placed = http_customer.order()
    page = visitor.tab()
    page.route("**/events*", lambda route: route.abort("connectionrefused"))
    page.goto(placed.url)
    order = OrderPage(page)
    reconnecting = page.get_by_text("Reconnecting")
    expect(reconnecting).to_be_visible(timeout=20_000)
    order.opens_payment().pay()
    order.is_called("Payment received", within=30)
    expect(reconnecting).to_be_hidden()
