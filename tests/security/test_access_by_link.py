"""Attacks 8 and 9: an order opens only with its link, and no redirect leaves the shop."""

from __future__ import annotations

import base64
import re

import pytest

from shop.accounts import sessions
from shop.accounts.permissions import Role
from shop.core import ids
from tests.security.conftest import CHANGING, PASSWORD, People, addresses, all_rows, filled, send
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
WHO = ["guest", "customer", "support", "admin"]


def come(people: People, who: str) -> Visitor:
    """A client without the order's link, with the rights of `who`; the form's token is at hand."""
    visitor = Visitor(people.shop.app) if who == "guest" else people.customer(who, *({who} & set(Role)))
    visitor.get("/sign-in")
    return visitor


def routes(people: People) -> list[tuple[str, str]]:
    """All routes to an order but its socket, which needs a handshake: see tests/live/test_order_socket.py."""
    found = [(m, p) for m, p in addresses(people.shop.app, "GET", *CHANGING) if "<token>" in p]
    return [(method, path) for method, path in found if not path.startswith("/ws/")]


@pytest.mark.parametrize("who", WHO)
def test_only_the_holder_of_the_link_reaches_an_order_by_any_route(people: People, who: str) -> None:
    """Attack 8, case 28: page, fragment, stream, picture and every button."""
    order, visitor = people.order, come(people, who)
    token = order.token
    guesses = [order.number, str(order.id), token[:-1], token[1:], token.swapcase(), ids.token(), token + "=", "None"]
    guesses += ["'%20OR%201=1--", token[:-1] + ("A" if token[-1] != "A" else "B")]
    guesses = guesses if who == "guest" else guesses[:4]
    before = all_rows("orders", "payments", "carts", "cart_lines")
    csrf = re.search(r'name="csrf_token" value="([^"]+)"', visitor.page)
    assert csrf
    for method, path in routes(people):
        bodies = set()
        for guess in guesses:
            data = {"csrf_token": csrf[1]} if method == "POST" else None
            answer = send(visitor.client, method, filled(path, order, guess), data=data)
            assert answer.status_code == 404, (method, path, guess)
            bodies.add(re.sub(r"[0-9a-f]{16}", "", answer.text))
        assert len(bodies) == 1, "a guess that is nearly right is answered like any other"
    assert all_rows("orders", "payments", "carts", "cart_lines") == before


@pytest.mark.parametrize("who", WHO)
def test_the_holder_of_the_link_needs_nothing_else(people: People, who: str) -> None:
    """Attack 8: without this, the test above would pass for a shop that refuses everything."""
    visitor = come(people, who)
    later = re.compile(
        r"qr\.svg$|/documents/|/receipt|/credit-notes/"
    )  # an unpaid order has none; see documents/test_pages
    opened = [path for method, path in routes(people) if method == "GET" and not later.search(path)]
    assert len(opened) >= 3
    for path in opened:
        assert send(visitor.client, "GET", filled(path, people.order)).status_code in (200, 303), path


def test_an_expired_link_is_404_on_every_route(people: People, shop: Shop) -> None:
    """Case 28."""
    shop.turn(minutes=31)
    shop.turn(days=31)
    csrf = re.search(r'name="csrf_token" value="([^"]+)"', people.guest.page)
    assert csrf
    for method, path in routes(people):
        if not path.endswith("/events"):  # an open page gets the message that the link has expired
            data = {"csrf_token": csrf[1]} if method == "POST" else None
            assert send(people.guest.client, method, filled(path, people.order), data=data).status_code == 404, path


def test_a_customer_sees_own_orders_and_ends_own_sign_ins_only(people: People, shop: Shop) -> None:
    """Attack 8."""
    mei, ada = people.customer("mei"), people.customer("ada")
    theirs = people.placed(mei)
    for page in ("/account", "/orders"):
        assert theirs.token in mei.get(page).text
        assert theirs.token not in ada.get(page).text
        assert theirs.number not in ada.get(page).text
    with shop.app.app_context():
        handle = sessions.of_user(theirs.user_id or 0)[0].handle
    ada.get("/account")
    assert ada.post(f"/account/sign-ins/{handle}/end").status_code == 303
    assert mei.get("/account").status_code == 200, "nobody ends the sign-in of somebody else"


@pytest.mark.usefixtures("database_url")
def test_every_access_token_has_at_least_128_random_bits() -> None:
    """Attack 8."""
    made = {ids.token() for _ in range(100)}
    assert len(made) == 100
    assert all(len(base64.urlsafe_b64decode(token + "==")) * 8 >= 128 for token in made)


PAYLOADS = [
    "//evil.example",
    "///evil.example",
    "////evil.example/%2f..",
    "/\\evil.example",
    "\\/evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/%0a/evil.example\r\nLocation: https://evil.example",
    "https://evil.example",
    "https:evil.example",
    "https:/evil.example",
    "HTTPS://localhost@evil.example",
    "http://localhost.evil.example/",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    " //evil.example",
    "/ /evil.example",
    "evil.example",
    "@evil.example",
    "//[::1",
]


def test_after_signing_in_no_redirect_leads_to_another_site(people: People) -> None:
    """Attack 9: every other payload is in the address, the others in the form."""
    people.customer("mei")
    for number, payload in enumerate(PAYLOADS):
        visitor = Visitor(people.shop.app)
        visitor.get("/sign-in", query_string={"next": payload})
        assert "evil.example" not in visitor.page
        there = {"next": payload}
        form = {"email": "mei@example.com", "password": PASSWORD} | (there if number % 2 else {})
        answer = visitor.post("/sign-in", form, query_string={} if number % 2 else there)
        assert (answer.status_code, answer.location) == (303, "/account"), payload
