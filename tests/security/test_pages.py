"""Attacks 7, 17 and 18: input stays text, only our scripts run, and every response has the headers."""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from collections.abc import Callable, Iterator
from html.parser import HTMLParser

import pytest
from flask import Flask
from playwright.sync_api import BrowserContext, Page
from werkzeug.serving import make_server

from shop import create_app
from shop.catalogue import browse, search_entries
from shop.catalogue.models import Category, Product
from shop.core import clock
from shop.core.db import db, transaction
from shop.orders.models import Order
from shop.payments.providers import registry
from tests.fakes import Acquirer, FakePay
from tests.parts.processes import free_port
from tests.security.conftest import People, addresses, filled, send
from tests.shop_fixtures import PEN, Shop, environ
from tests.web.conftest import HTMX, Visitor
from tools.docs.code import ROOT, sources
from tools.docs.routes import acquirer_app

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PAYLOADS = {
    "element": "<script>alert(1)</script>",
    "picture": "<img src=x onerror=alert(1)>",
    "attribute": '" onmouseover="alert(1)" x=\'',
    "closing": "</p></main></body><svg onload=alert(1)>",
    "template": "{{7*7}}{% include 'x' %}${7*7}",
    "htmx": "<div hx-get='/sign-out' hx-trigger='load'></div>",
    "swap": "<div id=live hx-swap-oob=true>fake</div>",
    "stream": "x\nevent: done\ndata: <b>fake</b>",
}


class Shape(HTMLParser):
    """Elements and the names of their attributes in order: text alone can never change them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, ...]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, *(name for name, _ in attributes)))


def furnish(shop: Shop, text: str) -> None:
    """A shop in which every text about its products is `text`."""
    with transaction():
        product = db.session.scalars(db.select(Product).where(Product.sku == PEN)).one()
        product.name = product.summary = product.description = text
        db.session.scalars(db.select(Category)).one().name = text
        search_entries.write([PEN])
    browse.clear_cache()


def decline_with(shop: Shop, order: Order, text: str) -> None:
    """The acquirer declines with this text, which is shown as a quotation; the order's texts are this text too."""
    with transaction():
        kept = db.session.get_one(Order, order.id)
        kept.name = kept.line1 = kept.line2 = kept.city = kept.postcode = text
        for line in kept.lines:
            line.name = text
    payment = shop.payment(order)
    shop.acquirer.decline(payment.id, code=text)
    shop.deliver_webhook(payment)


def everything_shown(shop: Shop, visitor: Visitor, order: Order, text: str) -> dict[str, str]:
    """Every page, fragment and stream block that can contain the text."""
    pages = {
        path: visitor.get(path).text for path in ("/", "/products/pen", "/cart", "/checkout", "/account", "/orders")
    }
    token = order.token
    for path in (f"/orders/{token}", f"/orders/{token}/status"):
        pages[path] = visitor.get(path).text
    pages["search"] = visitor.get("/", query_string={"q": text}).text
    pages["search by htmx"] = visitor.get("/", query_string={"q": text}, headers=HTMX).text
    pages["category"] = visitor.get("/", query_string={"category": text}).text
    pages["cart by htmx"] = visitor.post("/cart/lines", {"sku": PEN, "quantity": text}, headers=HTMX).text
    pages["odd sku"] = visitor.post("/cart/lines", {"sku": text, "quantity": "1"}).text
    pages["removed"] = visitor.get("/cart", query_string={"removed": text, "quantity": text}).text
    visitor.get("/checkout")
    fields = dict.fromkeys(("email", "name", "line1", "line2", "city", "postcode", "country", "method"), text)
    pages["checkout with mistakes"] = visitor.post(
        "/checkout", fields | {n: visitor.field(n) for n in ("key", "terms", "shown", "customer")}
    ).text
    pages["who is unknown"] = visitor.post("/sign-in", {"email": text, "password": text, "next": text}).text
    return pages


