"""From the cart to the order page."""

from __future__ import annotations

import html
import re

import pytest
from flask import Flask

from shop.orders import find
from shop.orders.models import Order
from tests.shop_fixtures import KETTLE, Shop
from tests.web.conftest import HTMX, Visitor, title


def test_an_empty_cart_has_no_checkout(visitor: Visitor) -> None:
    response = visitor.get("/checkout")
    assert response.status_code == 303 and response.location == "/cart"


def test_placing_an_order_leads_to_its_page_with_the_payment_open(visitor: Visitor) -> None:
    response = visitor.get(visitor.order())
    assert title(response).startswith("Pay to complete your order · ")
    assert 'form="pay-form"' in response.text and visitor.cart() == {}


def test_of_two_first_pages_opened_at_once_both_can_place_the_order(visitor: Visitor, app: Flask) -> None:
    """Only one of them has the cookie's token; the other is accepted by its Sec-Fetch-Site header."""
    app.config["WTF_CSRF_ENABLED"] = True
    visitor.add()
    visitor.get("/checkout")
    form = {**visitor.filled(), "csrf_token": "of the other page"}
    assert visitor.client.post("/checkout", data=form).status_code == 400
    vouched = visitor.client.post("/checkout", data=form, headers={"Sec-Fetch-Site": "same-origin"})
    assert vouched.status_code == 303 and vouched.location.startswith("/orders/")


def test_the_checkout_names_each_method_and_what_will_happen(visitor: Visitor) -> None:
    visitor.add()
    assert "You will pay on a secure page run by Fakepay." in visitor.get("/checkout").text


WRONG = {
    "email": [
        "",
        "ada",
        "ada@",
        "a b@example.com",
        "x" * 300 + "@example.com",
        "x" * 65 + "@e.com",
        "ada@example.com\nBcc: x@example.com",
    ],
    "name": ["", "   ", "x" * 101, "Ada\0"],
    "line1": ["", "x" * 121],
    "line2": ["x" * 121],
    "city": ["", "x" * 81],
    "postcode": ["x" * 17],
    "country": ["", "XX", "ZZZ"],
    "method": ["", "nopay"],
    "key": ["", "short", "with spaces in it", "x" * 65],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_errors_are_shown_at_the_top_and_at_their_fields_and_nothing_is_lost(
    visitor: Visitor, name: str, value: str
) -> None:
    visitor.add()
    response = visitor.checkout(**{name: value})
    assert response.status_code == 422 and title(response).startswith("Error: Checkout")
    assert 'id="summary"' in response.text and "autofocus" in response.text
    if name not in ("method", "key"):
        assert re.search(rf'id="{name}"[^>]*aria-invalid="true"[^>]*aria-describedby="[^"]*wrong-{name}', response.text)
    kept = html.unescape(response.text)
    assert name == "city" or 'value="Taipei"' in kept
    assert name == "name" or 'value="Ada Lin"' in kept
    assert visitor.cart() == {KETTLE: 1}


def test_the_fields_of_the_address_are_those_of_the_country(visitor: Visitor) -> None:
    visitor.add()
    visitor.get("/checkout")
    update = {**visitor.filled(), "fitted": "TW", "city": "Springfield"}
    american = visitor.post("/checkout/update", {**update, "country": "US"}, headers=HTMX).text
    assert "ZIP code" in american and '<option value="CA">California</option>' in american
    assert 'hx-target="#address"' in american and 'value="Springfield"' in american
    of_hong_kong = visitor.post("/checkout/update", {**update, "country": "HK"}, headers=HTMX).text
    assert (
        'name="line1"' in of_hong_kong and 'name="city"' not in of_hong_kong and 'name="postcode"' not in of_hong_kong
    )
    unchanged = visitor.post("/checkout/update", {**update, "fitted": "US", "country": "US"}, headers=HTMX).text
    assert 'hx-target="#address"' not in unchanged, "what is being typed is left alone"


def test_without_javascript_an_address_of_another_country_shows_the_form_again_with_its_fields(
    visitor: Visitor, shop: Shop
) -> None:
    visitor.add()
    refused = visitor.checkout(country="US", city="San Francisco", postcode="")
    assert refused.status_code == 422 and "Choose the state." in refused.text and "Enter the ZIP code." in refused.text
    assert refused.text.index('href="#region"') < refused.text.index('href="#postcode"')
    answer = visitor.checkout(country="US", city="San Francisco", region="CA", postcode="941071234", phone="4155550100")
    order = find.by_token(answer.location.rsplit("/", 1)[1])
    assert order and (order.region, order.postcode, order.phone) == ("CA", "94107-1234", "4155550100")
    assert "San Francisco, CA 94107-1234" in visitor.get(answer.location).text


def test_a_phone_number_must_look_like_one_and_may_be_left_out(visitor: Visitor) -> None:
    visitor.add()
    assert visitor.checkout(phone="call me").status_code == 422
    assert visitor.checkout(phone="").status_code == 303


def test_a_form_that_was_sent_again_after_its_mistake_is_taken(visitor: Visitor) -> None:
    visitor.add()
    visitor.checkout(key="short")
    assert visitor.checkout().status_code == 303


def test_pressing_the_button_twice_is_one_order(visitor: Visitor, shop: Shop) -> None:
    visitor.add()
    visitor.get("/checkout")
    form = visitor.filled()
    first, second = visitor.post("/checkout", form), visitor.post("/checkout", form)
    assert first.status_code == 303 and first.location == second.location
    assert shop.count(Order) == 1


def test_the_checkout_lists_what_is_short_and_keeps_the_cart(visitor: Visitor, shop: Shop) -> None:
    visitor.add(KETTLE, 4)
    shop.order((KETTLE, 8))
    response = visitor.checkout()
    assert response.status_code == 409 and "Kettle: only 2 left" in response.text
    assert 'value="Ada Lin"' in response.text and visitor.cart() == {KETTLE: 4}


def test_names_and_addresses_in_any_script_are_taken_as_they_are(visitor: Visitor, shop: Shop) -> None:
    path = visitor.order(name="  王 小明 ", line1="永康街 12 號", city="臺北市", line2="<b>2F</b>")
    order = find.by_token(path.rsplit("/", 1)[1])
    assert order and (order.name, order.line1, order.city) == ("王 小明", "永康街 12 號", "臺北市")
    assert "&lt;b&gt;2F&lt;/b&gt;" in visitor.get(path).text


def test_the_total_stands_before_the_form_and_its_items_unfold(visitor: Visitor) -> None:
    visitor.add()
    page = visitor.get("/checkout").text
    assert page.index('id="summary-total"') < page.index('id="checkout-summary"') < page.index('id="checkout-form"')
    answer = visitor.post("/checkout/update", visitor.filled(), headers=HTMX)
    assert 'hx-target="#summary-total"' in answer.text and "<details" not in answer.text
