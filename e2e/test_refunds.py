"""Store credit, refunds and wrong amounts, as shown on an order page that stays open."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from e2e.conftest import Visitor
from e2e.console_checks import is_sound
from e2e.control import Control
from e2e.demo import Demo
from e2e.mailbox import confirm
from e2e.pages import OrderPage, Shop
from tests.parts.waiting import until

SAM, KIM = "sam@example.com", "kim@example.com"


def staff(demo: Demo, *command: str) -> str:
    """Run a staff command in a shell; its output."""
    for email in (SAM, KIM):  # one run is enough
        demo.flask("users", "create", email, "--role", "finance", "--password", "a kettle for the office")
    done = demo.flask("money", *command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rich(visitor: Visitor, email: str, amount: str) -> Shop:
    """Give Ada an account with store credit."""
    shop = visitor.shop()
    shop.register(email)
    confirm(visitor, email)
    requested = staff(visitor.demo, "give-credit", email, amount, "TWD", "--by", SAM)
    staff(visitor.demo, "approve-credit", requested.partition(":")[0], "--by", KIM)
    return shop


def paid(order: OrderPage) -> OrderPage:
    order.opens_payment().pay()
    order.is_called("Payment received")
    return order


@pytest.mark.full
def test_a_customer_pays_a_part_with_store_credit_and_all_of_it_is_refunded_to_the_account(
    visitor: Visitor, demo: Demo
) -> None:
    shop = rich(visitor, "credit@example.com", "500")
    shop.visit("/products/oak-bread-board").add_to_cart()
    shop.link("View cart").or_(shop.page.get_by_role("heading", name="Your cart")).first.wait_for()
    shop.visit("/checkout").fill_in(email="credit@example.com")
    summary = shop.page.get_by_role("complementary", name="Your order")
    expect(summary.get_by_role("row", name="To pay")).to_contain_text("NT$980")
    shop.page.get_by_label("Use NT$500 of my store credit").check()
    expect(summary.get_by_role("row", name="To pay")).to_contain_text("NT$480")
    is_sound(shop.page)
    order = shop.place_order()
    expect(order.button("Pay NT$480 (opens in a new tab)")).to_be_visible()
    paid(order)
    expect(order.page.get_by_text("Store credit: NT$500")).to_be_visible()
    staff(demo, "refund", order.number, "80", "--by", SAM)
    order.is_called("Partially refunded")
    expect(order.page.get_by_text("NT$80 refunded to your original payment method")).to_be_visible()
    is_sound(order.page)
    staff(demo, "cancel", order.number, "--to", "store_credit", "--by", SAM)
    order.is_called("Refunded")
    is_sound(order.page)
    shop = visitor.shop().visit("/account")
    expect(shop.page.get_by_role("region", name="Your store credit")).to_contain_text("NT$900")
    is_sound(shop.page)


@pytest.mark.full
def test_store_credit_that_covers_everything_needs_no_payment_page(visitor: Visitor, demo: Demo) -> None:
    shop = rich(visitor, "plenty@example.com", "5000")
    shop.visit("/products/oak-bread-board").add_to_cart()
    shop.link("View cart").or_(shop.page.get_by_role("heading", name="Your cart")).first.wait_for()
    shop.visit("/checkout").fill_in(email="plenty@example.com")
    shop.page.get_by_label("Use NT$980 of my store credit").check()
    expect(shop.page.get_by_role("radio", name="KPay")).to_be_hidden()
    order = shop.place_order()
    order.is_called("Payment received")
    expect(order.page.get_by_text("Store credit").first).to_be_visible()
    is_sound(order.page)


@pytest.mark.full
def test_a_refund_that_takes_days_is_shown_as_pending_until_it_is_done(
    visitor: Visitor, demo: Demo, acquirer: Control
) -> None:
    order = visitor.shop().buy("oak-bread-board")
    card = order.opens_payment()
    payment = card.payment
    card.pay("4000 0000 0000 7726")
    order.is_called("Payment received")
    staff(demo, "refund", order.number, "--by", SAM)
    order.is_called("Your refund is on its way")
    is_sound(order.page)
    until(lambda: acquirer.payment(payment)["refunds"], what="the refund to reach the acquirer")
    acquirer.turn("P3D")
    order.is_called("Refunded")


@pytest.mark.full
def test_a_mismatch_is_reviewed_and_accepted_and_the_page_follows(
    visitor: Visitor, demo: Demo, acquirer: Control
) -> None:
    order = visitor.shop().buy("oak-bread-board")
    card = order.opens_payment()
    acquirer.faults_of(card.payment, pay={"amount_delta": -100})
    card.pay()
    order.is_called("We are checking your payment")
    expect(order.pay_button).to_have_count(0)
    staff(demo, "accept", order.number, "--by", SAM, "--note", "one dollar")
    order.is_called("Payment received")
    expect(order.page.get_by_text("NT$979")).to_be_visible()


@pytest.mark.full
def test_a_mismatch_is_refunded_and_the_customer_pays_again(visitor: Visitor, demo: Demo, acquirer: Control) -> None:
    order = visitor.shop().buy("oak-bread-board")
    card = order.opens_payment()
    acquirer.faults_of(card.payment, pay={"amount_delta": 100})
    card.pay()
    order.is_called("We are checking your payment")
    staff(demo, "refund", order.number, "981", "--by", SAM, "--reason", "not the price")
    order.is_called("Pay to complete your order")
    expect(order.page.get_by_text("NT$981 refunded to your original payment method")).to_be_visible()
    is_sound(order.page)
    paid(order)