@on_sqlite
def test_whatever_people_and_acquirers_write_no_page_or_fragment_gets_another_element_or_attribute(
    people: People, shop: Shop
) -> None:
    """Attack 7: each page with full stops in place of special characters, so that its words and what the search marks
    are the same, and then with them.
    """
    visitor = people.customer("mei")
    order = people.placed(visitor)
    visitor.add(PEN)
    visitor.get("/cart")  # the message about the added product appears once

    def shown(text: str) -> dict[str, list[tuple[str, ...]]]:
        furnish(shop, text)
        decline_with(shop, order, text)
        return {name: Shape(page).found for name, page in everything_shown(shop, visitor, order, text).items()}

    for name in ("attribute", "closing", "stream"):
        payload = PAYLOADS[name]
        harmless = shown(re.sub(r"[^\w\s]", ".", payload))
        for page, shape in shown(payload).items():
            assert shape == harmless[page], f"{name} on {page}"
    furnish(shop, "Pen")


ROWS_WITH_LABELS = "Markup(_CELL.sub(with_label, str(escape(rows))))"
"""The one exception: both parts are escaped. `tests/architecture/test_hygiene.py` allows it word for word."""


def test_nothing_that_people_write_is_ever_marked_as_html_in_python() -> None:
    """Attack 7; for templates see tests/architecture/test_templates.py."""
    found = {
        (source.path, call)
        for source in sources("shop", "mock_acquirer")
        for call in re.findall(
            r"\b(Markup\((?!['\"])|Markup\(f|render_template_string|from_string|\|\s*safe\b)",
            source.text.replace(ROWS_WITH_LABELS, ""),
        )
    }
    assert found == set()


