"""Hosted pages in a real browser, from form to result. (e2e checks their appearance.)"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from werkzeug.serving import make_server

from tests.acquirer.conftest import Receiver, World
from tests.parts.processes import free_port

pytestmark = pytest.mark.parametrize("acquirer_database", ["sqlite"], indirect=True)


@pytest.fixture
def served(make_world: Any) -> Iterator[World]:
    """An acquirer that a browser can reach, with its delivery loop."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    port = free_port()
    world = make_world(ACQUIRER_PUBLIC_URL=f"http://127.0.0.1:{port}", ACQUIRER_LOOP="on")
    server = make_server("127.0.0.1", port, world.app, threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield world
    server.shutdown()
    if "acquirer.loop" in world.app.extensions:
        world.app.extensions["acquirer.loop"].set()


def _returning(world: World, **wish: Any) -> dict[str, Any]:
    """A payment whose return address is the acquirer's own start page, so that it answers."""
    return world.open(return_url=world.app.config["ACQUIRER_PUBLIC_URL"] + "/", **wish)


def _fill(page: Page, number: str) -> None:
    page.get_by_label("Card number").fill(number)
    page.get_by_label("Expiry date").fill("12/34")
    page.get_by_label("Security code").fill("123")
    page.get_by_label("Name on card").fill("Ada Test")


def test_a_customer_pays_with_the_keyboard_alone_and_returns_to_the_shop(
    served: World, receiver: Receiver, page: Page
) -> None:
    payment = _returning(served)
    page.goto(payment["checkout_url"])
    page.get_by_label("Card number").focus()
    for text in ("4242424242424242", "12/34", "123", "Ada Test"):
        page.keyboard.type(text)
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Pay", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="A payment provider for tests")).to_be_visible()
    wanted = {"payment": payment["id"], "delivered": "payment.captured", "within": "PT10S"}
    assert served.sim("POST", "/expect", wanted)["met"]


def test_after_a_decline_a_customer_picks_a_card_from_the_list_and_passes_the_challenge(
    served: World, page: Page
) -> None:
    payment = _returning(served)
    page.goto(payment["checkout_url"])
    _fill(page, "4000000000000002")
    page.get_by_role("button", name="Pay", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("No money was taken. You have 2 more attempts.")
    page.get_by_text("Test cards").click()
    page.get_by_role("button", name="4000 0000 0000 3220").click()
    page.get_by_role("button", name="Pay", exact=True).click()
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("heading", name="A payment provider for tests")).to_be_visible()
    page.goto(payment["checkout_url"])
    expect(page.get_by_role("heading", name="Payment accepted")).to_be_visible()
    page.get_by_role("link", name="Return to shop").click()
    expect(page.get_by_role("heading", name="A payment provider for tests")).to_be_visible()


@pytest.mark.full
def test_everything_works_without_javascript(served: World, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    payment = _returning(served)
    page.goto(payment["checkout_url"])
    page.get_by_text("Simulate a problem").click()
    page.get_by_role("button", name="Charged twice").click()
    expect(page.get_by_text("Armed:")).to_be_visible()
    _fill(page, "4242")
    page.get_by_role("button", name="Pay", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("A card number has 12 to 19 digits.")
    _fill(page, "4242424242424242")
    page.get_by_role("button", name="Pay", exact=True).click()
    expect(page.get_by_role("heading", name="A payment provider for tests")).to_be_visible()
    assert len(served.shown(payment)["captures"]) == 2
    context.close()


@pytest.mark.full
def test_cancelling_leads_back_and_a_second_tab_says_so(served: World, page: Page) -> None:
    payment = _returning(served)
    page.goto(payment["checkout_url"])
    second = page.context.new_page()
    second.goto(payment["checkout_url"])
    page.get_by_role("button", name="Cancel and return").click()
    expect(page.get_by_role("heading", name="A payment provider for tests")).to_be_visible()
    _fill(second, "4242424242424242")
    second.get_by_role("button", name="Pay", exact=True).click()
    expect(second.get_by_role("heading", name="Payment cancelled")).to_be_visible()
