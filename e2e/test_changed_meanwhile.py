"""Changes while a customer checks out or pays: of the sign-in, the cart, a price, the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis
from playwright.sync_api import expect

from e2e.conftest import Visitor
from e2e.control import Control
from e2e.customers import PLENTY, HttpCustomer, new_email
from e2e.demo import Demo
from e2e.pages import OrderPage, Shop
from tests.parts.waiting import until

SOAP = "olive-soap"


def put_into_cart(shop: Shop, slug: str = PLENTY, quantity: int = 1) -> None:
    shop.visit(f"/products/{slug}").add_to_cart(quantity)
    shop.link("View cart").or_(shop.page.get_by_role("heading", name="Your cart")).first.wait_for()


def end_sign_ins(demo: Demo) -> None:
    """Remove all sign-ins from Redis, as their expiry does."""
    client = redis.Redis.from_url(demo.redis.url)
    for key in list(client.scan_iter("settled:sid:*")):
        client.delete(key)


@contextmanager
def price_raised(demo: Demo, slug: str, by: int) -> Iterator[None]:
    """Another price in TWD, by minor units, until the end of the block."""
    change = "UPDATE products SET prices = json_set(prices, '$.TWD', json_extract(prices, '$.TWD') + ?) WHERE slug = ?"
    demo.execute(change, by, slug)
    try:
        yield
    finally:
        demo.execute(change, -by, slug)


@pytest.mark.parametrize("scripts", [True, pytest.param(False, marks=pytest.mark.full)])
def test_a_sign_in_that_expires_at_the_checkout_places_no_order_and_keeps_what_was_typed(
    new_visitor: Callable[..., Visitor], demo: Demo, scripts: bool
) -> None:
    visitor = new_visitor(java_script_enabled=scripts)
    visitor.watch.expect_status(409)
    shop = visitor.shop()
    shop.register(new_email())
    put_into_cart(shop)
    shop.visit("/checkout").fill_in(name="Grace Hopper", line1="2 Other Lane")
    end_sign_ins(demo)
    shop.button("Place order and pay").click()
    expect(shop.page.get_by_role("alert")).to_contain_text("You are no longer signed in. No order was placed.")
    expect(shop.page.get_by_label("Full name")).to_have_value("Grace Hopper")
    expect(shop.page.get_by_label("Street and number")).to_have_value("2 Other Lane")
    order = shop.place_order()
    expect(order.page.get_by_text("Grace Hopper")).to_be_visible()
    shop = visitor.shop().visit("/account")
    shop.is_called("Sign in")


@pytest.mark.full
def test_a_cart_that_changes_while_its_order_is_paid_changes_nothing_about_the_order(visitor: Visitor) -> None:
    order = visitor.shop().buy(PLENTY)
    total = order.page.get_by_role("row", name="Total").get_by_role("cell").inner_text()
    card = order.opens_payment()
    other = visitor.shop()
    put_into_cart(other, SOAP, 2)
    put_into_cart(other, PLENTY, 3)
    card.pay()
    order.is_called("Payment received")
    expect(order.page.locator("dl.facts").get_by_text(total)).to_be_visible()
    expect(order.page.get_by_role("link", name="Olive Soap")).to_have_count(0)
    other.visit("/cart")
    expect(other.page.get_by_label("Quantity of Olive Soap")).to_have_value("2")
    expect(other.page.get_by_label("Quantity of Six Cedar Pencils")).to_have_value("3")


@pytest.mark.full
def test_a_price_that_rises_while_an_order_is_paid_does_not_change_what_is_paid(
    visitor: Visitor, demo: Demo, acquirer: Control
) -> None:
    order = visitor.shop().buy(SOAP)
    total = order.page.get_by_role("row", name="Total").get_by_role("cell").inner_text()
    with price_raised(demo, SOAP, by=50_00):
        card = order.opens_payment()
        payment = card.payment
        card.pay()
        order.is_called("Payment received")
        order.page.reload()
        expect(order.page.locator("dl.facts").get_by_text(total)).to_be_visible()
        shown = visitor.shop().visit(f"/products/{SOAP}").page.locator("main .price").first
        expect(shown).not_to_have_text(total)
    assert len(acquirer.payment(payment)["captures"]) == 1


@pytest.mark.parametrize("scripts", [True, pytest.param(False, marks=pytest.mark.full)])
def test_a_price_that_rises_at_the_checkout_is_shown_before_anything_is_ordered(
    new_visitor: Callable[..., Visitor], demo: Demo, scripts: bool
) -> None:
    visitor = new_visitor(java_script_enabled=scripts)
    visitor.watch.expect_status(409)
    shop = visitor.shop()
    put_into_cart(shop, SOAP)
    shop.visit("/checkout").fill_in()
    before = shop.page.get_by_text("To pay:").inner_text()
    with price_raised(demo, SOAP, by=50_00):
        shop.button("Place order and pay").click()
        expect(shop.page.get_by_role("alert")).to_contain_text("Olive Soap: price changed from")
        after = shop.page.get_by_text("To pay:").inner_text()
        assert after != before
        order = shop.place_order()
        total = after.removeprefix("To pay:").strip()
        expect(order.page.get_by_role("row", name="Total").get_by_role("cell")).to_have_text(total)


def test_an_order_page_that_was_offline_shows_the_payment_when_the_network_is_back(
    visitor: Visitor, http_customer: HttpCustomer, acquirer: Control
) -> None:
    placed = http_customer.order()
    order = visitor.order(placed.url)
    payment = http_customer.go_and_pay(placed)
    order.is_called("Finish paying in the other tab")
    visitor.watch.expect_outage()
    visitor.context.set_offline(True)
    message = order.page.get_by_role("alert").filter(has_text="We could not reach the shop")
    order.link("Continue shopping").click()
    expect(message).to_be_visible()
    acquirer.approve(payment)
    until(lambda: "Payment received" in http_customer.page(f"/orders/{placed.token}"), what="the order to be paid")
    visitor.context.set_offline(False)  # a stream that was open may outlive the outage, which the browser only emulates
    order.is_called("Payment received", within=20)
    expect(message).to_be_hidden()
    expect(order.live).to_contain_text("Payment received")


@pytest.mark.full
def test_a_reload_at_every_step_loses_nothing(visitor: Visitor) -> None:
    shop = visitor.shop()
    put_into_cart(shop)
    shop.visit("/cart").page.reload()
    expect(shop.page.get_by_label("Quantity of Six Cedar Pencils")).to_have_value("1")
    shop.visit("/checkout").fill_in(email="reloads@example.com")
    order = shop.place_order()
    number = order.number
    order.page.reload()
    order.is_called("Pay to complete your order")
    card = order.pay_here()
    card.page.reload()
    card.pay()
    order = OrderPage(card.page)
    order.is_called("Payment received")
    order.page.reload()
    order.is_called("Payment received")
    assert order.number == number
