"""Every page of the acquirer: accessible and without console errors, in light and dark, wide and narrow."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from playwright.sync_api import expect

from e2e.conftest import Visitor
from e2e.console_checks import is_sound
from e2e.control import Control
from e2e.customers import HttpCustomer
from e2e.demo import Demo
from e2e.pages import CHALLENGE_CARD, DECLINED_CARD, CardPage


@dataclass(frozen=True)
class Customer:
    """A customer on the payment page."""

    visitor: Visitor
    http_customer: HttpCustomer
    acquirer: Control

    def go(self, path: str) -> CardPage:
        card = CardPage(self.visitor.tab())
        card.page.goto(self.visitor.demo.acquirer + path)
        return card

    def form(self) -> CardPage:
        """The card form of a new payment."""
        return self.go(f"/pay/{self.http_customer.go_and_pay(self.http_customer.order())}")

    def after(self, act: Callable[[str], object]) -> CardPage:
        """The page of a payment after an action."""
        payment = self.http_customer.go_and_pay(self.http_customer.order())
        act(payment)
        return self.go(f"/pay/{payment}")


def wrong(customer: Customer) -> CardPage:
    customer.visitor.watch.expect_status(422)
    card = customer.form()
    card.pay("1234 5678 9012 3456")
    expect(card.page.get_by_role("alert")).to_contain_text("Please check")
    return card


def declined(customer: Customer) -> CardPage:
    card = customer.form()
    card.pay(DECLINED_CARD)
    expect(card.page.get_by_role("alert")).to_contain_text("Not paid")
    return card


def challenge(customer: Customer) -> CardPage:
    card = customer.form()
    card.pay(CHALLENGE_CARD)
    expect(card.button("Approve")).to_be_visible()
    return card


def card_list(customer: Customer) -> CardPage:
    card = customer.form()
    card.page.get_by_text("Test cards", exact=True).click()
    expect(card.button("4242 4242 4242 4242")).to_be_visible()
    return card


def fate(customer: Customer) -> CardPage:
    card = customer.form()
    card.arm("Lost webhook")
    return card


def linked_fate(customer: Customer) -> CardPage:
    card = customer.form()
    card.page.goto(f"{card.page.url}?fate=late_30s")
    expect(card.page.get_by_text("This link simulates a problem")).to_be_visible()
    return card


def story(customer: Customer) -> CardPage:
    payment = customer.http_customer.go_and_pay(customer.http_customer.order())
    customer.acquirer.faults_of(payment, hook={"duplicate": 2})
    customer.acquirer.approve(payment)
    customer.acquirer.expect(payment, "payment.captured")
    return customer.go(f"/payments/{payment}")


def delivery(customer: Customer) -> CardPage:
    page = story(customer)
    page.page.get_by_role("link", name=re.compile("^dlv_")).first.click()
    page.page.get_by_text("Request", exact=True).first.click()
    page.page.get_by_text("Response", exact=True).first.click()
    return page


def late(customer: Customer) -> CardPage:
    def act(payment: str) -> None:
        customer.acquirer.faults_of(payment, pay={"late_after_expiry": "PT10M"})
        customer.acquirer.approve(payment)

    return customer.after(act)


def timed_out(customer: Customer) -> CardPage:
    return customer.after(lambda payment: customer.acquirer.turn("PT31M"))


def missing(customer: Customer) -> CardPage:
    customer.visitor.watch.expect_status(404)
    return customer.go("/pay/nothing")


PAGES: dict[str, tuple[Callable[[Customer], CardPage], str]] = {
    "landing": (lambda customer: customer.go("/"), "A payment provider for tests"),
    "card form": (Customer.form, "Pay by card"),
    "card form, not right yet": (wrong, "Pay by card"),
    "card form after a decline": (declined, "Pay by card"),
    "test cards": (card_list, "Pay by card"),
    "challenge": (challenge, "Confirm your identity"),
    "accepted": (lambda customer: customer.after(customer.acquirer.approve), "Payment accepted"),
    "cancelled": (lambda customer: customer.after(lambda p: customer.acquirer.act(p, "cancel")), "Payment cancelled"),
    "failed": (lambda customer: customer.after(lambda p: customer.acquirer.act(p, "fail")), "Payment failed"),
    "timed out": (timed_out, "This payment page has timed out"),
    "still working": (late, "Your bank is still processing the payment"),
    "fate panel": (fate, "Pay by card"),
    "a fate in the link": (linked_fate, "Pay by card"),
    "payments": (lambda customer: customer.go("/payments"), "Payments"),
    "a payment": (story, ""),
    "deliveries": (lambda customer: customer.go("/deliveries"), "Delivery log"),
    "a delivery": (delivery, "payment.captured"),
    "no such payment": (missing, "There is a problem"),
}
"""Every page by its contents: the steps to it, and the beginning of its main heading."""


@pytest.mark.sample(2)
@pytest.mark.parametrize("page", PAGES)
def test_every_page_of_the_acquirer_is_sound(
    visitor: Visitor, demo: Demo, http_customer: HttpCustomer, acquirer: Control, page: str
) -> None:
    way, heading = PAGES[page]
    card = way(Customer(visitor, http_customer, acquirer))
    expect(card.heading).to_have_text(re.compile(f"^{re.escape(heading)}"))
    card.page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    is_sound(card.page)
