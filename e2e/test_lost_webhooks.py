"""Webhook faults chosen in the simulation panel: the order is paid once under each of them."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import expect

from e2e.conftest import Visitor
from e2e.control import Control
from e2e.customers import HttpCustomer
from e2e.pages import NO_WEBHOOK_CARD, OrderPage
from tests.parts.waiting import until


def test_polling_recovers_a_lost_webhook(visitor: Visitor, http_customer: HttpCustomer, acquirer: Control) -> None:
    order = visitor.order(http_customer.order().url)
    card = order.opens_payment()
    card.arm("Lost webhook")
    acquirer.approve(card.payment)
    acquirer.turn("PT1M")
    order.is_called("Payment received")
    assert "hook.drop" in {use["fault"] for use in acquirer.payment(card.payment)["faults_used"]}


@pytest.mark.full
def test_a_card_without_webhooks_pays_when_the_customer_returns(visitor: Visitor, http_customer: HttpCustomer) -> None:
    order = visitor.order(http_customer.order().url)
    order.pay_here().pay(NO_WEBHOOK_CARD)
    order.is_called("Payment received")


@pytest.mark.full
@pytest.mark.parametrize("fate", ["Duplicate in parallel", "Reverse order"])
def test_a_webhook_that_comes_twice_or_out_of_order_pays_once(
    visitor: Visitor, http_customer: HttpCustomer, acquirer: Control, fate: str
) -> None:
    order = visitor.order(http_customer.order().url)
    card = order.opens_payment()
    card.arm(fate)
    payment = card.payment
    card.pay()
    order.is_called("Payment received")
    until(lambda: acquirer.all_delivered(payment), what="every delivery")
    order.page.reload()
    order.is_called("Payment received")
    assert len(acquirer.payment(payment)["captures"]) == 1


@pytest.mark.full
def test_a_late_webhook_changes_nothing(visitor: Visitor, http_customer: HttpCustomer, acquirer: Control) -> None:
    order = visitor.order(http_customer.order().url)
    card = order.opens_payment()
    card.arm("Delayed by 30 s")
    payment = card.payment
    card.pay()
    order.is_called("Payment received")
    acquirer.turn("PT31S")
    until(lambda: acquirer.all_delivered(payment), what="the late delivery")
    order.page.reload()
    order.is_called("Payment received")


@pytest.mark.full
def test_forged_webhooks_change_nothing(visitor: Visitor, http_customer: HttpCustomer, acquirer: Control) -> None:
    placed = http_customer.order()
    order = visitor.order(placed.url)
    card = order.opens_payment()
    card.arm("Bad signature")
    payment = card.payment
    acquirer.approve(payment)
    until(lambda: acquirer.answers(payment), what="the shop's answer")
    assert set(acquirer.answers(payment)) == {401}
    forged = httpx.post(
        f"{visitor.demo.shop}/webhooks/kpay",
        content=b'{"id":"evt_1","type":"payment.captured","data":{"payment":{}}}',
        headers={"webhook-id": "evt_1", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"},
    )
    assert forged.status_code == 401
    acquirer.turn("PT1M")
    order.is_called("Payment received")
    assert set(acquirer.answers(payment)) == {401}, "every webhook was refused, so the shop polled"
    why = visitor.demo.flask("orders", "show", placed.number).stdout
    assert "answer" in why and "webhook" not in why, why


@pytest.mark.full
def test_a_wrong_amount_is_reviewed_and_never_pays_automatically(
    visitor: Visitor, http_customer: HttpCustomer, acquirer: Control
) -> None:
    order = visitor.order(http_customer.order().url)
    card = order.opens_payment()
    card.arm("Wrong amount")
    card.pay()
    order.is_called("We are checking your payment")
    expect(order.pay_button).to_have_count(0)
    acquirer.turn("PT40M")
    order.page.reload()
    order.is_called("We are checking your payment")


@pytest.mark.full
def test_a_second_capture_of_one_payment_is_shown(visitor: Visitor, http_customer: HttpCustomer) -> None:
    order = visitor.order(http_customer.order().url)
    card = order.opens_payment()
    card.arm("Charged twice")
    card.pay()
    order.is_called("We received two payments")


@pytest.mark.full
def test_a_capture_after_the_time_to_pay_is_shown(
    visitor: Visitor, http_customer: HttpCustomer, acquirer: Control
) -> None:
    order = visitor.order(http_customer.order().url)
    card = order.opens_payment()
    card.arm("Pays after expiry")
    card.pay()
    OrderPage(card.page).heading.wait_for()
    acquirer.turn("PT31M")
    order.is_called("Your order has expired")
    acquirer.turn("PT11M")
    order.page.reload()
    order.is_called("We received your payment late")


@pytest.mark.full
def test_the_last_unit_is_reserved_for_the_customer_who_is_paying_and_released_when_time_runs_out(
    visitor: Visitor, new_visitor: Callable[..., Visitor], acquirer: Control
) -> None:
    order = visitor.shop().buy("blue-kettle")
    card = order.opens_payment()
    card.fill_in()
    again = visitor.shop().visit("/products/blue-kettle")
    expect(again.link(f"Continue with order {order.number}")).to_be_visible()
    other = new_visitor().shop().visit("/products/blue-kettle")
    expect(other.page.get_by_text("Sold out", exact=True)).to_be_visible()
    expect(other.button("Add to cart")).to_have_count(0)
    acquirer.turn("PT31M")
    order.is_called("Your order has expired")
    other.page.reload()
    expect(other.page.get_by_text("Only 1 left", exact=True)).to_be_visible()
    expect(other.button("Add to cart")).to_be_visible()
    card.page.get_by_role("button", name="Pay", exact=True).click()
    card.page.wait_for_url(re.compile("/result$"))
    card.is_called("This payment page has timed out")
