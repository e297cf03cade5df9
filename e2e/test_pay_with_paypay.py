"""Payment with PayPay: a code on the order page, a phone that scans it, webhooks that only make the shop poll."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from e2e.conftest import Visitor
from e2e.control import Control
from e2e.customers import PLENTY, HttpCustomer, Placed
from e2e.pages import CardPage, OrderPage
from tests.parts.waiting import until


def in_yen(http_customer: HttpCustomer) -> Placed:
    """An order that waits for its code to be scanned."""
    http_customer.add()
    assert http_customer.post("/cart/currency", currency="JPY").status_code == 303
    return http_customer.place(method="paypay")


def scan(order: OrderPage) -> CardPage:
    """The page on the phone after scanning the code on the order page."""
    with order.page.context.expect_page() as opened:
        order.page.get_by_role("link", name=re.compile("Open PayPay")).click()
    code: Page = opened.value
    expect(code.get_by_role("heading", level=1)).to_have_text("Scan to pay")
    expect(code.get_by_role("img", name=re.compile("QR code"))).to_be_visible()
    code.get_by_role("button", name="Simulate scan").click()
    expect(code.get_by_role("heading", level=1)).to_have_text("Pay from your wallet")
    return CardPage(code)


def pay(wallet: CardPage) -> None:
    wallet.page.get_by_role("button", name="Pay", exact=True).click()


@pytest.mark.full
def test_a_code_on_the_order_page_is_scanned_and_the_page_turns_to_paid(visitor: Visitor) -> None:
    shop = visitor.shop().visit(f"/products/{PLENTY}")
    shop.add_to_cart()
    expect(shop.live).to_have_text(re.compile("in your cart"))
    shop.go_to_cart()
    shop.page.get_by_label("Currency", exact=True).select_option("JPY")
    shop.button("Change currency").click()
    expect(shop.page.get_by_text("¥").first).to_be_visible()
    shop.check_out()
    shop.page.get_by_label("Prefecture").select_option("Tokyo")
    shop.page.get_by_label("Postcode").fill("100-0001")
    shop.fill_in(city="Chiyoda")
    shop.page.get_by_text("PayPay", exact=True).click()  # the label covers its radio button
    expect(shop.page.get_by_role("radio", name="PayPay")).to_be_checked()
    order = shop.place_order()
    order.is_called("Pay to complete your order")
    picture = order.page.get_by_role("img", name=re.compile("QR code that opens PayPay"))
    expect(picture).to_be_visible()
    until(lambda: picture.evaluate("image => image.complete && image.naturalWidth > 100"), what="the code to be drawn")
    wallet = scan(order)
    pay(wallet)
    order.is_called("Payment received")
    expect(order.page.get_by_text("PayPay")).to_be_visible()
    OrderPage(wallet.page).is_called("Payment received")


@pytest.mark.full
def test_a_capture_is_found_without_any_webhook(
    visitor: Visitor, http_customer: HttpCustomer, acquirer: Control
) -> None:
    order = visitor.order(in_yen(http_customer).url)
    acquirer.faults(hook={"drop": 1000})
    wallet = scan(order)
    pay(wallet)
    order.is_called("Payment received", within=20)


@pytest.mark.full
def test_cancelling_in_the_wallet_keeps_the_order_and_a_new_code_pays(
    visitor: Visitor, http_customer: HttpCustomer
) -> None:
    order = visitor.order(in_yen(http_customer).url)
    scan(order).cancel()
    order.is_called("You cancelled the payment")
    order.button("Pay again").click()
    order.is_called("Pay to complete your order")
    pay(scan(order))
    order.is_called("Payment received")


@pytest.mark.full
def test_an_expired_code_is_replaced(visitor: Visitor, http_customer: HttpCustomer, acquirer: Control) -> None:
    order = visitor.order(in_yen(http_customer).url)
    order.is_called("Pay to complete your order")
    acquirer.turn("PT5M10S")
    order.is_called("The payment page has timed out", within=20)
    order.button("Pay again").click()
    pay(scan(order))
    order.is_called("Payment received")


@pytest.mark.full
def test_a_code_whose_answer_was_lost_is_closed_and_another_one_is_offered(
    visitor: Visitor, http_customer: HttpCustomer, acquirer: Control
) -> None:
    acquirer.faults(api=[{"op": "start", "do": "timeout_after_commit", "times": 1}])
    order = visitor.order(in_yen(http_customer).url)
    order.is_called("Pay to complete your order", within=40)
    order.button("Pay in this tab").click()
    pay(scan(order))
    order.is_called("Payment received")


@pytest.mark.full
def test_without_javascript_the_code_is_there_too(
    new_visitor: Callable[..., Visitor], http_customer: HttpCustomer
) -> None:
    plain = new_visitor(java_script_enabled=False)
    page = plain.tab()
    page.goto(in_yen(http_customer).url)
    expect(page.get_by_role("img", name=re.compile("QR code that opens PayPay"))).to_be_visible()