@pytest.fixture
def served(database_url: str, redis_url: str) -> Iterator[tuple[Flask, str]]:
    """A shop that a browser can reach, with the fake acquirer, and its address."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    port = free_port()
    app = create_app(environ(database_url, redis_url, SHOP_URL=f"http://127.0.0.1:{port}"), TESTING=True)
    with app.app_context():
        acquirer = app.extensions["test_acquirer"] = Acquirer(clock.now)
        registry.all_providers()["fakepay"] = FakePay(acquirer)
    server = make_server("127.0.0.1", port, app, threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield app, f"http://127.0.0.1:{port}"
    server.shutdown()
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


WATCH = "document.addEventListener('securitypolicyviolation', (e) => console.error('policy: ' + e.violatedDirective))"


@on_sqlite
def test_in_a_browser_no_payload_opens_a_dialog_or_violates_the_content_security_policy(
    served: tuple[Flask, str], new_context: Callable[..., BrowserContext]
) -> None:
    """Attack 7: the live page, its stream and htmx's swaps included."""
    app, site = served
    context = new_context()
    context.add_init_script(WATCH)
    page = context.new_page()
    messages: list[str] = []
    page.on("dialog", lambda dialog: (messages.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("console", lambda message: messages.append(message.text) if message.type == "error" else None)
    text = "".join(payload for name, payload in PAYLOADS.items() if name != "stream")
    with app.app_context():
        shop = Shop(app)
        order = shop.order((PEN, 1))
        furnish(shop, text)
        decline_with(shop, order, text)
        token, payment = order.token, shop.payment(order).id
        db.session.remove()
    look_around(page, site, token, text)
    with app.app_context():
        shop.acquirer.capture(payment)
        shop.deliver_webhook(payment)
    page.get_by_role("heading", name="Payment received").wait_for()
    with app.app_context():
        furnish(shop, "Pen")
    assert messages == []


def look_around(page: Page, site: str, token: str, text: str) -> None:
    page.goto(f"{site}/products/pen")
    page.goto(f"{site}/?q=")
    page.get_by_role("searchbox").fill(text[:60])
    page.keyboard.press("Enter")
    page.goto(f"{site}/orders/{token}")
    page.get_by_role("heading", level=1).wait_for()


# --- scripts ---

OURS = {"app.js": "the pages' own behaviour", "vendor/htmx.js": "htmx 4.0.1, as it was published"}
OURS |= {"passkeys.js": "passkeys of staff, on the second step of their sign-in"}
"""Every script that a page of the shop may load, and its purpose."""
PAYMENT_PAGE = {"fill.js": "fills in a test card"}
"""Every script of the card pages."""
HTMX_IS = "sha256-5a6bba0fee"
_SCRIPT = re.compile(r'<script\b(?! type="application/ld\+json">)[^>]*>', re.I)
"""Left out: structured data of products, which no browser runs."""


def scripts_of(template: str) -> set[str]:
    """Scripts that a template loads; inline scripts are listed as such."""
    found = set()
    for tag in _SCRIPT.findall(template):
        source = re.search(r"""filename=['"]([^'"]+)['"]|asset\(['"]([^'"]+)['"]\)""", tag)
        found.add((source[1] or source[2]) if source else tag)
    return found


@pytest.mark.parametrize(("folder", "listed"), [("shop", OURS), ("mock_acquirer", PAYMENT_PAGE)])
def test_every_script_of_every_page_is_listed_with_the_reason_for_it(folder: str, listed: dict[str, str]) -> None:
    """Attack 17."""
    loaded: set[str] = set()
    for path in (ROOT / "templates" / folder).rglob("*.html"):
        loaded |= scripts_of(path.read_text())
    assert loaded == set(listed)


def test_the_third_party_script_is_the_published_file() -> None:
    """Attack 17: a changed byte is detected."""
    assert "sha256-" + hashlib.sha256((ROOT / "static/vendor/htmx.js").read_bytes()).hexdigest()[:10] == HTMX_IS


@on_sqlite
def test_scripts_are_requested_by_their_content_hash_and_match_it(app: Flask) -> None:
    """Attack 17: page and script cannot come from two versions."""
    client = app.test_client()
    page = client.get("/checkout", follow_redirects=True).text + client.get("/").text
    marks = dict(re.findall(r'<script src="/static/([\w/.]+)\?v=(\w+)"', page))
    assert set(marks) == set(OURS) - {"passkeys.js"}, "which is on the second step of a sign-in"
    for name, mark in marks.items():
        served = client.get(f"/static/{name}").data
        assert hashlib.sha256(served).hexdigest().startswith(mark)


def test_htmx_is_not_configured_to_do_more_than_by_default() -> None:
    """Attack 7: requests to our own origin only, no eval; the content-security policy enforces it too."""
    htmx_config = re.search(r"name=\"htmx-config\" content='([^']*)'", (ROOT / "templates/shop/base.html").read_text())
    assert htmx_config and not re.search(r"mode|allow|eval|inline", htmx_config[1], re.I)
    assert 'mode:"same-origin"' in (ROOT / "static/vendor/htmx.js").read_text()


# --- headers ---

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
POLICY = {
    "default-src": "'self'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "object-src": "'none'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "connect-src": "'self' ws://localhost:9",
    "form-action": "'self' http://localhost:9000",
}
ODD = [
    ("GET", "/nothing"),
    ("TRACE", "/cart"),
    ("POST", "/cart/lines"),
    ("GET", "/static/app.js"),
    ("GET", "/static/no"),
]


PRIVATE = ("/account/verif", "/account/reset/", "/account/change-email/", "/account/unlock/", "/account/password") + (
    "/account/email",
    "/account/identit",
    "/account/link-identity/",
    "/account/invitation/",
    "/account/data",
    "/account/delete",
    "/sign-in/code",
    "/sign-in/oidc",
    "/sign-in/passkey",
    "/forgot-password",
    "/unlock-account",
)


def has_secret_address(path: str) -> bool:
    """True for pages of mailed links, and the pages that lead to them."""
    return path.startswith(PRIVATE)


@on_sqlite
def test_every_answer_of_every_route_carries_the_headers_errors_files_and_streams_included(
    people: People, shop: Shop
) -> None:
    """Attack 18."""
    requested = [(m, filled(p, people.order)) for m, p in addresses(shop.app, "GET", "POST", "HEAD", "OPTIONS")]
    statuses = set()
    for method, path in (*requested, *ODD):
        answer = send(people.guest.client, method, path)
        headers = answer.headers
        wanted = HEADERS | ({"Referrer-Policy": "no-referrer"} if has_secret_address(path) else {})
        assert {name: headers.get(name) for name in HEADERS} == wanted, (method, path)
        policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
        assert policy == POLICY, (method, path)
        assert "payment=()" in headers["Permissions-Policy"]
        assert "Server" not in headers or "Werkzeug" not in headers["Server"]
        statuses.add(answer.status_code)
    assert {200, 303, 400, 404, 405} <= statuses


def test_the_pages_on_which_cards_are_typed_have_a_policy_of_their_own_that_is_as_strict() -> None:
    """Attacks 17 and 18."""
    answer = acquirer_app().test_client().get("/", headers={"Host": "localhost:9000"})
    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    for part in ("default-src 'none'", "default-src 'self'"):
        if part in policy:
            break
    else:
        pytest.fail(policy)
    assert "frame-ancestors 'none'" in policy
