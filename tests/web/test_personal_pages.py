"""Pages with personal data: never cached, unavailable after signing out, and available to their owner."""

from __future__ import annotations

import re

import pytest

from shop import create_app
from shop.orders import find
from tests.shop_fixtures import PEN, Shop, environ
from tests.web.conftest import Visitor

ADA = {"email": "ada@example.com", "name": "Ada", "password": "a long enough sentence"}


@pytest.fixture
def ada(visitor: Visitor) -> Visitor:
    """A signed-in customer."""
    visitor.get("/register")
    visitor.post("/register", ADA)
    return visitor


@pytest.mark.parametrize("path", ["/", "/products/kettle", "/cart", "/orders", "/account", "/checkout", "/nowhere"])
def test_no_page_of_a_sign_in_is_stored(ada: Visitor, path: str) -> None:
    ada.add()
    assert ada.get(path).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/products/kettle", "/cart"])
def test_pages_without_personal_data_may_come_from_the_memory_of_the_browser(visitor: Visitor, path: str) -> None:
    assert visitor.get(path).headers["Cache-Control"] == "private, no-cache"


def test_what_was_typed_into_a_refused_form_is_not_stored(visitor: Visitor) -> None:
    visitor.add()
    answer = visitor.checkout(city="")
    assert answer.status_code == 422 and "Ada Lin" in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_owner_sees_an_order_however_long_ago_it_ended(ada: Visitor, other_visitor: Visitor, shop: Shop) -> None:
    path = ada.order()
    ada.get(path)
    ada.post(f"{path}/cancel")
    shop.turn(days=300)
    assert ada.get("/account").status_code == 200, "a sign-in lasts on wall time"
    assert path in ada.get("/account").text
    assert [ada.get(path + more).status_code for more in ("", "/status")] == [200, 200]
    assert other_visitor.get(path).status_code == 404, "for everybody else the link has expired"


def test_another_customer_does_not_see_an_expired_order(ada: Visitor, other_visitor: Visitor, shop: Shop) -> None:
    path = ada.order()
    ada.get(path)
    ada.post(f"{path}/cancel")
    other_visitor.get("/register")
    other_visitor.post("/register", {**ADA, "email": "bo@example.com"})
    shop.turn(days=31)
    assert other_visitor.get(path).status_code == 404


def test_every_order_is_reached_page_by_page(ada: Visitor, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "ORDERS_ON_A_PAGE", 2)
    paths = []
    for _ in range(5):
        ada.add(PEN)
        paths.append(str(ada.checkout().location))
    for listed in ("/account", "/orders"):
        shown = [ada.get(f"{listed}?page={page}").text for page in (1, 2, 3)]
        rows = [re.findall(r'<th scope="row"><a href="([^"]+)"', page) for page in shown]
        assert [[path in page for path in paths] for page in rows] == [
            [False, False, False, True, True],
            [False, True, True, False, False],
            [True, False, False, False, False],
        ]
        assert "Older orders" in shown[0] and "Newer orders" in shown[2] and "Page 2 of 3" in shown[1]


@pytest.mark.parametrize("page", ["0", "2", "-1", "x", "", "9" * 30, "\u0663"])
def test_a_page_that_the_list_does_not_have_is_404(ada: Visitor, page: str) -> None:
    assert ada.get("/account", query_string={"page": page}).status_code == 404
    assert ada.get("/orders", query_string={"page": page}).status_code == 404


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("address", "name"), [("https://shop.test", "__Host-settled"), ("http://localhost", "settled")]
)
def test_over_https_no_other_host_can_plant_the_cookie(database_url: str, address: str, name: str) -> None:
    app = create_app(environ(database_url, "", SHOP_URL=address))
    answer = app.test_client().get("/sign-in", base_url=address)
    [cookie] = answer.headers.getlist("Set-Cookie")
    assert cookie.startswith(f"{name}=") and "Path=/" in cookie and "Domain" not in cookie
    assert ("Secure" in cookie) == address.startswith("https")
