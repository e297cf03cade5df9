"""Payment with Stripe: its library calls the acquirer, and its webhooks reach the shop."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from e2e.conftest import Visitor
from e2e.control import Control
from e2e.customers import PLENTY, HttpCustomer
from e2e.pages import DECLINED_CARD, NO_WEBHOOK_CARD, OrderPage


@pytest.mark.full
def test_stripe_is_chosen_at_the_checkout_and_the_order_page_turns_to_paid(visitor: Visitor) -> None:
    shop = visitor.shop().visit(f"/products/{PLENTY}")
    shop.add_to_cart()
    shop.link("View cart").or_(shop.page.get_by_role("heading", name="Your cart")).first.wait_for()
    shop.visit("/checkout").fill_in()
    shop.page.get_by_text("Stripe", exact=True).click()
    expect(shop.page.get_by_role("radio", name="Stripe")).to_be_checked()
    order = shop.place_order()
    order.is_called("Pay to complete your order")
    card = order.opens_payment()
    card.pay()
    order.is_called("Payment received")
    expect(order.page.get_by_text("Visa ending in 4242")).to_be_visible()
    OrderPage(card.page).is_called("Payment received")


@pytest.mark.full
def test_a_declined_card_is_shown_at_once_and_another_one_pays(visitor: Visitor, http_customer: HttpCustomer) -> None:
    order = visitor.order(http_customer.order(method="stripe").url)
    card = order.opens_payment()
    card.pay(DECLINED_CARD)
    order.is_called("Your card was declined")
    expect(order.page.get_by_text("Insufficient funds.", exact=True)).to_be_visible()
    card.pay()
    order.is_called("Payment received")


@pytest.mark.full
def test_cancelling_on_the_payment_page_of_stripe_keeps_the_order(
    visitor: Visitor, http_customer: HttpCustomer
) -> None:
    order = visitor.order(http_customer.order(method="stripe").url)
    order.opens_payment().cancel()
    order.is_called("You cancelled the payment")
    order.opens_payment().pay()
    order.is_called("Payment received")


@pytest.mark.full
def test_cancelling_the_order_expires_the_session(
    visitor: Visitor, http_customer: HttpCustomer, acquirer: Control
) -> None:
    order = visitor.order(http_customer.order(method="stripe").url)
    card = order.opens_payment()
    order.is_called("Finish paying in the other tab")
    order.button("Cancel payment").click()
    order.is_called("You cancelled the payment")
    assert acquirer.payment(card.payment)["state"] == "voided"


@pytest.mark.full
def test_a_capture_is_found_without_any_webhook(
    visitor: Visitor, http_customer: HttpCustomer, acquirer: Control
) -> None:
    order = visitor.order(http_customer.order(method="stripe").url)
    card = order.pay_here()
    acquirer.turn("PT5S")  # people are slower; Stripe is not polled about a payment twice in two seconds
    card.pay(NO_WEBHOOK_CARD)
    order.is_called("Payment received", within=40)


@pytest.mark.full
@pytest.mark.sample(1)
@pytest.mark.parametrize("do", ["timeout_after_commit", "timeout_before_commit", "500", "429"])
def test_a_failed_initiation_ends_in_one_payment_that_pays(
    visitor: Visitor, http_customer: HttpCustomer, acquirer: Control, do: str
) -> None:
    acquirer.faults(api=[{"op": "start", "do": do, "times": 1}])
    order = visitor.order(http_customer.order(method="stripe").url)
    acquirer.turn("PT30S")  # a lost opening is given up after a while; a provider under pause is called again
    expect(order.pay_button.first).to_be_visible(timeout=30_000)
    order.opens_payment().pay()
    order.is_called("Payment received")
