"""Main journey: a customer buys and pays in another tab, and the order page that stayed open shows it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Route, expect

from e2e.conftest import Visitor
from e2e.console_checks import is_sound
from e2e.control import Control
from e2e.customers import PLENTY, HttpCustomer
from e2e.pages import CHALLENGE_CARD, DECLINED_CARD, OrderPage
from tests.parts.waiting import until


def test_the_order_page_turns_to_paid_while_the_customer_pays_in_another_tab(visitor: Visitor) -> None:
    shop = visitor.shop().visit()
    shop.choose("Six Cedar Pencils")
    shop.add_to_cart(2)
    expect(shop.live).to_have_text(re.compile("2 × Six Cedar Pencils are in your cart"))
    shop.go_to_cart()
    shop.check_out()
    shop.fill_in()
    order = shop.place_order()
    order.is_called("Pay to complete your order")
    card = order.opens_payment()
    order.is_called("Finish paying in the other tab")
    card.pay()
    order.is_called("Payment received")
    expect(order.page.get_by_text("Visa ending in 4242")).to_be_visible()
    expect(order.live).to_have_text(re.compile("Payment received"))
    OrderPage(card.page).is_called("Payment received")


@pytest.mark.full
def test_paying_in_the_same_tab_comes_back_to_the_order(visitor: Visitor) -> None:
    order = visitor.shop().buy(PLENTY)
    order.pay_here().pay()
    order.is_called("Payment received")


def test_the_3d_secure_challenge_is_passed_and_the_payment_is_captured(
    visitor: Visitor, http_customer: HttpCustomer
) -> None:
    order = visitor.order(http_customer.order().url)
    card = order.opens_payment()
    card.pay(CHALLENGE_CARD)
    card.is_called("Confirm your identity")
    card.button("Approve").click()
    order.is_called("Payment received")


def test_a_declined_card_takes_no_money_and_another_one_pays(visitor: Visitor, http_customer: HttpCustomer) -> None:
    order = visitor.order(http_customer.order().url)
    card = order.opens_payment()
    card.pay(DECLINED_CARD)
    expect(card.page.get_by_role("alert")).to_contain_text("Insufficient funds")
    order.is_called("Your card was declined")
    expect(order.page.get_by_text("Insufficient funds.", exact=True)).to_be_visible()
    card.pay()
    order.is_called("Payment received")


@pytest.mark.full
def test_three_declines_end_the_session_and_a_second_payment_can_be_opened(
    visitor: Visitor, http_customer: HttpCustomer, acquirer: Control
) -> None:
    order = visitor.order(http_customer.order().url)
    card = order.opens_payment()
    first = card.payment
    for _ in range(3):
        card.pay(DECLINED_CARD)
        card.page.wait_for_load_state()
    card.is_called("Payment failed")
    order.is_called("The payment did not go through")
    again = order.opens_payment()
    assert again.payment != first
    again.pay()
    order.is_called("Payment received")
    assert acquirer.payment(first)["captures"] == []


@pytest.mark.full
def test_cancelling_on_the_payment_page_keeps_the_order(visitor: Visitor, http_customer: HttpCustomer) -> None:
    order = visitor.order(http_customer.order().url)
    order.opens_payment().cancel()
    order.is_called("You cancelled the payment")
    order.opens_payment().pay()
    order.is_called("Payment received")


@pytest.mark.full
def test_cancelling_the_order_closes_the_payment_page(
    visitor: Visitor, http_customer: HttpCustomer, acquirer: Control
) -> None:
    order = visitor.order(http_customer.order().url)
    card = order.opens_payment()
    order.is_called("Finish paying in the other tab")
    order.button("Cancel payment").click()
    order.is_called("You cancelled the payment")
    order.cancel()
    order.is_called("Your order is cancelled")
    card.page.reload()
    card.is_called("Payment cancelled")
    assert acquirer.payment(card.payment)["state"] == "voided"


def test_time_runs_out_on_an_open_page_and_the_cart_comes_back(
    visitor: Visitor, http_customer: HttpCustomer, acquirer: Control
) -> None:
    shop = visitor.shop()
    order = shop.buy(PLENTY)
    acquirer.turn("PT31M")
    order.is_called("Your order has expired")
    order.button("Order again").click()
    shop.is_called("Your cart")
    expect(shop.link("Six Cedar Pencils")).to_be_visible()


@pytest.mark.full
def test_the_page_confirms_before_it_cancels_an_order(visitor: Visitor, http_customer: HttpCustomer) -> None:
    order = visitor.order(http_customer.order().url)
    order.button("Cancel order").click()
    expect(order.heading).to_have_text("Cancel this order?")
    is_sound(order.page)
    order.link("Keep the order").click()
    order.is_called("Pay to complete your order")


@pytest.mark.full
def test_the_cart_link_waits_for_a_product_that_is_being_added(visitor: Visitor) -> None:
    shop = visitor.shop().visit(f"/products/{PLENTY}")
    held: list[Route] = []
    shop.page.route("**/cart/lines", lambda route: held.append(route))
    shop.add_to_cart()
    expect(shop.button("Add to cart")).to_have_attribute("aria-busy", "true")
    until(lambda: shop.page.title() and held, what="the request")
    shop.page.get_by_role("navigation", name="Main").get_by_role("link", name="Cart").click(no_wait_after=True)
    held[0].continue_()
    shop.is_called("Your cart")
    expect(shop.link("Six Cedar Pencils")).to_be_visible()


@pytest.mark.full
def test_the_order_button_shows_that_it_works_and_sends_once(visitor: Visitor) -> None:
    shop = visitor.shop().visit(f"/products/{PLENTY}")
    shop.add_to_cart()
    expect(shop.link("View cart")).to_be_visible()
    shop.visit("/checkout").fill_in()
    held: list[Route] = []
    shop.page.route("**/checkout", lambda route: held.append(route))
    button = shop.button("Place order and pay")
    assert button.evaluate("it => { it.click(); it.click(); return it.ariaBusy }") == "true"
    until(lambda: shop.page.title() and held, what="the request")
    assert len(held) == 1
    held[0].continue_()
    shop.page.unroute("**/checkout")
    order = OrderPage(shop.page)
    order.is_called("Pay to complete your order")
    order.page.go_back()
    expect(order.page.get_by_text("Continue with order").or_(button).first).to_be_visible()
    expect(order.page.locator("[aria-busy]")).to_have_count(0)


@pytest.mark.full
def test_a_click_without_a_network_keeps_the_page(visitor: Visitor) -> None:
    shop = visitor.shop().visit(f"/products/{PLENTY}")
    visitor.watch.expect_outage()
    visitor.context.set_offline(True)
    message = shop.page.get_by_role("alert").filter(has_text="We could not reach the shop")
    shop.page.get_by_role("navigation", name="Main").get_by_role("link", name="Cart").click()
    expect(message).to_be_visible()
    shop.is_called("Six Cedar Pencils")
    shop.add_to_cart()
    expect(message).to_be_visible()
    shop.is_called("Six Cedar Pencils")
    visitor.context.set_offline(False)
    expect(message).to_be_hidden()
    shop.add_to_cart()
    expect(shop.link("View cart")).to_be_visible()


@pytest.mark.full
def test_a_first_visitor_who_opens_two_products_at_once_can_buy_both(visitor: Visitor) -> None:
    shop = visitor.shop().visit()
    tabs = [visitor.shop(), visitor.shop()]
    requested: list[Route] = []
    visitor.context.route("**/products/*", lambda route: requested.append(route))
    for tab, slug in zip(tabs, ("olive-soap", PLENTY), strict=True):
        tab.page.evaluate(f"setTimeout(() => location.assign('{visitor.demo.shop}/products/{slug}'))")
    until(lambda: shop.page.title() and len(requested) == 2, what="both tabs to ask for their page")
    for request in requested:  # neither sends the cookie from the other's response
        request.continue_()
    for tab in tabs:
        tab.add_to_cart()
        expect(tab.link("View cart")).to_be_visible()
    shop.visit("/cart")
    expect(shop.link("Six Cedar Pencils")).to_be_visible()
    expect(shop.link("Olive Soap")).to_be_visible()
