"""Ways back from the payment page: nothing is paid twice, and no result is assumed too early."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from e2e.conftest import Visitor
from e2e.control import Control
from e2e.customers import PLENTY, HttpCustomer
from e2e.mailbox import link_in_mail
from e2e.pages import DECLINED_CARD, CardPage, OrderPage


@pytest.mark.full
def test_the_return_page_never_decides_and_refuses_a_second_attempt(
    visitor: Visitor, http_customer: HttpCustomer, acquirer: Control
) -> None:
    placed = http_customer.order()
    order = visitor.order(placed.url)
    card = order.pay_here()
    card.arm("Lost webhook")
    payment = card.payment
    acquirer.faults(api=[{"op": "query", "do": "500"}])
    card.pay()
    order.is_called("We are confirming your payment")
    expect(order.page.get_by_text("You do not need to pay again")).to_be_visible()
    expect(order.pay_button).to_have_count(0)
    assert http_customer.go_and_pay(placed) == payment  # a second press shows the same payment, not a second one
    acquirer.turn("PT61S")
    order.page.reload()  # the stream would show it too, with its next heartbeat
    order.is_called("Still waiting for confirmation")
    expect(order.pay_button).to_have_count(0)
    acquirer.faults()
    acquirer.turn("PT30S")
    order.is_called("Payment received")
    assert len(acquirer.payment(payment)["captures"]) == 1


@pytest.mark.full
def test_a_return_reaches_the_page_that_stayed_open(
    visitor: Visitor, http_customer: HttpCustomer, acquirer: Control
) -> None:
    order = visitor.order(http_customer.order().url)
    card = order.opens_payment()
    card.arm("Lost webhook")
    order.is_called("Finish paying in the other tab")
    acquirer.faults(api=[{"op": "query", "do": "500"}])
    card.pay()
    OrderPage(card.page).is_called("We are confirming your payment")
    order.is_called("We are confirming your payment", within=5)
    expect(order.pay_button).to_have_count(0)
    acquirer.faults()
    acquirer.turn("PT30S")
    order.is_called("Payment received")


@pytest.mark.full
def test_a_double_click_a_reload_and_two_tabs_lead_to_one_payment(
    visitor: Visitor, http_customer: HttpCustomer, acquirer: Control
) -> None:
    order = visitor.order(http_customer.order().url)
    opened: list[CardPage] = []
    visitor.context.on("page", lambda page: opened.append(CardPage(page)))
    button = order.page.get_by_role("button", name=re.compile("^Pay .*opens in a new tab"))
    button.dblclick()
    order.is_called("Finish paying in the other tab")
    order.page.reload()
    order.opens_payment()
    second = visitor.order(order.page.url)
    second.opens_payment()
    cards = [card for card in opened if card.page not in (order.page, second.page)]
    for card in cards:
        card.page.wait_for_url(re.compile("/pay/pay_"))
    assert len(cards) >= 3
    assert len({card.payment for card in cards}) == 1
    found = acquirer.payment(cards[0].payment)
    assert [found["reference"]] == [payment["reference"] for payment in acquirer.with_reference(found["reference"])]
    cards[0].pay()
    order.is_called("Payment received")
    second.is_called("Payment received")
    cards[-1].page.reload()
    cards[-1].is_called("Payment accepted")


@pytest.mark.full
def test_a_double_click_on_the_order_button_places_one_order(visitor: Visitor) -> None:
    shop = visitor.shop().visit(f"/products/{PLENTY}")
    shop.add_to_cart()
    expect(shop.link("View cart")).to_be_visible()
    shop.visit("/checkout").fill_in(email="twice@example.com")
    shop.button("Place order and pay").dblclick()
    OrderPage(shop.page).is_called("Pay to complete your order")
    shop.visit("/orders").page.get_by_label("E-mail").fill("twice@example.com")
    shop.button("E-mail me a link").click()
    shop.page.goto(link_in_mail(visitor, "Your orders at Settled", "twice@example.com"))
    expect(shop.page.get_by_role("table").get_by_role("row")).to_have_count(2)  # the table's head, and one order


def test_the_customer_closes_every_tab_after_approving_and_the_order_is_paid(
    visitor: Visitor, http_customer: HttpCustomer, acquirer: Control
) -> None:
    placed = http_customer.order()
    order = visitor.order(placed.url)
    card = order.opens_payment()
    payment = card.payment
    card.fill_in()
    with visitor.context.expect_event("request", lambda request: request.url.endswith("/card")):
        card.page.get_by_role("button", name="Pay", exact=True).click(no_wait_after=True)
    for page in visitor.context.pages:
        page.close()
    acquirer.expect(payment, "payment.captured")
    visitor.order(placed.url).is_called("Payment received")


@pytest.mark.full
def test_the_back_button_from_the_payment_page_finds_the_open_payment(visitor: Visitor) -> None:
    order = visitor.shop().buy(PLENTY)
    first = order.pay_here().payment
    order.page.go_back()
    order.is_called("Finish paying in the other tab")
    expect(order.button("Cancel payment")).to_be_visible()
    resumed = order.opens_payment()
    assert resumed.payment == first
    resumed.page.close()
    order.button("Cancel payment").click()
    order.is_called("You cancelled the payment")
    order.cancel()
    order.is_called("Your order is cancelled")
    order.button("Order again").click()
    order.page.wait_for_url("**/cart")
    expect(order.link("Six Cedar Pencils")).to_be_visible()


@pytest.mark.full
def test_the_back_button_after_a_decline_finds_a_way_to_try_again(visitor: Visitor) -> None:
    order = visitor.shop().buy(PLENTY)
    card = order.pay_here()
    card.pay(DECLINED_CARD)
    expect(card.page.get_by_role("alert")).to_contain_text("Not paid")
    card.page.go_back()
    card.page.go_back()
    order.is_called("Your card was declined")
    expect(order.button("Cancel order")).to_be_visible()
    order.pay_here().pay()
    order.is_called("Payment received")


@pytest.mark.full
def test_another_payment_is_initiated_only_after_the_first_was_closed_there(
    visitor: Visitor, http_customer: HttpCustomer, acquirer: Control
) -> None:
    order = visitor.order(http_customer.order().url)
    first = order.opens_payment()
    order.is_called("Finish paying in the other tab")
    order.button("Cancel payment").click()
    order.is_called("You cancelled the payment")
    assert acquirer.payment(first.payment)["state"] == "voided"
    second = order.opens_payment()
    assert second.payment != first.payment
    first.page.reload()
    first.is_called("Payment cancelled")
    second.pay()
    order.is_called("Payment received")


@pytest.mark.full
def test_another_method_is_initiated_only_after_the_declined_one_was_closed_there(
    visitor: Visitor, http_customer: HttpCustomer, acquirer: Control
) -> None:
    order = visitor.order(http_customer.order().url)
    first = order.opens_payment()
    first.pay(DECLINED_CARD)
    order.is_called("Your card was declined")
    order.page.get_by_text("Pay another way").click()
    second = order.opens_payment(order.button("Pay by credit card Stripe").click)
    assert second.payment != first.payment
    assert acquirer.payment(first.payment)["state"] == "voided"
    second.pay()
    order.is_called("Payment received")


@pytest.mark.full
def test_another_method_initiates_nothing_when_the_first_was_paid_meanwhile(
    visitor: Visitor, http_customer: HttpCustomer, acquirer: Control
) -> None:
    order = visitor.order(http_customer.order().url)
    first = order.opens_payment()
    first.arm("Lost webhook")
    first.pay(DECLINED_CARD)
    expect(first.page.get_by_role("alert")).to_contain_text("Not paid")
    acquirer.turn("PT30S")  # the poll reports the decline
    order.is_called("Your card was declined")
    acquirer.approve(first.payment)
    order.page.get_by_text("Pay another way").click()
    order.button("Pay by credit card Stripe").click()
    order.is_called("Payment received")
    assert len(acquirer.payment(first.payment)["captures"]) == 1
