"""The pages in a real browser: a buyer's way through them, accessibility, light and dark, wide and narrow."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from werkzeug.serving import make_server

from tests.acquirer.conftest import Receiver, World
from tests.parts.processes import free_port

pytestmark = pytest.mark.parametrize("acquirer_database", ["sqlite"], indirect=True)
LOOKS = [(width, scheme) for width in (1280, 360) for scheme in ("light", "dark")]


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
    """A payment whose shop is the acquirer's own front page: something that answers."""
    return world.open(return_url=world.app.config["ACQUIRER_PUBLIC_URL"] + "/", **wish)


def _fill(page: Page, number: str) -> None:
    page.get_by_label("Card number").fill(number)
    page.get_by_label("Expiry date").fill("12/34")
    page.get_by_label("Security code").fill("123")
    page.get_by_label("Name on card").fill("Ada Test")


def test_a_buyer_pays_with_the_keyboard_alone_and_is_back_at_the_shop(
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


def test_a_declined_buyer_picks_a_card_from_the_list_and_passes_the_challenge(served: World, page: Page) -> None:
    payment = _returning(served)
    page.goto(payment["checkout_url"])
    _fill(page, "4000000000000002")
    page.get_by_role("button", name="Pay", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("No money was taken. 2 more tries are left.")
    page.get_by_text("Test cards").click()
    page.get_by_role("button", name="4000 0000 0000 3220").click()
    page.get_by_role("button", name="Pay", exact=True).click()
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("heading", name="A payment provider for tests")).to_be_visible()
    page.goto(payment["checkout_url"])
    expect(page.get_by_role("heading", name="Payment accepted")).to_be_visible()
    page.get_by_role("link", name="Return to shop").click()
    expect(page.get_by_role("heading", name="A payment provider for tests")).to_be_visible()


def test_everything_works_without_javascript(served: World, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    payment = _returning(served)
    page.goto(payment["checkout_url"])
    page.get_by_text("Fate of this payment").click()
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


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_every_page_is_accessible_fits_and_is_quiet(
    served: World, receiver: Receiver, browser: Browser, width: int, scheme: Any
) -> None:
    base = served.app.config["ACQUIRER_PUBLIC_URL"]
    still_open, challenged, paid, failed = (_returning(served) for _ in range(4))
    served.sim("POST", f"/payments/{still_open['id']}/decline")
    served.sim("PUT", f"/payments/{still_open['id']}/faults", {"hook": {"drop": 1}})
    served.submit(challenged, "card", number="4000000000003220", expiry="12/34", cvc="123", name="Ada")
    served.approve(paid)
    served.sim("POST", f"/payments/{failed['id']}/fail")
    delivery = served.record(paid)["deliveries"][0]["id"]
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    noise: list[str] = []
    page.on("console", lambda message: noise.append(message.text))
    page.on("pageerror", lambda error: noise.append(str(error)))
    pay = [
        f"/pay/{still_open['id']}?fate=late_30s",
        f"/pay/{challenged['id']}",
        f"/pay/{paid['id']}",
        f"/pay/{failed['id']}",
    ]
    desk = ["/", "/payments", f"/payments/{paid['id']}", "/deliveries", f"/deliveries/{delivery}"]
    for path in pay + desk:
        page.goto(base + path)
        page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
        found = [(one["id"], one["nodes"][0]["html"]) for one in Axe().run(page).response["violations"]]
        assert (path, found) == (path, [])
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    assert noise == []
    context.close()
