"""Pages of the console in a browser: accessible in light and dark, wide and narrow, by keyboard, without complaints."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from functools import reduce

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from werkzeug.serving import make_server

from e2e.console_checks import Watch, is_sound
from shop.alerts import claims
from shop.core.money import Money
from shop.mail import outgoing
from shop.payments.refunds import refunds
from tests.ops.conftest import PASSWORD, visitor_as
from tests.ops.test_alerts import alert
from tests.shop_fixtures import Shop

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PAGES = ["/ops", "/ops/orders", "/ops/orders?state=PAID&flag=late", "/ops/orders?colour=red", "/ops/search?q=nothing"]
PAGES += [
    "/ops/orders/<number>",
    "/ops/orders/<number>?source=webhook",
    "/ops/orders/<number>/ledgers",
    "/ops/orders/NO",
]
PAGES += ["/ops/orders/<number>/refund", "/ops/orders/<number>/cancel", "/ops/orders/<number>/accept"]
PAGES += ["/ops/approvals", "/ops/alerts", "/ops/payouts", "/ops/disputes", "/ops/mails", "/ops/mails/<mail>"]
PAGES += ["/ops/roles", "/ops/audit", "/ops/webhooks", "/ops/webhooks?state=failing", "/ops/webhooks/1"]
PAGES += ["/ops/webhooks/1/altered", "/ops/webhooks/retry", "/ops?owner=me", "/ops/alerts/<alert>"]
"""Addresses of pages; `<number>` is the number of a paid order, `<mail>` the id of a mail, `<alert>` of an alert."""


@pytest.fixture
def served(shop: Shop) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, shop.app, threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def finance(shop: Shop, served: str, new_context: Callable[..., BrowserContext]) -> Page:
    """A page of a person of finance who has signed in."""
    visitor_as(shop, "finance")
    context = new_context(base_url=served)
    page = context.new_page()
    page.goto("/sign-in")
    page.get_by_label("E-mail").fill("finance@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.locator("main").get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/ops")
    return page


def test_every_page_is_accessible_fits_a_small_screen_and_keeps_the_policy(shop: Shop, finance: Page) -> None:
    order = shop.paid_order()
    refunds.request(shop.capture(order), Money(20000, "TWD"), reason="broken", by=shop.sam, to="bank")
    number = alert()
    claims.claim(claims.thing("alert", str(number)), shop.sam)
    shop.sweep()
    ids = {"<number>": order.number, "<mail>": outgoing.newest(1)[0].id, "<alert>": str(number)}
    watch = Watch(finance.context)
    watch.expect_status(422)
    watch.expect_status(404)
    for path in PAGES:
        finance.goto(reduce(lambda text, one: text.replace(*one), ids.items(), path))
        is_sound(finance)
    watch.silent()


def test_an_order_is_found_by_keyboard_and_compared_with_the_acquirer_on_its_page(shop: Shop, finance: Page) -> None:
    watch, order = Watch(finance.context), shop.paid_order()
    finance.goto("/ops/orders")
    finance.keyboard.press("/")
    expect(finance.get_by_role("searchbox")).to_be_focused()
    finance.keyboard.type(f"{order.number.lower()}")
    finance.keyboard.press("Enter")
    expect(finance).to_have_url(re.compile(f"/ops/orders/{order.number}$"))
    for heading in ("Timeline", "Both ledgers", "Next automatic step"):
        expect(finance.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    finance.get_by_role("link", name="Fetch the acquirer’s side now").press("Enter")
    expect(finance.get_by_text("Both ledgers agree.")).to_be_visible()
    expect(finance).to_have_url(re.compile(f"/ops/orders/{order.number}$"))
    is_sound(finance)
    watch.silent()


def test_a_row_of_the_list_is_one_line_at_1280_pixels(shop: Shop, finance: Page) -> None:
    order = shop.paid_order()
    finance.set_viewport_size({"width": 1280, "height": 800})
    finance.goto("/ops/orders")
    row = finance.get_by_role("row").filter(has_text=order.number).bounding_box()
    assert row and row["height"] < 40
    navigation = finance.get_by_role("navigation", name="Console")
    expect(navigation.get_by_role("link", name="Orders")).to_have_attribute("aria-current", "page")
