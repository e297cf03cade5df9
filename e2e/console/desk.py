"""A member of staff at the console, and orders in the states that the stories begin with."""

from __future__ import annotations

import re
from dataclasses import dataclass

from playwright.sync_api import Locator, Page, expect

from e2e.conftest import Visitor
from e2e.console_checks import is_sound
from e2e.control import Control
from e2e.customers import HttpCustomer, Placed
from e2e.demo import Demo
from shop.accounts.demo_people import PASSWORD
from tests.parts.waiting import until

SUPPORT, FINANCE, FINANCE2 = "support@settled.example", "finance@settled.example", "finance2@settled.example"


class Desk:
    """The console in a tab of one person, who has signed in."""

    def __init__(self, visitor: Visitor, email: str, password: str = PASSWORD) -> None:
        self.visitor, self.page = visitor, visitor.tab()
        self.page.goto(f"{visitor.demo.shop}/sign-in")
        self.page.get_by_label("E-mail").fill(email)
        self.page.get_by_label("Password").fill(password)
        self.page.locator("main").get_by_role("button", name="Sign in").click()
        self.page.wait_for_url("**/ops")

    def open(self, path: str) -> Page:
        """Open a page of the console, and check that it is accessible and fits small screens."""
        self.page.goto(f"{self.visitor.demo.shop}/ops{path}")
        is_sound(self.page)
        return self.page

    def find(self, words: str) -> Page:
        """Search by keyboard alone; the single hit opens."""
        self.page.keyboard.press("/")
        self.page.keyboard.type(words)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(re.compile("/ops/orders/"))
        return self.page

    def menu(self, name: str) -> Page:
        """Open a page by its link in the menu."""
        self.page.get_by_role("navigation", name="Console").get_by_role("link", name=name, exact=True).press("Enter")
        is_sound(self.page)
        return self.page

    def refused(self, status: int) -> None:
        """Expect an answer with this status, which the browser logs."""
        self.visitor.watch.expect_status(status)

    def reads(self, text: str | re.Pattern[str]) -> None:
        """The text is on the page, which is accessible."""
        expect(self.page.get_by_text(text).first).to_be_visible()
        is_sound(self.page)

    def row(self, text: str) -> Locator:
        """The rows with this text."""
        return self.page.get_by_role("row").filter(has_text=text)

    def shows(self, path: str, text: str) -> Locator:
        """The first row with this text on a page, reloaded until it is there."""
        self.page.goto(f"{self.visitor.demo.shop}/ops{path}")

        def is_there() -> bool:
            self.page.reload()
            return self.row(text).count() > 0

        until(is_there, within=60, what=f"{text} at {path}")
        is_sound(self.page)
        return self.row(text).first

    def lacks(self, path: str, text: str) -> None:
        """A page has no row with this text, after as many reloads as that takes."""

        def is_away() -> bool:
            self.page.goto(f"{self.visitor.demo.shop}/ops{path}")
            return self.row(text).count() == 0

        until(is_away, within=60, what=f"no {text} at {path}")
        is_sound(self.page)


@dataclass(frozen=True)
class Sale:
    """An order, and the acquirer's id of its payment."""

    order: Placed
    payment: str

    @property
    def number(self) -> str:
        return self.order.number


def sale(customer: HttpCustomer) -> Sale:
    """An order whose payment page is open."""
    order = customer.order()
    return Sale(order, customer.go_and_pay(order))


def paid(demo: Demo, customer: HttpCustomer, acquirer: Control) -> Sale:
    """A paid order."""
    found = sale(customer)
    acquirer.approve(found.payment)
    until(lambda: "Paid because" in state(demo, found), within=20, what="the order to be paid")
    return found


def state(demo: Demo, found: Sale) -> str:
    """The explanation of the order that a command prints."""
    return demo.flask("orders", "show", found.number).stdout
