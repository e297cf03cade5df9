"""Attacks 4 and 6: another site's page cannot make a visitor's browser change or read anything."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from tests.security.conftest import CHANGING, People, addresses, all_rows, filled, of_people, send
from tests.shop_fixtures import PEN, Shop
from tests.web.conftest import HTMX, Visitor

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ELSEWHERE = {"Origin": "https://evil.example", "Referer": "https://evil.example/", "Sec-Fetch-Site": "cross-site"}


@pytest.mark.parametrize("headers", [{}, ELSEWHERE, HTMX | ELSEWHERE], ids=["bare", "from elsewhere", "as htmx"])
def test_every_form_without_its_token_is_400_and_changes_nothing(people: People, headers: dict[str, str]) -> None:
    """Attack 4: every route that writes, signed in and with the order's link."""
    visitor = people.customer("mei")
    before, requested = all_rows(), 0
    for method, path in addresses(people.shop.app, *CHANGING):
        if of_people(path):
            answer = send(visitor.client, method, filled(path, people.order), headers=headers)
            assert answer.status_code == 400, (method, path, answer.status_code)
            requested += 1
    assert requested >= 15
    assert all_rows() == before


def test_a_form_with_its_token_in_a_header_as_htmx_sends_it_is_accepted(people: People) -> None:
    """Attack 4."""
    visitor = people.guest
    visitor.get("/products/pen")
    token = re.search(r'name="csrf_token" value="([^"]+)"', visitor.page)
    assert token
    form = {"sku": PEN, "quantity": "2"}
    answer = visitor.client.post("/cart/lines", data=form, headers=HTMX | {"X-CSRFToken": token[1]})
    assert answer.status_code == 200
    assert visitor.cart() == {PEN: 2}
    again = visitor.client.post("/cart/lines", data=form, headers=HTMX | {"X-CSRFToken": token[1] + "x"})
    assert (again.status_code, visitor.cart()) == (400, {PEN: 2})


def test_one_visitors_token_is_of_no_use_to_another(people: People) -> None:
    """Attack 4."""
    stranger = Visitor(people.shop.app)
    stranger.get("/sign-in")
    people.guest.page = stranger.page
    assert people.guest.post(f"/orders/{people.order.token}/cancel").status_code == 400
    assert people.shop.state(people.order) == "WAITING_PAYMENT"


def test_programs_without_a_form_token_authenticate_and_their_cookie_is_ignored(people: People) -> None:
    """Attack 4: signed in, with an own order, and still refused."""
    visitor = people.customer("mei")
    before = all_rows("orders", "payments", "clock_offset", "carts")
    machines = [(m, p) for m, p in addresses(people.shop.app, *CHANGING) if not of_people(p)]
    assert machines
    for method, path in machines:
        answer = send(visitor.client, method, filled(path, people.order), json={"by": "PT1H"}, headers=ELSEWHERE)
        assert answer.status_code in (400, 401, 403, 422), (method, path)
        assert "Set-Cookie" not in answer.headers
    assert all_rows("orders", "payments", "clock_offset", "carts") == before


def test_get_requests_change_nothing_but_poll_times(people: People, shop: Shop) -> None:
    """Attack 4: a link or picture on a foreign page can only read."""
    visitor = people.customer("mei")
    visitor.add(PEN)
    before, looked = all_rows(), 0
    for method, path in addresses(shop.app, "GET", "HEAD", "OPTIONS"):
        answer = send(visitor.client, method, filled(path, people.order), headers=ELSEWHERE)
        assert answer.status_code < 500 or path == "/readyz", (method, path, answer.status_code)
        looked += 1
    assert looked >= 40
    assert all_rows() == before


def test_no_foreign_page_may_read_an_answer_or_a_stream(people: People) -> None:
    """Attack 6."""
    for method, path in addresses(people.shop.app, "GET", "POST", "OPTIONS"):
        answer = send(people.guest.client, method, filled(path, people.order), headers=ELSEWHERE)
        allowed = [name for name, _ in answer.headers if name.startswith("Access-Control-")]
        assert not allowed, (method, path, allowed)


def test_the_cookie_is_not_sent_to_other_sites(app: Flask) -> None:
    """Attack 6: other sites' forms are sent without it, and no script can read it."""
    cookies = app.test_client().get("/sign-in").headers.getlist("Set-Cookie")
    assert cookies
    for cookie in cookies:
        assert "SameSite=Lax" in cookie and "HttpOnly" in cookie and "Domain" not in cookie
