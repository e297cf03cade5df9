"""Payment with Tpay: the browser posts the form, and a card or a convenience store pays."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from e2e.conftest import Visitor
from e2e.console_checks import is_sound
from e2e.control import Control
from e2e.customers import PLENTY, HttpCustomer
from e2e.pages import DECLINED_CARD, NO_WEBHOOK_CARD, CardPage, OrderPage

STORE = "Get a code for a convenience store"


def opens_cashier(order: OrderPage) -> CardPage:
    """Press the button; the page in between submits the form automatically."""
    card = order.opens_payment()
    card.page.wait_for_url(re.compile("/pay/pay_"))
    return card


@pytest.mark.full
def test_tpay_is_chosen_at_the_checkout_and_the_order_page_turns_to_paid(visitor: Visitor) -> None:
    shop = visitor.shop().visit(f"/products/{PLENTY}")
    shop.add_to_cart()
    shop.link("View cart").or_(shop.page.get_by_role("heading", name="Your cart")).first.wait_for()
    shop.visit("/checkout").fill_in()
    shop.page.get_by_text("Tpay", exact=True).click()
    order = shop.place_order()
    order.is_called("Pay to complete your order")
    card = opens_cashier(order)
    card.pay()
    order.is_called("Payment received", within=20)
    expect(order.page.get_by_text("Visa ending in 4242")).to_be_visible()
    OrderPage(card.page).is_called("Payment received")


@pytest.mark.full
def test_pressing_pay_again_leads_to_the_same_cashier(visitor: Visitor, http_customer: HttpCustomer) -> None:
    order = visitor.order(http_customer.order(method="tpay").url)
    assert opens_cashier(order).payment == opens_cashier(order).payment


@pytest.mark.full
def test_a_declined_card_and_then_a_good_one(visitor: Visitor, http_customer: HttpCustomer) -> None:
    order = visitor.order(http_customer.order(method="tpay").url)
    card = opens_cashier(order)
    card.pay(DECLINED_CARD)
    expect(card.page.get_by_role("alert")).to_contain_text("Insufficient funds")
    card.pay(NO_WEBHOOK_CARD)
    order.is_called("Payment received", within=40)


@pytest.mark.full
def test_simulate_paid_is_not_a_capture(visitor: Visitor, http_customer: HttpCustomer, acquirer: Control) -> None:
    order = visitor.order(http_customer.order(method="tpay").url)
    card = opens_cashier(order)
    card.open_fate()
    card.button("Send SimulatePaid=1").click()
    card.is_called("Pay by card")
    acquirer.expect(card.payment, "payment.simulated")
    acquirer.turn("PT1M")
    order.page.reload()
    order.is_called("Finish paying in the other tab")


@pytest.mark.full
def test_a_store_code_is_shown_and_paid_at_the_counter_two_days_later(
    visitor: Visitor, http_customer: HttpCustomer, acquirer: Control
) -> None:
    """Case 30 in a browser."""
    order = visitor.order(http_customer.order(method="tpay").url)
    card = opens_cashier(order)
    card.button(STORE).click()
    card.is_called("Your store code")
    payment = card.payment
    code = card.page.get_by_text(re.compile(r"^\d{14}$")).inner_text()
    expect(card.page.get_by_role("img", name=f"Barcode of the code {code}")).to_be_visible()
    card.return_link.click()
    back = OrderPage(card.page)
    back.is_called("Your store code", within=30)
    expect(back.page.get_by_text(code)).to_be_visible()
    expect(back.page.get_by_role("img", name="Barcode of this store code")).to_be_visible()
    expect(back.button("Cancel order")).to_be_visible()
    expect(back.pay_button).to_have_count(0)
    order.is_called("Your store code", within=30)
    acquirer.turn("PT48H")
    counter = visitor.tab()
    counter.goto(f"{visitor.demo.acquirer}/pay/{payment}")
    there = CardPage(counter)
    there.open_fate()
    there.button("Pay at the counter").click()
    there.is_called("Payment accepted")
    order.is_called("Payment received", within=30)
    expect(order.page.get_by_text("Convenience store")).to_be_visible()


@pytest.mark.full
def test_another_method_is_used_instead_of_a_store_code(
    visitor: Visitor, http_customer: HttpCustomer, acquirer: Control
) -> None:
    order = visitor.order(http_customer.order(method="tpay").url)
    card = opens_cashier(order)
    card.button(STORE).click()
    card.is_called("Your store code")
    code = card.payment
    card.return_link.click()
    back = OrderPage(card.page)
    back.is_called("Your store code", within=30)
    back.page.get_by_text("Use another method").click()
    expect(back.page.get_by_text("This cancels your store code")).to_be_visible()
    expect(back.button("Pay by credit card KPay")).to_be_visible()
    is_sound(back.page)
    back.button("Pay with Tpay in another way").click()
    back.is_called("You cancelled the payment", within=40)
    assert acquirer.payment(code)["state"] == "voided"
    expect(back.page.get_by_text("Items reserved until")).to_be_visible()
    left = int(back.page.locator("[data-left]").get_attribute("data-left") or 0)
    assert 60 < left <= 30 * 60, "as long as for a new order, not for days"
    card = opens_cashier(back)
    assert card.payment != code
    card.pay()
    order.is_called("Payment received", within=40)


def test_without_javascript_a_button_carries_the_form_on(
    new_visitor: Callable[..., Visitor], http_customer: HttpCustomer
) -> None:
    order = new_visitor(java_script_enabled=False).order(http_customer.order(method="tpay").url)
    order.button("Pay in this tab").click()
    order.page.get_by_role("button", name="Continue to Tpay").click()
    order.page.wait_for_url(re.compile("/pay/pay_"))
    CardPage(order.page).pay()
    expect(order.heading).to_have_text(re.compile("confirming|received"))


@pytest.mark.full
def test_the_pages_of_a_store_code_are_sound(visitor: Visitor, http_customer: HttpCustomer, acquirer: Control) -> None:
    order = visitor.order(http_customer.order(method="tpay").url)
    card = opens_cashier(order)
    is_sound(card.page)
    card.button(STORE).click()
    card.is_called("Your store code")
    order.is_called("Your store code", within=15)  # without a return; their queries are five seconds old
    is_sound(card.page)
    is_sound(order.page)


@pytest.mark.full
def test_the_payment_page_explains_a_refused_form(visitor: Visitor, http_customer: HttpCustomer) -> None:
    placed = http_customer.order(method="tpay")
    form = http_customer.post(f"/orders/{placed.token}/pay").text
    url = re.findall(r'id="post-on" method="post" action="([^"]+)"', form)[0]
    page = visitor.tab()
    page.goto(visitor.demo.acquirer)
    page.evaluate(
        "url => { const form = document.createElement('form'); form.method = 'post'; form.action = url;"
        " document.body.append(form); form.submit() }",
        url,
    )
    card = CardPage(page)
    card.is_called("This payment cannot be opened")
    is_sound(page)
