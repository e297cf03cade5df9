"""Orders contain what the customer agreed to: other tabs, the back button, sign-in, double clicks; with and without
scripts.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from e2e.conftest import Visitor
from e2e.customers import PLENTY
from e2e.pages import OrderPage, Shop

scripts = pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
STANDS = "Your order has already been placed"


@pytest.fixture
def any_visitor(new_visitor: Callable[..., Visitor], scripts: bool) -> Visitor:
    """A visitor with scripts or without."""
    visitor = new_visitor(java_script_enabled=scripts)
    visitor.watch.expect_status(409)
    return visitor


def put_into_cart(shop: Shop, slug: str, quantity: int = 1) -> None:
    shop.visit(f"/products/{slug}").add_to_cart(quantity)
    shop.link("View cart").or_(shop.page.get_by_role("heading", name="Your cart")).first.wait_for()


@scripts
@pytest.mark.sample(1)
def test_a_checkout_whose_cart_was_changed_in_another_tab_lists_the_changes_and_orders_only_what_it_then_shows(
    any_visitor: Visitor,
) -> None:
    shop, other = any_visitor.shop(), any_visitor.shop()
    put_into_cart(shop, PLENTY)
    shop.visit("/checkout").fill_in(name="Grace Hopper")
    put_into_cart(other, "olive-soap", 2)
    shop.button("Place order and pay").click()
    alert = shop.page.get_by_role("alert")
    expect(alert).to_contain_text("Your cart has changed since you opened this page. No order was placed.")
    expect(alert).to_contain_text("Added: 2 × Olive Soap")
    expect(shop.page.get_by_label("Full name")).to_have_value("Grace Hopper")
    order = shop.place_order()
    expect(order.page.get_by_role("link", name="Olive Soap")).to_be_visible()


@pytest.mark.full
@scripts
@pytest.mark.sample(1)
def test_a_checkout_that_the_back_button_brings_back_orders_nothing_else_than_it_shows(any_visitor: Visitor) -> None:
    shop = any_visitor.shop()
    put_into_cart(shop, PLENTY)
    shop.visit("/checkout").fill_in()
    put_into_cart(shop, PLENTY, 3)
    while not shop.page.url.endswith("/checkout"):
        shop.page.go_back()
    shop.is_called("Checkout")
    shop.fill_in()
    shown = shop.page.get_by_text("To pay:").inner_text()
    shop.button("Place order and pay").click()
    shop.page.wait_for_load_state()
    if "/orders/" not in shop.page.url:  # the browser had kept the old page
        expect(shop.page.get_by_role("alert")).to_contain_text("Six Cedar Pencils: quantity changed from 1 to 4")
        shown = shop.page.get_by_text("To pay:").inner_text()
        shop.place_order()
    expect(shop.page.get_by_text(shown.removeprefix("To pay:").strip()).first).to_be_visible()


@pytest.mark.full
@scripts
@pytest.mark.sample(1)
def test_an_address_corrected_after_the_order_was_placed_is_answered_with_the_order_that_stands(
    any_visitor: Visitor,
) -> None:
    shop, other = any_visitor.shop(), any_visitor.shop()
    put_into_cart(shop, PLENTY)
    for tab in (shop, other):
        tab.visit("/checkout").fill_in()
    number = other.place_order().number
    shop.fill_in(line1="2 Other Lane")
    shop.button("Place order and pay").click()
    shop.is_called(STANDS)
    expect(shop.page.get_by_text("Cancel order")).to_be_visible()
    shop.link(f"View order {number}").click()
    order = OrderPage(shop.page)
    expect(order.page.get_by_text("1 Quiet Lane")).to_be_visible()
    expect(order.page.get_by_text("2 Other Lane")).to_have_count(0)


@pytest.mark.full
@scripts
@pytest.mark.sample(1)
def test_undo_clicked_twice_puts_back_once(any_visitor: Visitor) -> None:
    shop = any_visitor.shop()
    put_into_cart(shop, PLENTY, 3)
    shop.visit("/cart").button("Remove Six Cedar Pencils").click()
    shop.button("Undo").dblclick()
    expect(shop.page.get_by_label("Quantity of Six Cedar Pencils")).to_have_value("3")


@pytest.mark.full
@scripts
@pytest.mark.sample(1)
def test_adding_more_shows_the_total_quantity_and_the_limit_of_99(any_visitor: Visitor) -> None:
    any_visitor.watch.expect_status(422)
    shop = any_visitor.shop()
    put_into_cart(shop, PLENTY, 60)
    put_into_cart(shop, PLENTY, 2)
    expect(shop.page.get_by_text("62 × Six Cedar Pencils are in your cart.").first).to_be_visible()
    shop.visit(f"/products/{PLENTY}").add_to_cart(60)
    expect(shop.page.get_by_text("You can order at most 99 of one product.").first).to_be_visible()


@pytest.mark.full
@scripts
@pytest.mark.sample(1)
@pytest.mark.parametrize("where", ["banner", "main"])
def test_sign_in_from_the_checkout_comes_back_filled_and_enter_places_the_order(
    any_visitor: Visitor, scripts: bool, where: str
) -> None:
    shop = any_visitor.shop()
    email = f"agreed-{scripts}-{where}@example.com".lower()
    shop.register(email)
    shop.visit("/account").button("Sign out").click()
    put_into_cart(shop, PLENTY)
    shop.visit("/checkout").fill_in(email="other@example.com", name="Grace Hopper")
    shop.page.get_by_role(where).get_by_role("button", name="Sign in").click()  # type: ignore[arg-type]
    shop.is_called("Sign in")
    shop.page.get_by_label("E-mail").fill(email)
    shop.page.get_by_label("Password").fill("a long enough sentence")
    shop.page.get_by_role("main").get_by_role("button", name="Sign in").click()
    shop.is_called("Checkout")
    expect(shop.page.get_by_label("Full name")).to_have_value("Grace Hopper")
    expect(shop.page.get_by_label("E-mail")).to_have_value("other@example.com")
    shop.page.get_by_label("Full name").press("Enter")
    shop.page.wait_for_url("**/orders/*")


@scripts
@pytest.mark.sample(1)
def test_enter_at_a_guests_checkout_places_the_order_and_does_not_sign_in(any_visitor: Visitor) -> None:
    shop = any_visitor.shop()
    put_into_cart(shop, PLENTY)
    shop.visit("/checkout").fill_in()
    shop.page.get_by_label("City").press("Enter")
    shop.page.wait_for_url("**/orders/*")
