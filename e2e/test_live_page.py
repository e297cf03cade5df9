"""Live order page: in the background, through outages of the shop and of Redis, and while a form is filled in."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect

from e2e.background import Window
from e2e.conftest import Visitor
from e2e.console_checks import is_sound
from e2e.control import Control
from e2e.customers import HttpCustomer
from e2e.demo import Demo
from e2e.pages import OrderPage
from tests.parts.waiting import until

RECORD = """() => {
  window.received = [];
  window.announced = [];
  document.getElementById("stream").addEventListener("htmx:sse:after:message", (event) => {
    if (event.detail.message.id && !event.detail.message.event) window.received.push(Number(event.detail.message.id));
  });
  new MutationObserver(() => window.announced.push(document.getElementById("live").textContent.trim()))
    .observe(document.getElementById("live"), { childList: true, characterData: true, subtree: true });
}"""


def since(page: Page) -> int:
    """The number of the last event in the rendered page."""
    address = page.locator("#stream").get_attribute("hx-sse:connect") or ""
    return int(address.rpartition("since=")[2])


@pytest.fixture
def window(chromium_with_tabs: Browser) -> Iterator[Window]:
    window = Window(chromium_with_tabs)
    yield window
    window.close()


def test_a_hidden_tab_shows_the_payment_in_its_title(
    window: Window, demo: Demo, http_customer: HttpCustomer, acquirer: Control
) -> None:
    order = window.open(http_customer.order().url)
    until(lambda: order.title.startswith("Pay to complete your order"), what="the title in the tab strip")
    order.click("button.pay-tab")
    until(lambda: order.is_hidden, what="the payment page in front")
    until(
        lambda: order.title.startswith("Finish paying in the other tab"), what="the title to change in the background"
    )
    acquirer.approve(window.address(f"{demo.acquirer}/pay/").rpartition("/")[2])
    until(lambda: order.title.startswith("Payment received"), what="the title to change in the background")
    assert order.is_hidden
    order.to_front()
    until(lambda: not order.is_hidden, what="the tab in front")
    assert order.evaluate("document.querySelector('h1').textContent") == "Payment received"


@pytest.mark.full
def test_a_stream_that_is_cut_catches_up_and_shows_no_event_twice(
    visitor: Visitor, demo: Demo, http_customer: HttpCustomer, acquirer: Control
) -> None:
    placed = http_customer.order()
    until(lambda: "Pay to complete" in http_customer.page(f"/orders/{placed.token}"), what="a payment to be open")
    order = visitor.order(placed.url)
    order.page.evaluate(RECORD)
    began = since(order.page)
    positions: list[str] = []
    order.page.on("request", lambda request: positions.append(last_event_id(request)))
    payment = http_customer.go_and_pay(placed)
    order.is_called("Finish paying in the other tab")

    def cut(route: Route) -> None:
        route.abort("connectionfailed")

    visitor.watch.expect_outage()
    order.page.route(re.compile("/events|/status"), cut)
    demo.stop("web")
    demo.start_again("web")
    acquirer.act(payment, "decline", code="insufficient_funds")
    until(lambda: "was declined" in http_customer.page(f"/orders/{placed.token}"), what="the page to show the decline")
    acquirer.approve(payment)
    until(
        lambda: "Payment received" in http_customer.page(f"/orders/{placed.token}"), what="the page to show the capture"
    )
    expect(order.heading).to_have_text("Finish paying in the other tab")
    order.page.unroute(re.compile("/events|/status"), cut)
    order.is_called("Payment received", within=20)
    newest = int(order.page.locator("#order-status").get_attribute("data-seq") or 0)
    assert order.page.evaluate("received") == list(range(began + 1, newest + 1))
    announced = [text.partition(".")[0] for text in order.page.evaluate("announced")]
    assert announced == ["Finish paying in the other tab", "Payment received"]
    assert any(position.isdigit() and int(position) > began for position in positions)


def last_event_id(request: Request) -> str:
    """The event number after which a page resumes its stream."""
    return request.headers.get("last-event-id", "") if "/events" in request.url else ""


def test_the_shop_is_killed_and_comes_back_and_the_open_page_reconnects(
    visitor: Visitor, demo: Demo, http_customer: HttpCustomer, acquirer: Control
) -> None:
    placed = http_customer.order()
    order = visitor.order(placed.url)
    payment = http_customer.go_and_pay(placed)
    order.is_called("Finish paying in the other tab")
    visitor.watch.expect_outage()
    demo.stop("web")
    acquirer.approve(payment)  # no page receives it
    demo.start_again("web")
    acquirer.turn("PT1M")
    order.is_called("Payment received", within=20)


@pytest.mark.full
def test_a_stream_lost_for_ten_seconds_shows_a_message_until_it_is_back(
    visitor: Visitor, http_customer: HttpCustomer
) -> None:
    visitor.watch.expect_outage()
    page = visitor.tab()
    page.clock.install()
    page.route(re.compile("/events"), lambda route: route.abort("connectionrefused"))
    with page.expect_event("requestfailed"):
        page.goto(http_customer.order().url)
    lost = page.get_by_text("Reconnecting")
    expect(lost).to_be_hidden()
    page.clock.fast_forward(11_000)
    expect(lost).to_be_visible()
    is_sound(page)
    page.unroute(re.compile("/events"))
    page.clock.fast_forward(20_000)
    expect(lost).to_be_hidden()


@pytest.mark.full
def test_redis_stops_while_a_page_is_open_and_the_page_is_still_updated(
    visitor: Visitor, demo: Demo, http_customer: HttpCustomer, acquirer: Control
) -> None:
    first, second = http_customer.order(), http_customer.order()
    shop = visitor.shop()
    shop.register("redis@example.com")
    one, two = visitor.order(first.url), visitor.order(second.url)
    payments = [http_customer.go_and_pay(placed) for placed in (first, second)]
    demo.redis.stop()
    try:
        acquirer.approve(payments[0])
        one.is_called("Payment received", within=20)
        third = visitor.order(http_customer.order().url)
        third.opens_payment().pay()
        third.is_called("Payment received", within=20)
        visitor.watch.expect_status(503)
        shop.visit("/account").is_called("Temporarily unavailable")
    finally:
        demo.redis.start()
    acquirer.approve(payments[1])
    two.is_called("Payment received")
    shop.visit("/account").is_called("Hello, Ada")


@pytest.mark.full
def test_a_refresh_slower_than_the_stream_does_not_show_an_older_state(
    visitor: Visitor, http_customer: HttpCustomer, acquirer: Control
) -> None:
    placed = http_customer.order()
    order = visitor.order(placed.url)
    payment = http_customer.go_and_pay(placed)
    order.is_called("Finish paying in the other tab")
    before = http_customer.page(f"/orders/{placed.token}/status")
    assert "Finish paying in the other tab" in before
    acquirer.approve(payment)
    order.is_called("Payment received")
    order.page.route(re.compile("/status"), lambda route: route.fulfill(body=before, content_type="text/html"))
    order.page.evaluate("""() => new Promise((done) => {
      document.getElementById("refresh").addEventListener("htmx:finally:request", done, { once: true });
      window.dispatchEvent(new Event("online"));
    }).then(() => null)""")
    order.is_called("Payment received")


@pytest.mark.full
def test_a_seventh_tab_still_opens_and_the_oldest_catches_up_when_it_is_looked_at(
    visitor: Visitor, http_customer: HttpCustomer
) -> None:
    placed = http_customer.order()
    tabs = [visitor.order(placed.url) for _ in range(6)]
    seventh = visitor.shop().visit("/")
    expect(seventh.heading).to_be_visible()
    card = tabs[-1].opens_payment()
    card.pay()
    for tab in tabs[-2:]:
        tab.is_called("Payment received")
    tabs[0].page.evaluate("window.dispatchEvent(new Event('online'))")
    tabs[0].is_called("Payment received")


def test_an_update_leaves_the_focus_where_it_is(
    visitor: Visitor, http_customer: HttpCustomer, acquirer: Control
) -> None:
    placed = http_customer.order()
    payment = http_customer.go_and_pay(placed)
    order = visitor.order(placed.url)
    again = order.page.get_by_role("button", name=re.compile("Open the payment page again"))
    again.focus()
    acquirer.act(payment, "decline", code="insufficient_funds")
    order.is_called("Your card was declined")
    expect(again).to_be_focused()


@pytest.mark.full
def test_the_list_follows_the_search_while_the_field_keeps_focus_and_text(visitor: Visitor) -> None:
    shop = visitor.shop().visit("/")
    field = shop.page.get_by_role("searchbox", name="Search the shop")
    field.press_sequentially("speckled", delay=30)
    expect(shop.live).to_have_text("1 product")
    expect(shop.link("Speckled Mug")).to_be_visible()
    expect(field).to_be_focused()
    expect(field).to_have_value("speckled")
    expect(shop.page).to_have_url(re.compile("q=speckled"))
    field.press_sequentially("xyz", delay=30)
    expect(shop.page.get_by_text("No results for “speckledxyz”")).to_be_visible()
    expect(field).to_be_focused()


@pytest.mark.full
def test_a_quantity_is_changed_in_place_and_what_was_removed_comes_back(visitor: Visitor) -> None:
    shop = visitor.shop().visit("/products/olive-soap")
    shop.add_to_cart()
    expect(shop.link("View cart")).to_be_visible()
    shop.go_to_cart()
    field = shop.page.get_by_label("Quantity of Olive Soap")
    field.fill("3")
    field.press("Tab")
    expect(shop.page.get_by_role("rowheader", name="3 items")).to_be_visible()
    shop.button("Remove Olive Soap").click()
    expect(shop.page.get_by_text("Your cart is empty")).to_be_visible()
    shop.button("Undo").click()
    expect(shop.page.get_by_label("Quantity of Olive Soap")).to_have_value("3")


@pytest.mark.full
def test_the_stream_ends_when_the_order_is_final_and_reconnects_for_a_late_capture(
    visitor: Visitor, http_customer: HttpCustomer, acquirer: Control
) -> None:
    placed = http_customer.order()
    payment = http_customer.go_and_pay(placed)
    order: OrderPage = visitor.order(placed.url)
    acquirer.faults_of(payment, pay={"late_after_expiry": "PT10M"})
    acquirer.approve(payment)
    acquirer.turn("PT31M")
    order.is_called("Your order has expired")
    expect(order.page.locator("#order-status")).to_have_attribute("data-final", "true")
    acquirer.turn("PT11M")
    order.page.evaluate("window.dispatchEvent(new Event('online'))")
    order.is_called("We received your payment late")
