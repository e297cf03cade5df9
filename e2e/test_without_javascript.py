"""All functions without scripts: native forms, and a page that reloads while something is pending."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from e2e.conftest import Visitor
from e2e.control import Control
from e2e.customers import HttpCustomer


def test_a_customer_buys_without_javascript(new_visitor: Callable[..., Visitor]) -> None:
    shop = new_visitor(java_script_enabled=False).shop().visit()
    shop.search("pencils")
    shop.page.get_by_role("button", name="Search").click()
    expect(shop.page.get_by_text("1 product", exact=True)).to_be_visible()
    shop.choose("Six Cedar Pencils")
    shop.add_to_cart(2)
    shop.is_called("Your cart")
    shop.page.get_by_label("Quantity of Six Cedar Pencils").fill("3")
    shop.button("Update Six Cedar Pencils").click()
    expect(shop.page.get_by_role("rowheader", name="3 items")).to_be_visible()
    shop.check_out()
    shop.fill_in()
    order = shop.place_order()
    order.is_called("Pay to complete your order")
    order.opens_payment().pay()
    order.is_called("Payment received", within=15)


@pytest.mark.full
def test_a_refused_form_keeps_what_was_typed(new_visitor: Callable[..., Visitor]) -> None:
    visitor = new_visitor(java_script_enabled=False)
    visitor.watch.expect_status(422)
    shop = visitor.shop().visit("/products/olive-soap")
    shop.add_to_cart()
    shop.check_out()
    shop.fill_in(email="not an address", name="Ada Byron", line1="")
    shop.button("Place order and pay").click()
    expect(shop.page.get_by_role("alert")).to_contain_text("Enter an e-mail address in the format name@example.com.")
    expect(shop.page.get_by_role("alert")).to_contain_text("Enter the street and number.")
    expect(shop.page.get_by_label("Full name")).to_have_value("Ada Byron")
    expect(shop.page.get_by_label("E-mail")).to_have_value("not an address")


@pytest.mark.full
def test_a_page_without_javascript_follows_a_decline_and_an_end(
    new_visitor: Callable[..., Visitor], http_customer: HttpCustomer, acquirer: Control
) -> None:
    placed = http_customer.order()
    payment = http_customer.go_and_pay(placed)
    order = new_visitor(java_script_enabled=False).order(placed.url)
    order.is_called("Finish paying in the other tab")
    acquirer.act(payment, "decline", code="insufficient_funds")
    order.is_called("Your card was declined", within=15)
    order.cancel()
    order.is_called("Your order is cancelled", within=15)
    order.button("Order again").click()
    order.page.wait_for_url("**/cart")
