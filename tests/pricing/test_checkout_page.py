"""Delivery, discount codes and tax on the checkout and order pages, without JavaScript and with htmx."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
from flask import Flask
from limits import RateLimitItemPerHour
from werkzeug.test import TestResponse

from shop.core import clock
from shop.core.db import db
from shop.core.money import Money
from shop.orders.models import Order
from shop.pricing import change
from shop.web import checkout
from tests.shop_fixtures import KETTLE, Shop
from tests.web.conftest import HTMX, Visitor
from tests.web.test_checkout_statements import counted, press


@pytest.fixture
def visitor(app: Flask, priced: Shop) -> Visitor:
    app.config["RATE_LIMITS"] = False
    return Visitor(app)


def sums(response: TestResponse) -> dict[str, str]:
    """Rows of the table of sums."""
    rows = re.findall(r'<tr[^>]*><th scope="row">(.*?)</th><td>(.*?)</td></tr>', response.text, re.S)
    return {html.unescape(name): html.unescape(re.sub("<[^>]+>", "", amount)) for name, amount in rows}


def orders() -> list[Order]:
    db.session.rollback()
    return list(db.session.scalars(db.select(Order).order_by(Order.id)))


def test_the_checkout_shows_the_methods_and_the_tax_and_preselects_the_first_method(visitor: Visitor) -> None:
    visitor.add()
    page = visitor.get("/checkout")
    assert sums(page) == {"Delivery (Standard)": "Free", "Includes VAT (5%)": "NT$57", "To pay": "NT$1,200"}
    assert re.findall(r'name="delivery" value="(\w+)"( checked)?', page.text) == [
        ("standard", " checked"),
        ("express", ""),
    ]


def test_the_cart_shows_that_delivery_is_chosen_later(visitor: Visitor) -> None:
    visitor.add()
    cart = sums(visitor.get("/cart"))
    assert (cart["Delivery"], cart["Subtotal"]) == ("Chosen at checkout", "NT$1,200")


def test_a_shop_without_rules_shows_that_delivery_is_included(app: Flask, shop: Shop) -> None:
    visitor = Visitor(app)
    visitor.add()
    page = visitor.get("/checkout")
    assert sums(page) == {"Delivery": "Included", "To pay": "NT$1,200"}
    assert 'name="delivery"' not in page.text


def test_what_is_chosen_is_shown_and_then_ordered(visitor: Visitor) -> None:
    visitor.add()
    visitor.get("/checkout")
    chosen = {"delivery": "express", "code": " ｔｅｎ "}
    page = visitor.post("/checkout/update", {**visitor.filled(), **chosen})
    costs = {
        "Goods": "NT$1,200",
        "Discount (TEN)": "−NT$120",
        "Delivery (Express)": "NT$120",
        "Includes VAT (5%)": "NT$57",
    }
    assert (page.status_code, sums(page)) == (200, {**costs, "To pay": "NT$1,200"})
    assert orders() == []
    placed = visitor.post("/checkout", {**visitor.filled(), **chosen})
    assert placed.status_code == 303
    assert sums(visitor.get(str(placed.location))) == {**costs, "Total": "NT$1,200"}


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"country": "US"}, "Tax: changed from NT$0 to NT$120"),
        ({"delivery": "express"}, "Delivery: changed from NT$0 to NT$120"),
        ({"code": "TEN"}, "Discount: changed from NT$0 to −NT$120"),
    ],
)
def test_a_choice_that_changes_the_total_is_shown_before_it_is_ordered(
    visitor: Visitor, chosen: dict[str, str], message: str
) -> None:
    visitor.add()
    page = visitor.checkout(**chosen)
    assert page.status_code == 409
    assert "The total has changed. No order was placed." in page.text and message in page.text
    assert orders() == []
    assert visitor.post("/checkout", {**visitor.filled(), **chosen}).status_code == 303
    assert len(orders()) == 1


def test_another_country_with_the_same_total_needs_no_second_press(visitor: Visitor) -> None:
    """Its tax is not that of the page, and is in the total as well."""
    visitor.add()
    assert visitor.checkout(**IN_JAPAN).status_code == 303
    assert (orders()[0].total_amount, orders()[0].tax_amount) == (120000, 0)


def test_another_method_of_the_same_price_is_shown_before_it_is_ordered(visitor: Visitor) -> None:
    change.set_delivery("pickup", "Pickup", {"TWD": Money(0, "TWD")}, free_from={}, countries=(), position=2)
    visitor.add()
    page = visitor.checkout(delivery="pickup")
    assert page.status_code == 409 and orders() == []
    assert "The delivery method has changed. No order was placed." in page.text
    assert "The delivery method has changed: Pickup" in page.text
    assert visitor.post("/checkout", {**visitor.filled(), "delivery": "pickup"}).status_code == 303
    assert [line.name for line in orders()[0].charges if line.kind == "delivery"] == ["Pickup"]


def test_htmx_gets_the_parts_that_changed_and_keeps_what_is_typed(visitor: Visitor) -> None:
    visitor.add()
    visitor.get("/checkout")
    before = visitor.field("terms")
    changed = visitor.post("/checkout/update", {**visitor.filled(), "country": "US"}, headers=HTMX)
    assert changed.status_code == 200
    assert re.findall(r'hx-target="#([\w-]+)"', changed.text) == [
        "address",
        *(f"checkout-{part}" for part in ("terms", "delivery", "code", "pay")),
        "summary-total",
        "checkout-summary",
        "live",
    ]
    assert sums(changed)["Sales tax (10%)"] == "NT$120"
    assert before not in changed.text and 'name="email"' not in changed.text and 'name="key"' not in changed.text


IN_JAPAN = {"country": "JP", "region": "Tokyo", "postcode": "100-0001"}
BAD_CODES = ["歓迎", "ΔΕΚΑ", "TEN'--", "A" * 10_000, "ٱلسلام", "💸💸", "-", "TEN\x00", "\u202eNET", "..", "T" * 41]


@pytest.mark.parametrize("code", BAD_CODES, ids=range(len(BAD_CODES)))
def test_text_that_is_no_code_is_refused_and_changes_nothing(visitor: Visitor, code: str) -> None:
    visitor.add()
    page = visitor.checkout(code=code)
    assert page.status_code == 422
    assert "This discount code is not valid." in page.text
    assert len(page.text) < 40_000 and orders() == [] and visitor.cart() == {KETTLE: 1}
    shown = visitor.post("/checkout/update", {**visitor.filled(), "code": code})
    assert (shown.status_code, "This discount code is not valid." in shown.text) == (200, True)
    assert sums(shown)["To pay"] == "NT$1,200"


def test_a_code_with_spaces_around_full_width_or_in_small_letters_is_the_code(visitor: Visitor) -> None:
    visitor.add()
    visitor.get("/checkout")
    for code in ("ten", "ＴＥＮ", " t e n ", "TEN\u200b"):
        page = visitor.post("/checkout/update", {**visitor.filled(), "code": code})
        assert sums(page)["Discount (TEN)"] == "−NT$120"


@pytest.mark.parametrize("country", ["XX", "", "tw", "T\x07", "TWTW", "台灣"])
def test_an_address_in_no_country_of_the_list_is_refused(visitor: Visitor, country: str) -> None:
    visitor.add()
    page = visitor.checkout(country=country)
    assert page.status_code == 422 and "Choose a country from the list." in page.text
    assert visitor.post("/checkout/update", {**visitor.filled(), "country": country}).status_code == 200
    assert orders() == []


def test_a_country_that_the_tax_table_does_not_know_has_no_tax(visitor: Visitor) -> None:
    visitor.add()
    visitor.get("/checkout")
    visitor.post("/checkout/update", {**visitor.filled(), "country": "IS"})
    assert visitor.post("/checkout", {**visitor.filled(), "country": "IS"}).status_code == 303
    assert (orders()[0].total_amount, orders()[0].tax_amount) == (120000, 0)


def test_a_country_without_delivery_is_refused_in_a_sentence(visitor: Visitor) -> None:
    change.remove_delivery("standard")
    visitor.add()
    page = visitor.checkout(**IN_JAPAN)
    assert page.status_code == 422
    assert "We do not deliver to this country for orders in TWD. No order was placed." in page.text
    assert orders() == []


@pytest.mark.parametrize("delivery", ["teleport", "x" * 5000, "\x00", "express' OR 1=1"])
def test_an_unknown_method_is_refused_and_the_page_shows_the_first(visitor: Visitor, delivery: str) -> None:
    visitor.add()
    page = visitor.checkout(delivery=delivery)
    assert page.status_code == 409 and orders() == []
    assert "The delivery method that you chose is not available for this order. No order was placed." in page.text
    assert 'value="standard" checked' in page.text
    assert visitor.post("/checkout", {**visitor.filled(), "delivery": "standard"}).status_code == 303


def test_a_method_that_was_removed_since_the_page_was_shown_is_not_replaced(visitor: Visitor) -> None:
    change.set_delivery("pickup", "Pickup", {"TWD": Money(0, "TWD")}, free_from={}, countries=(), position=2)
    visitor.add()
    visitor.get("/checkout")
    visitor.post("/checkout/update", {**visitor.filled(), "delivery": "pickup"})
    change.remove_delivery("pickup")
    page = visitor.post("/checkout", {**visitor.filled(), "delivery": "pickup"})
    assert page.status_code == 409 and orders() == []
    assert 'data-code="delivery_changed"' in page.text


def test_the_only_method_is_not_replaced_by_another_one_of_the_same_price(visitor: Visitor) -> None:
    """With one method the page has no choice, and its form no key."""
    change.remove_delivery("express")
    visitor.add()
    visitor.get("/checkout")
    change.set_delivery("pickup", "Pickup", {"TWD": Money(0, "TWD")}, free_from={}, countries=(), position=2)
    change.remove_delivery("standard")
    page = visitor.post("/checkout", visitor.filled())
    assert page.status_code == 409 and orders() == []
    assert "The delivery method has changed: Pickup" in page.text


def test_a_discount_of_everything_needs_no_payment(visitor: Visitor) -> None:
    change.set_code(change.NewCode("ALL", percent=100, use_limit=5))
    visitor.add()
    visitor.get("/checkout")
    page = visitor.post("/checkout/update", {**visitor.filled(), "code": "ALL"})
    assert "The discount covers the whole order. You pay nothing." in page.text
    placed = visitor.post("/checkout", {**visitor.filled(), "code": "ALL"})
    assert placed.status_code == 303
    order = visitor.get(str(placed.location))
    assert "Order confirmed" in order.text and sums(order)["Total"] == "NT$0"


def test_an_order_that_costs_nothing_is_placed_once_without_a_payment_method(visitor: Visitor) -> None:
    change.set_code(change.NewCode("ALL", percent=100, use_limit=5))
    visitor.add()
    visitor.get("/checkout")
    page = visitor.post("/checkout/update", {**visitor.filled(), "code": "ALL"})
    assert "<fieldset hidden>" in page.text and "We reserve these items while you pay" not in page.text
    form = {**visitor.filled(), "code": "ALL"}
    del form["method"]
    for _ in range(2):
        assert visitor.post("/checkout", form).status_code == 303
    assert [order.total_amount for order in orders()] == [0]


def test_an_order_that_costs_something_needs_a_payment_method(visitor: Visitor) -> None:
    visitor.add()
    visitor.get("/checkout")
    form = visitor.filled()
    del form["method"]
    page = visitor.post("/checkout", form)
    assert page.status_code == 422 and "Choose one of the listed payment methods." in page.text and orders() == []


def test_a_code_that_the_address_has_used_is_left_out_of_the_page_shown_again(visitor: Visitor) -> None:
    for _ in range(2):
        visitor.add()
        visitor.get("/checkout")
        visitor.post("/checkout/update", {**visitor.filled(), "code": "TEN"})
        page = visitor.post("/checkout", {**visitor.filled(), "code": "TEN"})
    assert page.status_code == 409
    sentence = "This discount code has already been used with this e-mail address. No order was placed."
    assert page.text.count(sentence) == 2, "in the notice and at the field"
    assert sums(page) == {"Delivery (Standard)": "Free", "Includes VAT (5%)": "NT$57", "To pay": "NT$1,200"}
    assert visitor.post("/checkout", visitor.filled()).status_code == 303
    assert [order.total_amount for order in orders()] == [108000, 120000]


def test_a_code_that_expires_before_the_button_is_left_out_and_the_next_press_orders(
    visitor: Visitor, priced: Shop
) -> None:
    change.set_code(change.NewCode("SOON", percent=10, ends_at=clock.now() + timedelta(minutes=5)))
    visitor.add()
    visitor.get("/checkout")
    visitor.post("/checkout/update", {**visitor.filled(), "code": "SOON"})
    priced.wait(minutes=6)
    page = visitor.post("/checkout", {**visitor.filled(), "code": "SOON"})
    assert page.status_code == 422 and "This discount code has expired." in page.text
    assert visitor.field("code") == ""
    assert visitor.post("/checkout", visitor.filled()).status_code == 303
    assert [order.total_amount for order in orders()] == [120000]


def test_a_network_cannot_find_out_which_addresses_have_used_a_code(
    app: Flask, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkout, "USED_BEFORE", RateLimitItemPerHour(2))
    app.config["RATE_LIMITS"] = True

    def press_with(code: str, email: str) -> TestResponse:
        visitor.add()
        visitor.get("/checkout")
        visitor.post("/checkout/update", {**visitor.filled(), "code": code})
        return visitor.post("/checkout", {**visitor.filled(), "code": code, "email": email})

    used, free = "grace@example.com", "nobody@example.com"
    assert press_with("TEN", used).status_code == 303
    assert [press_with("TEN", used).status_code for _ in range(3)] == [409, 409, 429]
    unknown = press_with("TEN", free)
    assert unknown.status_code == 429 and "try again in an hour" in unknown.text, "as for the address that has used it"
    assert unknown.headers["Retry-After"] == "3600"
    assert press_with("", free).status_code == 303


def test_choices_are_kept_while_the_customer_signs_in(visitor: Visitor) -> None:
    visitor.add()
    visitor.get("/checkout")
    visitor.post("/checkout/sign-in", {**visitor.filled(), "delivery": "express", "code": "TEN"})
    page = visitor.get("/checkout")
    assert {"Discount (TEN)", "Delivery (Express)"} <= sums(page).keys()


def test_a_code_needs_three_more_statements(visitor: Visitor) -> None:
    """The code's row, its value in the currency, and its use. Tax and delivery are lines and need none."""
    visitor.order()
    visitor.add()
    plain = press(visitor)
    visitor.add()
    visitor.get("/checkout")
    visitor.post("/checkout/update", {**visitor.filled(), "code": "TEN"})
    with counted(visitor.client.application) as found:
        assert visitor.post("/checkout", {**visitor.filled(), "code": "TEN"}).status_code == 303
    assert len(found) == len(plain) + 3, "\n".join(found)
