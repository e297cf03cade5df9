"""Pages of the console in a browser: accessible in light and dark, wide and narrow, by keyboard, without complaints."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import reduce
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from werkzeug.serving import make_server

from e2e.console_checks import Watch, is_sound
from shop.accounts.permissions import Role
from shop.alerts import claims
from shop.announcements import announcements
from shop.announcements.announcements import Content
from shop.catalogue import pictures, products
from shop.core import clock
from shop.core.money import Money
from shop.integrity import checks
from shop.integrity.invariants import Finding
from shop.inventory import stock
from shop.legal_texts import legal_texts
from shop.live import feed, hub
from shop.mail import outgoing
from shop.merchandising import imports
from shop.order_search import exports, views
from shop.order_search import filters as filters_of
from shop.outgoing_webhooks import endpoints
from shop.outgoing_webhooks.kinds import EventType
from shop.payments.disputes import disputes
from shop.payments.providers.interface import DisputeFact
from shop.payments.refunds import requests
from shop.pricing import change
from tests.live.test_console import note
from tests.media.test_conversion import picture
from tests.merchandising.test_imports import FILE
from tests.ops.conftest import PASSWORD, visitor_as
from tests.ops.test_alerts import alert
from tests.parts.selection import is_full
from tests.shop_fixtures import KETTLE, Shop

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PAGES = ["/ops", "/ops/orders", "/ops/orders?state=PAID&flag=late", "/ops/orders?colour=red", "/ops/search?q=nothing"]
PAGES += [
    "/ops/orders/<number>",
    "/ops/orders/<number>?source=webhook",
    "/ops/orders/<number>/ledgers",
    "/ops/orders/NO",
]
PAGES += ["/ops/orders/<number>/refund", "/ops/orders/<number>/cancel", "/ops/orders/<number>/accept"]
PAGES += ["/ops/orders/views", "/ops/exports", "/ops/exports/<export>", "/ops/orders?state=FAILED&currency=TWD"]
PAGES += [
    "/ops/customers/<customer>",
    "/ops/customers/9999",
    "/ops/orders/<number>?source=note",
    "/ops/webhooks?field=id=evt-1",
]
PAGES += ["/ops/approvals", "/ops/alerts", "/ops/payouts", "/ops/disputes", "/ops/mails", "/ops/mails/<mail>"]
PAGES += ["/ops/roles", "/ops/audit", "/ops/webhooks", "/ops/webhooks?state=failing", "/ops/webhooks/1"]
PAGES += ["/ops/webhooks/1/altered", "/ops/webhooks/retry", "/ops/live"]
PAGES += ["/ops/reconciliation", "/ops/reconciliation/kpay/2026-01-31", "/ops/reconciliation/files", "/ops/queues"]
PAGES += ["/ops/statistics", "/ops/statistics?period=today"]
PAGES += ["/ops?owner=me", "/ops/alerts/<alert>"]
"""Addresses of pages; `<number>` is the number of a paid order, `<mail>`, `<export>`, `<alert>`, `<customer>` and
`<endpoint>` are ids of these.
"""
PAGES += ["/ops/taxes", "/ops/taxes/new", "/ops/taxes/countries/TW", "/ops/seller"]
PAGES_OF_ADMINS = ["/ops/integrity", "/ops/users?state=disabled", "/ops/customers/1", "/ops/webhooks/1/altered"]
PAGES_OF_ADMINS += ["/ops/endpoints", "/ops/endpoints/new", "/ops/endpoints/<endpoint>"]
PAGES_OF_ADMINS += ["/ops/endpoints/<endpoint>/deliveries/1"]
"""Addresses that finance may not open, or that show an admin more."""
PAGES_OF_MERCHANDISERS = ["/ops/products", "/ops/products/new", f"/ops/products/{KETTLE}", "/ops/products/NONE"]
PAGES_OF_MERCHANDISERS += ["/ops/stock?low=yes", f"/ops/stock/{KETTLE}", "/ops/categories", "/ops/products/imports"]
PAGES_OF_MERCHANDISERS += [
    "/ops/search?q=test",
    "/ops/fulfilment",
    "/ops/fulfilment/<number>",
    "/ops/fulfilment?state=PACKED",
]
PAGES_OF_MERCHANDISERS += ["/ops/fulfilment/ship?number=<number>", "/ops/fulfilment/pick-list?number=<number>"]
PAGES_OF_MERCHANDISERS += ["/ops/products/imports/<import>", "/ops/stock", "/ops/products?q=nothing"]
PAGES_OF_MERCHANDISERS += [
    "/ops/delivery",
    "/ops/delivery/new",
    "/ops/delivery/methods/post",
    "/ops/codes",
    "/ops/codes/new",
]
PAGES_OF_MERCHANDISERS += ["/ops/codes/TEN", "/ops/announcements", "/ops/announcements/new", "/ops/announcements/1"]
PAGES_OF_MERCHANDISERS += ["/ops/legal", "/ops/legal/terms/en", "/ops/legal/terms/en/1"]
SignIn = Callable[[str], Page]


@pytest.fixture
def served(shop: Shop) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, shop.app, threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    hub.of(shop.app).close()
    server.shutdown()
    server.server_close()


@pytest.fixture
def signed_in(shop: Shop, served: str, new_context: Callable[..., BrowserContext]) -> SignIn:
    """A function that signs a person of a role in, and returns the page."""

    def sign_in(role: str) -> Page:
        visitor_as(shop, role)
        page = new_context(base_url=served).new_page()
        page.goto("/sign-in")
        page.get_by_label("E-mail").fill(f"{role}@example.com")
        page.get_by_label("Password").fill(PASSWORD)
        page.locator("main").get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/ops")
        return page

    return sign_in


@pytest.fixture
def finance(signed_in: SignIn) -> Page:
    """A page of a person of finance who has signed in."""
    return signed_in("finance")


def catalogue_with_all(shop: Shop) -> str:
    """A product with pictures, prices that have changed and little stock, and the id of an import with an error."""
    mo = shop.colleague("mo", Role.MERCHANDISER)
    for width in (300, 700):
        pictures.upload(KETTLE, picture(size=(width, 300)), by=mo)
    products.set_price(KETTLE, Money(130000, "TWD"), by=mo)
    stock.restock(KETTLE, 2, by=mo, reason="delivery")
    stock.set_low_at(KETTLE, 100, by=mo)
    prices = {"TWD": Money(8000, "TWD")}
    change.set_delivery("post", "Post", prices, free_from={}, countries=("TW",), position=0, by=mo)
    change.set_tax("TW", "VAT", 5000, is_included=True, by=shop.sam, reason="by law")
    change.set_code(change.NewCode("TEN", percent=10, budgets=prices, ends_at=clock.now() + timedelta(days=9)), by=mo)
    announcements.create(Content({"en": "Closed until 5 January", "ja": "休業日"}, "/returns"), by=mo)
    legal_texts.save("terms", "en", "## Your order\n\nWe sell **tea**.\n\n- one\n- [two](/returns)", seen=0, by=mo)
    return imports.run(imports.request(FILE, "new.csv", is_dry_run=True, by=mo, is_claimed=True)).id


def test_every_page_is_accessible_fits_a_small_screen_and_keeps_the_policy(
    shop: Shop, finance: Page, signed_in: SignIn, tmp_path: Path
) -> None:
    shop.app.config["MEDIA_FOLDER"] = str(tmp_path)
    order = shop.paid_order()
    requests.request(shop.capture(order), Money(20000, "TWD"), reason="broken", by=shop.sam, to="bank")
    views.save("Paid orders", filters_of.parse({"state": ["PAID"]}, ()), by=shop.sam)
    export, number = exports.request(filters_of.Filters(), ZoneInfo("UTC"), by=shop.sam), alert()
    claims.claim(claims.thing("alert", str(number)), shop.sam)
    admin = shop.colleague("ada", Role.ADMIN)
    endpoint, _ = endpoints.create("http://127.0.0.1:9/hooks", "Warehouse", list(EventType), by=admin)
    shop.sweep()
    checks.keep([Finding("2 stock", "stock adds up", [{"sku": "KETTLE", "order": order.number}])], shop.sam)
    ids = {"<number>": order.number, "<mail>": outgoing.newest(1)[0].id, "<export>": export, "<alert>": str(number)}
    ids["<endpoint>"] = endpoint
    ids["<customer>"] = str(shop.customer(credit=500))
    merchandiser = signed_in("merchandiser")
    ids["<import>"] = catalogue_with_all(shop)
    for page, paths in (
        (finance, PAGES),
        (signed_in("admin"), PAGES_OF_ADMINS),
        (merchandiser, PAGES_OF_MERCHANDISERS),
    ):
        watch = Watch(page.context)
        watch.expect_status(422)
        watch.expect_status(404)
        for path in paths if is_full() else paths[::8]:
            page.goto(reduce(lambda text, one: text.replace(*one), ids.items(), path))
            is_sound(page)
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


@pytest.mark.full
def test_a_list_is_worked_with_keys_alone_and_typing_in_a_field_presses_none(shop: Shop, finance: Page) -> None:
    orders = [shop.order().number for _ in range(2)][::-1]
    finance.goto("/ops/orders")
    keys = finance.keyboard
    keys.press("j")
    keys.press("x")
    keys.press("j")
    keys.press("x")
    expect(finance.get_by_role("checkbox", name=f"Select {orders[0]}")).to_be_checked()
    expect(finance.get_by_role("checkbox", name=f"Select {orders[1]}")).to_be_checked()
    keys.press("?")
    expect(finance.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    is_sound(finance)
    keys.press("Escape")
    expect(finance.get_by_role("dialog")).to_be_hidden()
    keys.press("/")
    keys.type("jx?ra")
    expect(finance.get_by_role("searchbox")).to_have_value("jx?ra")
    expect(finance.get_by_role("dialog")).to_be_hidden()
    finance.get_by_role("button", name="Ask the acquirer about the selected orders").click()
    expect(finance.get_by_role("status")).to_contain_text("The acquirer is asked about 2 orders")
    keys.press("j")
    keys.press("Enter")
    expect(finance).to_have_url(re.compile(f"/ops/orders/{orders[0]}$"))
    keys.press("a")
    expect(finance.get_by_role("status")).to_contain_text("The acquirer was asked.")
    finance.goto(f"/ops/orders/{shop.paid_order().number}")
    keys.press("r")
    expect(finance).to_have_url(re.compile("/refund$"))
    finance.go_back()
    finance.get_by_role("button", name="Refund", exact=True).press(" ")
    expect(finance).to_have_url(re.compile("/refund$"))


@pytest.mark.full
def test_live_shows_events_as_they_happen_pauses_and_resumes_with_what_it_missed(
    shop: Shop, served: str, finance: Page
) -> None:
    watch, order = Watch(finance.context), shop.paid_order()
    watch.expect_outage()
    finance.goto("/ops/live")
    state, rows = finance.get_by_role("status"), finance.locator("#live tbody tr")
    expect(state).to_have_text("Connected. New events appear automatically.")
    note(order, 2)
    expect(rows.first.get_by_role("link", name=order.number)).to_be_visible()
    expect(rows.filter(has_text="order review ended")).to_have_count(2)
    finance.get_by_role("button", name="Pause").press("Enter")
    row = {"html": '<tr data-seq="0"><td>committed late</td></tr>'}
    for socket in feed.of(shop.app)._sockets:
        socket.put([feed._frame({"type": "event", "seq": 0, **row})])
    expect(state).to_have_text("Paused. 1 new event.")
    note(order, 120)
    expect(state).to_have_text("Paused. 121 new events. The newest 100 are kept.")
    expect(rows.filter(has_text="order review ended")).to_have_count(2)
    finance.get_by_role("button", name="Resume").press("Enter")
    expect(rows).to_have_count(100)
    expect(rows.filter(has_text="order review ended")).to_have_count(100)
    newest = rows.first.get_attribute("data-seq")
    feed.of(shop.app)._end_all(feed.SLOW)
    note(order, 1)
    expect(rows.first).not_to_have_attribute("data-seq", newest or "")
    expect(state).to_have_text("Connected. New events appear automatically.")
    expect(rows).to_have_count(100)
    is_sound(finance)
    watch.silent()


@pytest.mark.full
def test_a_row_of_the_list_is_one_line_at_1280_pixels(shop: Shop, finance: Page) -> None:
    order = shop.paid_order()
    finance.set_viewport_size({"width": 1280, "height": 800})
    finance.goto("/ops/orders")
    row = finance.get_by_role("row").filter(has_text=order.number).bounding_box()
    assert row and row["height"] < 40
    navigation = finance.get_by_role("navigation", name="Console")
    expect(navigation.get_by_role("link", name="Orders")).to_have_attribute("aria-current", "page")


@pytest.mark.full
def test_no_table_is_cut_off_wide_or_narrow(shop: Shop, finance: Page) -> None:
    order = shop.paid_order()
    theirs = shop.acquirer.payments[shop.payment(order).id].captures[0]
    answer_by = clock.now() + timedelta(days=7)
    fact = DisputeFact("dp_1", theirs.id, "chargeback", "OPEN", theirs.money, clock.now(), "fraudulent", answer_by)
    disputes.apply("fakepay", fact, "webhook")
    other = shop.paid_order()
    requests.request(shop.capture(other), Money(20000, "TWD"), reason="broken", by=shop.sam, to="bank")
    claims.claim(claims.thing("alert", str(alert())), shop.sam)
    shop.sweep()
    cut = "[...document.querySelectorAll('.scroll')].filter(one => one.scrollWidth > one.clientWidth).length"
    for width in (1280, 360):
        finance.set_viewport_size({"width": width, "height": 800})
        for path in ("", "/orders", f"/orders/{order.number}", "/mails", "/disputes", "/search?q=ada@ex"):
            finance.goto(f"/ops{path}")
            assert finance.evaluate(cut) == 0, (path, width)
        expect(finance.locator("td[data-label=Total]").first).to_be_in_viewport()


@pytest.mark.full
def test_new_webhooks_appear_at_the_top_while_live_is_on(shop: Shop, finance: Page) -> None:
    watch, payment = Watch(finance.context), shop.payment(shop.order())
    shop.deliver_webhook(payment, "evt-1")
    finance.goto("/ops/webhooks")
    live, rows = finance.get_by_role("switch", name="Live"), finance.locator("tbody.live > tr")
    live.check()
    for number in (2, 3):
        shop.deliver_webhook(payment, f"evt-{number}")
        expect(rows).to_have_count(number, timeout=10_000)
    live.uncheck()
    shop.deliver_webhook(payment, "evt-4")
    expect(rows).to_have_count(3)
    live.check()
    expect(rows).to_have_count(4, timeout=10_000)
    watch.silent()
