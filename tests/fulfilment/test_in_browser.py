"""A merchandiser packs and ships an order while the page of its customer is open, which follows without a reload."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from werkzeug.serving import make_server

from e2e.console_checks import Watch, is_sound
from shop.live import hub
from tests.ops.conftest import PASSWORD, visitor_as
from tests.shop_fixtures import KETTLE, PEN, Shop

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def served(shop: Shop) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, shop.app, threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    hub.of(shop.app).close()
    server.shutdown()
    server.server_close()


@pytest.fixture
def merchandiser(shop: Shop, served: str, new_context: Callable[..., BrowserContext]) -> Page:
    """A page of a merchandiser who has signed in."""
    visitor_as(shop, "merchandiser")
    page = new_context(base_url=served).new_page()
    page.goto("/sign-in")
    page.get_by_label("E-mail").fill("merchandiser@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.locator("main").get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/ops")
    return page


def test_the_open_page_of_the_customer_follows_the_packages(
    shop: Shop, served: str, merchandiser: Page, new_context: Callable[..., BrowserContext]
) -> None:
    order = shop.paid_order((KETTLE, 2), (PEN, 1))
    customer = new_context(base_url=served).new_page()
    watches = [Watch(page.context) for page in (customer, merchandiser)]
    customer.goto(f"/orders/{order.token}")
    heading = customer.get_by_role("heading", level=1)
    expect(heading).to_have_text("Payment received")

    merchandiser.get_by_role("navigation", name="Console").get_by_role("link", name="Fulfilment").click()
    is_sound(merchandiser)
    merchandiser.get_by_role("link", name=order.number).click()
    merchandiser.get_by_label("Pen, of 1").fill("0")
    merchandiser.get_by_role("button", name="Pack", exact=True).click()
    expect(customer.get_by_text("Packed, waiting for the carrier")).to_be_visible()
    merchandiser.get_by_label("Carrier", exact=True).select_option("dhl")
    merchandiser.get_by_label("Tracking number").fill("JD0146")
    merchandiser.get_by_role("button", name="Ship package 1").click()
    expect(heading).to_have_text("Part of your order has been shipped")
    expect(customer.get_by_role("link", name="Track this package")).to_have_attribute(
        "href", "https://www.dhl.com/global-en/home/tracking.html?tracking-id=JD0146"
    )
    is_sound(merchandiser)
    is_sound(customer)

    merchandiser.goto("/ops/fulfilment")
    merchandiser.get_by_label(f"Select {order.number}").check()
    merchandiser.get_by_role("button", name="Pack and ship").click()
    merchandiser.get_by_label("Carrier", exact=True).select_option("t-cat")
    merchandiser.get_by_label(f"Tracking number of {order.number}").fill("905512345678")
    is_sound(merchandiser)
    merchandiser.get_by_role("button", name="Ship 1 order").click()
    expect(merchandiser.get_by_text("1 order is shipped.")).to_be_visible()
    expect(heading).to_have_text("Your order has been shipped")
    expect(customer).to_have_title(f"Your order has been shipped · {order.number} · Settled")
    for watch in watches:
        watch.silent()


def test_one_checkbox_selects_all_orders_of_the_page_and_follows_the_others(shop: Shop, merchandiser: Page) -> None:
    numbers = [shop.paid_order((PEN, 1)).number for _ in range(2)]
    merchandiser.goto("/ops/fulfilment")
    every = merchandiser.get_by_role("checkbox", name="Select all orders on this page")
    first, second = (merchandiser.get_by_role("checkbox", name=f"Select {number}") for number in numbers)
    every.check()
    expect(first).to_be_checked()
    expect(second).to_be_checked()
    first.uncheck()
    expect(every).not_to_be_checked()
    assert every.evaluate("box => box.indeterminate")
    first.check()
    expect(every).to_be_checked()
    merchandiser.get_by_role("button", name="Pack and ship").click()
    merchandiser.get_by_label("Carrier", exact=True).select_option("t-cat")
    merchandiser.get_by_role("button", name="Ship 2 orders").click()
    expect(merchandiser.get_by_text("2 orders are shipped.")).to_be_visible()
    expect(every).to_have_count(0)
    merchandiser.go_back()
    merchandiser.go_back()
    expect(merchandiser.get_by_text("Nothing to pack or to ship.")).to_be_visible()


def test_a_list_that_the_browser_has_kept_is_loaded_again(shop: Shop, merchandiser: Page) -> None:
    shop.paid_order((PEN, 1))
    merchandiser.goto("/ops/fulfilment")
    with merchandiser.expect_navigation():
        merchandiser.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")


@pytest.mark.full
def test_the_pages_of_fulfilment_are_sound_on_a_small_dark_screen(shop: Shop, merchandiser: Page) -> None:
    order = shop.paid_order((KETTLE, 2), (PEN, 1))
    merchandiser.set_viewport_size({"width": 360, "height": 740})
    merchandiser.emulate_media(color_scheme="dark")
    section = merchandiser.get_by_role("navigation", name="Console").locator("[aria-current]")
    for page in ("", f"/{order.number}", f"/ship?number={order.number}", f"/pick-list?number={order.number}"):
        merchandiser.goto(f"/ops/fulfilment{page}")
        expect(section).to_have_text("Fulfilment")
        is_sound(merchandiser)
    merchandiser.goto("/ops/legal")
    expect(section).to_have_text("Legal texts")
    expect(section).to_be_in_viewport(ratio=1)
