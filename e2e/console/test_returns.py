"""A return from the order page to the refund, by its customer, a merchandiser and two people of finance."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from e2e.conftest import Visitor
from e2e.console.desk import FINANCE, FINANCE2, Desk
from e2e.console_checks import is_sound
from e2e.demo import Demo
from e2e.pages import OrderPage
from tests.parts.waiting import until

MERCHANDISER = "merchandiser@settled.example"
People = Callable[..., Visitor]


def paid(visitor: Visitor) -> OrderPage:
    """The page of a paid order above the amount that one person refunds alone."""
    shop = visitor.shop()
    shop.visit("/products/oak-bread-board").add_to_cart(11)
    shop.link("View cart").or_(shop.page.get_by_role("heading", name="Your cart")).first.wait_for()
    shop.visit("/checkout").fill_in()
    order = shop.place_order()
    order.opens_payment().pay()
    order.is_called("Payment received")
    return order


@pytest.mark.full
def test_a_customer_returns_items_which_staff_accept_receive_and_refund(
    demo: Demo, visitor: Visitor, new_visitor: People
) -> None:
    order = paid(visitor)
    order.link("Return items").click()
    order.page.get_by_label(re.compile("Oak Bread Board")).fill("11")
    order.page.get_by_label("Reason").select_option("It arrived damaged")
    order.page.get_by_label("What should we know?").fill("Two of them have a crack")
    is_sound(order.page)
    order.button("Request return").click()
    returned = order.page.get_by_role("article").filter(has_text=order.number)
    expect(returned).to_contain_text("Requested. We check it and e-mail you.")
    is_sound(order.page)
    reference = f"{order.number}-R1"
    merchandiser = Desk(new_visitor(), MERCHANDISER)
    merchandiser.menu("Returns").get_by_role("link", name=reference).click()
    merchandiser.page.get_by_role("button", name="Accept").click()
    merchandiser.reads("The return is accepted.")
    expect(returned).to_contain_text("Please send the items back")
    merchandiser.page.get_by_label("Restock", exact=True).fill("9")
    merchandiser.page.get_by_label("Do not restock").fill("2")
    merchandiser.page.get_by_label(re.compile("^Reason, needed")).fill("two are cracked")
    merchandiser.page.get_by_role("button", name="Receive").click()
    merchandiser.reads("The return is received.")
    expect(returned).to_contain_text("We are preparing your refund")
    finance = Desk(new_visitor(), FINANCE)
    finance.shows("", reference).get_by_role("link").first.click()
    finance.page.get_by_label("Reason").fill("all came back")
    is_sound(finance.page)
    finance.page.get_by_role("button", name="Request refund").click()
    finance.reads(re.compile("waits for a second person"))
    second = Desk(new_visitor(), FINANCE2)
    second.menu("Approvals")
    request = second.page.get_by_role("article").filter(has_text=order.number)
    expect(request).to_contain_text(f"Return {reference}: all came back")
    request.get_by_role("button", name=re.compile("^Approve")).click()
    expect(request).to_have_count(0)
    until(lambda: "Refunded" in order.heading.inner_text(), within=30, what="the order to be refunded")
    expect(returned).to_contain_text("Received. Refund: NT$10,780")
    is_sound(order.page)
