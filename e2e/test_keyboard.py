"""Keyboard operation of the whole purchase."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from e2e.conftest import Visitor
from e2e.customers import ADDRESS, PLENTY
from e2e.pages import GOOD_CARD, CardPage, OrderPage


def tab_to(page: Page, wanted: Locator, most: int = 80) -> None:
    """Press Tab until `wanted` has the focus; the focus must always be visible."""
    expect(wanted).to_be_visible()
    for _ in range(most):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"{wanted} is not reached by {most} Tabs")


def test_the_keyboard_alone_is_enough_to_buy(visitor: Visitor) -> None:
    page = visitor.shop().visit(f"/products/{PLENTY}").page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("button", name="Add to cart"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="View cart")).to_be_visible()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("link", name="View cart")).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("link", name="Checkout"))
    page.keyboard.press("Enter")
    for label, name in (("E-mail", "email"), ("Full name", "name"), ("City", "city"), ("Street and number", "line1")):
        tab_to(page, page.get_by_label(label))
        page.keyboard.type(ADDRESS[name])
    tab_to(page, page.get_by_role("radio", name="KPay"))
    tab_to(page, page.get_by_role("button", name="Place order and pay"))
    page.keyboard.press("Enter")
    order = OrderPage(page)
    order.is_called("Pay to complete your order")
    tab_to(page, page.get_by_role("button", name=re.compile("opens in a new tab")))
    card = order.opens_payment(lambda: page.keyboard.press("Enter"))
    type_card(card)
    order.is_called("Payment received")


def type_card(card: CardPage) -> None:
    """Fill in and submit the card form with the keyboard alone."""
    page = card.page
    for label, text in (
        ("Card number", GOOD_CARD),
        ("Expiry date", "1234"),
        ("Security code", "123"),
        ("Name on card", "Ada Byron"),
    ):
        tab_to(page, page.get_by_label(label))
        page.keyboard.type(text)
    page.keyboard.press("Enter")
