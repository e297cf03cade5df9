"""Page objects that find elements by their accessible names, without selectors of our own."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from e2e.customers import ADDRESS, new_email

GOOD_CARD = "4242 4242 4242 4242"
DECLINED_CARD = "4000 0000 0000 9995"
NO_WEBHOOK_CARD = "4000 0091 0000 0051"
CHALLENGE_CARD = "4000 0000 0000 3220"


class Screen:
    """Parts that all pages share."""

    def __init__(self, page: Page) -> None:
        self.page = page

    @property
    def heading(self) -> Locator:
        """The main heading of the page."""
        return self.page.get_by_role("heading", level=1)

    @property
    def live(self) -> Locator:
        """The live region that is read out when the page changes."""
        return self.page.get_by_role("status").last

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name)

    def link(self, name: str) -> Locator:
        return self.page.get_by_role("link", name=name)

    def is_called(self, heading: str, within: float = 15) -> None:
        """The heading is `heading`, now or after at most `within` seconds."""
        expect(self.heading).to_have_text(heading, timeout=within * 1000)


class Shop(Screen):
    """The shop up to the checkout. `address` is its address."""

    def __init__(self, page: Page, address: str) -> None:
        super().__init__(page)
        self.address = address

    def visit(self, path: str = "/") -> Shop:
        self.page.goto(self.address + path)
        return self

    def search(self, words: str) -> None:
        self.page.get_by_role("searchbox", name="Search the shop").fill(words)

    def choose(self, product: str) -> None:
        """Open a product from a list."""
        self.page.get_by_role("link", name=product, exact=True).first.click()

    def add_to_cart(self, quantity: int = 1) -> None:
        self.page.get_by_label("Quantity", exact=True).fill(str(quantity))
        self.button("Add to cart").click()

    def go_to_cart(self) -> None:
        self.page.get_by_role("navigation", name="Main").get_by_role("link", name="Cart").click()
        self.is_called("Your cart")

    def check_out(self) -> None:
        self.link("Checkout").click()
        self.is_called("Checkout")

    def fill_in(self, **changed: str) -> None:
        """Contact and delivery address."""
        values = {**ADDRESS, "email": new_email(), **changed}
        for label, name in (
            ("E-mail", "email"),
            ("Full name", "name"),
            ("Street and number", "line1"),
            ("City", "city"),
        ):
            self.page.get_by_label(label).fill(values[name])

    def place_order(self) -> OrderPage:
        self.button("Place order and pay").click()
        self.page.wait_for_url(re.compile("/orders/[^/]+$"))
        return OrderPage(self.page)

    def register(self, email: str) -> None:
        """Create an account for Ada and sign in."""
        self.visit("/register").page.get_by_label("Name").fill("Ada")
        self.page.get_by_label("E-mail").fill(email)
        self.page.get_by_label("Password").fill("a long enough sentence")
        self.button("Create account").click()
        self.is_called("Hello, Ada")

    def buy(self, slug: str) -> OrderPage:
        """From a product page to the order page."""
        self.visit(f"/products/{slug}").add_to_cart()
        self.link("View cart").or_(self.page.get_by_role("heading", name="Your cart")).first.wait_for()
        self.visit("/checkout").fill_in()
        return self.place_order()


class OrderPage(Screen):
    """An order's page in its tab."""

    def is_called(self, heading: str, within: float = 15) -> None:
        """The title is it too, as seen in a background tab."""
        super().is_called(heading, within)
        expect(self.page).to_have_title(f"{heading} · {self.number} · Settled")

    @property
    def number(self) -> str:
        """The order number that a customer would quote."""
        return re.search(r"[A-Z0-9]{4}-[A-Z0-9]{4}-[A-Z0-9]{2}", self.page.title())[0]  # type: ignore[index]

    @property
    def pay_button(self) -> Locator:
        """All buttons that lead to a payment page."""
        return self.page.get_by_role("button", name=re.compile("opens in a new tab|Pay in this tab"))

    def opens_payment(self, press: Callable[[], None] | None = None) -> CardPage:
        """Press the button that opens the payment page in a new tab (or call `press`); returns that page."""
        with self.page.context.expect_page() as opened:
            (press or self.page.get_by_role("button", name=re.compile("opens in a new tab")).first.click)()
        opened.value.wait_for_load_state()
        return CardPage(opened.value)

    def cancel(self) -> None:
        """Cancel the order, and confirm it on the page that asks."""
        self.button("Cancel order").click()
        super().is_called("Cancel this order?")
        self.button("Cancel order").click()

    def pay_here(self) -> CardPage:
        """Pay in the same tab."""
        self.button("Pay in this tab").click()
        self.page.wait_for_url(re.compile("/pay/pay_"))
        return CardPage(self.page)


class CardPage(Screen):
    """The acquirer's pages of one payment."""

    @property
    def payment(self) -> str:
        """The acquirer's id of the payment."""
        return re.search(r"/pay/(pay_[0-9a-f]+)", self.page.url)[1]  # type: ignore[index]

    @property
    def return_link(self) -> Locator:
        return self.link("Return to shop")

    def fill_in(self, card: str = GOOD_CARD) -> None:
        self.page.get_by_label("Card number").fill(card)
        self.page.get_by_label("Expiry date").fill("12/34")
        self.page.get_by_label("Security code").fill("123")
        self.page.get_by_label("Name on card").fill("Ada Byron")

    def pay(self, card: str = GOOD_CARD) -> None:
        self.fill_in(card)
        self.page.get_by_role("button", name="Pay", exact=True).click()

    def cancel(self) -> None:
        self.button("Cancel and return").click()

    def open_fate(self) -> None:
        """Open the simulation panel under the form."""
        if not self.page.get_by_role("button", name="Arm", exact=True).is_visible():
            self.page.get_by_text("Simulate a problem").click()

    def arm(self, preset: str) -> None:
        """Choose a preset in the simulation panel."""
        self.open_fate()
        self.page.get_by_role("button", name=preset, exact=True).click()
        expect(self.page.get_by_text("Armed:")).to_be_visible()
