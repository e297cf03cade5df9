"""Every page of the shop except the order page: accessible and without console errors, in light and dark, wide and
narrow.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from e2e.conftest import Visitor
from e2e.console_checks import is_sound
from e2e.customers import ADDRESS, PLENTY, HttpCustomer, new_email
from e2e.demo import Demo
from e2e.mailbox import link_in_mail
from e2e.pages import Shop

Way = Callable[[Visitor], Shop]


def cart_of(visitor: Visitor, slug: str = PLENTY) -> Shop:
    """The cart with one product."""
    shop = visitor.shop().visit(f"/products/{slug}")
    shop.add_to_cart()
    expect(shop.link("View cart")).to_be_visible()
    return shop.visit("/cart")


def added(visitor: Visitor) -> Shop:
    shop = visitor.shop().visit(f"/products/{PLENTY}")
    shop.add_to_cart()
    expect(shop.link("View cart")).to_be_visible()
    return shop


def refused_to_add(visitor: Visitor) -> Shop:
    visitor.watch.expect_status(422)
    shop = visitor.shop().visit(f"/products/{PLENTY}")
    shop.page.get_by_label("Quantity", exact=True).evaluate("field => field.removeAttribute('max')")
    shop.add_to_cart(5000)
    expect(shop.page.locator("main").get_by_text("Enter a whole number from 1 to 99.")).to_be_visible()
    return shop


def removed(visitor: Visitor) -> Shop:
    shop = cart_of(visitor)
    shop.button("Remove Six Cedar Pencils").click()
    expect(shop.button("Undo")).to_be_visible()
    return shop


def moved_price(visitor: Visitor) -> Shop:
    shop = cart_of(visitor, "olive-soap")
    change = (
        "UPDATE products SET prices = json_set(prices, '$.TWD', json_extract(prices, '$.TWD') + 100) WHERE slug = ?"
    )
    visitor.demo.execute(change, "olive-soap")
    shop.page.reload()
    expect(shop.button("Accept new prices")).to_be_visible()
    return shop


def sold_meanwhile(visitor: Visitor) -> Shop:
    shop = cart_of(visitor, "celadon-teapot")
    HttpCustomer(visitor.demo).order("celadon-teapot", 2)
    shop.page.reload()
    expect(shop.page.get_by_text("This product has sold out. Remove it from your cart.")).to_be_visible()
    return shop


def checkout(visitor: Visitor) -> Shop:
    return cart_of(visitor).visit("/checkout")


def checkout_abroad(visitor: Visitor) -> Shop:
    shop = checkout(visitor)
    shop.page.get_by_label("Country").select_option("US")
    expect(shop.page.get_by_label("ZIP code")).to_be_visible()
    return shop


def checkout_hint(visitor: Visitor) -> Shop:
    shop = checkout(visitor)
    shop.page.get_by_label("E-mail").fill("ann@gmial.com")
    shop.page.get_by_label("Full name").focus()
    expect(shop.button("ann@gmail.com")).to_be_visible()
    return shop


def checkout_wrong(visitor: Visitor) -> Shop:
    visitor.watch.expect_status(422)
    shop = checkout(visitor)
    shop.button("Place order and pay").click()
    expect(shop.page.get_by_role("alert")).to_be_focused()
    return shop


def checkout_too_late(visitor: Visitor) -> Shop:
    visitor.watch.expect_status(409)
    shop = cart_of(visitor, "wall-clock").visit("/checkout")
    shop.fill_in()
    HttpCustomer(visitor.demo).order("wall-clock", 3)
    shop.button("Place order and pay").click()
    expect(shop.page.get_by_role("alert")).to_contain_text("Wall Clock: sold out")
    return shop


def history_link(visitor: Visitor) -> Shop:
    shop = visitor.shop().visit("/orders")
    shop.page.get_by_label("E-mail").fill(ADDRESS["email"])
    shop.button("E-mail me a link").click()
    expect(shop.page.get_by_role("status").filter(has_text="we have sent a link to it")).to_be_visible()
    return shop


def history(visitor: Visitor) -> Shop:
    HttpCustomer(visitor.demo).order(email="history@example.com")
    shop = visitor.shop().visit("/orders")
    shop.page.get_by_label("E-mail").fill("history@example.com")
    shop.button("E-mail me a link").click()
    shop.page.goto(link_in_mail(visitor, "Your orders at Settled", "history@example.com"))
    expect(shop.page.get_by_role("table")).to_be_visible()
    return shop


def history_wrong(visitor: Visitor) -> Shop:
    visitor.watch.expect_status(422)
    shop = visitor.shop().visit("/orders")
    shop.button("E-mail me a link").click()
    expect(shop.page.get_by_role("alert")).to_be_visible()
    return shop


def wrong_sign_in(visitor: Visitor) -> Shop:
    visitor.watch.expect_status(422)
    visitor.watch.expect_status(401)
    shop = visitor.shop().visit("/sign-in")
    shop.page.get_by_label("E-mail").fill("nobody@example.com")
    shop.page.get_by_label("Password").fill("a password of nobody")
    shop.button("Sign in").click()
    expect(shop.page.get_by_role("alert")).to_be_visible()
    return shop


def registered_wrong(visitor: Visitor) -> Shop:
    visitor.watch.expect_status(422)
    shop = visitor.shop().visit("/register")
    shop.page.get_by_label("Name").fill("Ada")
    shop.page.get_by_label("E-mail").fill("ada@example.com")
    shop.page.get_by_label("Password").fill("short")
    shop.button("Create account").click()
    expect(shop.page.get_by_role("alert")).to_be_visible()
    return shop


def no_address(visitor: Visitor) -> Shop:
    visitor.watch.expect_status(422)
    shop = visitor.shop().visit("/forgot-password")
    shop.button("E-mail me a link").click()
    expect(shop.page.get_by_role("alert")).to_be_focused()
    return shop


def signed_in_at(path: str) -> Way:
    """A page of a new account."""

    def way(visitor: Visitor) -> Shop:
        shop = visitor.shop()
        shop.register(new_email())
        return shop.visit(path)

    return way


def forged_link(visitor: Visitor) -> Shop:
    visitor.watch.expect_status(404)
    return visitor.shop().visit("/account/reset/forged")


def account(visitor: Visitor) -> Shop:
    shop = visitor.shop()
    shop.register("account@example.com")
    shop.buy(PLENTY)
    return shop.visit("/account")


def deletion_wrong(visitor: Visitor) -> Shop:
    visitor.watch.expect_status(422)
    shop = signed_in_at("/account/delete")(visitor)
    shop.button("Delete your account").click()
    expect(shop.page.get_by_role("alert")).to_be_focused()
    return shop


def failing(status: int, path: str) -> Way:
    """A page that answers `status`, with a sentence."""

    def way(visitor: Visitor) -> Shop:
        visitor.watch.expect_status(status)
        shop = visitor.shop().visit(path)
        expect(shop.page.get_by_text(str(status), exact=True)).to_be_visible()
        return shop

    return way


def foreign_host(visitor: Visitor) -> Shop:
    visitor.watch.expect_status(400)
    shop = Shop(visitor.tab(), visitor.demo.shop.replace("localhost", "another.localhost")).visit("/")
    expect(shop.page.get_by_text("This host name is not one of the shop's.")).to_be_visible()
    return shop


def too_large(visitor: Visitor) -> Shop:
    visitor.watch.expect_status(413)
    shop = checkout(visitor)
    field = shop.page.get_by_label("Street and number")
    field.evaluate("field => { field.removeAttribute('maxlength'); field.value = 'x'.repeat(70000); }")
    shop.button("Place order and pay").click()
    expect(shop.page.get_by_text("413", exact=True)).to_be_visible()
    return shop


def at(path: str) -> Way:
    """The page at an address."""
    return lambda visitor: visitor.shop().visit(path)


LEGAL = {
    "imprint": "Imprint",
    "privacy": "Privacy",
    "terms": "Terms of sale",
    "returns": "Returns and refunds",
    "contact": "Contact",
}
PAGES: dict[str, tuple[Way, str]] = {
    "catalogue": (at("/"), "Homeware and stationery, made to last"),
    "a category": (at("/?category=table"), "Table & kitchen"),
    "a search": (at("/?q=pencil"), "Search"),
    "a search that finds nothing": (at("/?q=submarine"), "Search"),
    "a product": (at(f"/products/{PLENTY}"), "Six Cedar Pencils"),
    "a product that is nearly gone": (at("/products/brass-pen"), "Brass Fountain Pen"),
    "a product that is sold out": (at("/products/paper-lantern"), "Paper Lantern"),
    "a product in the cart": (added, "Six Cedar Pencils"),
    "a quantity that cannot be": (refused_to_add, "Six Cedar Pencils"),
    "an empty cart": (at("/cart"), "Your cart"),
    "a full cart": (cart_of, "Your cart"),
    "a cart after a removal": (removed, "Your cart"),
    "a cart whose price moved": (moved_price, "Your cart"),
    "a cart whose product was sold": (sold_meanwhile, "Your cart"),
    "the checkout": (checkout, "Checkout"),
    "the checkout, not right yet": (checkout_wrong, "Checkout"),
    "the checkout, sold meanwhile": (checkout_too_late, "Checkout"),
    "the way to one's orders": (at("/orders"), "Your orders"),
    "the link to one's orders": (history_link, "Check your e-mail"),
    "one's orders": (history, "Your orders"),
    "no e-mail address": (history_wrong, "Your orders"),
    "sign in": (at("/sign-in"), "Sign in"),
    "a sign-in that failed": (wrong_sign_in, "Sign in"),
    "register": (at("/register"), "Create account"),
    "a password that is too short": (registered_wrong, "Create account"),
    "a password that was forgotten": (at("/forgot-password"), "Forgotten password"),
    "no address for a new password": (no_address, "Forgotten password"),
    "a sign-in that is to be unlocked": (at("/unlock-account"), "Unlock your account"),
    "the way to unlock a sign-in": (at("/unlock-account/sent"), "Check your e-mail"),
    "a change of the password": (signed_in_at("/account/password"), "Change password"),
    "a change of the address": (signed_in_at("/account/email"), "Change e-mail address"),
    "the download of one's data": (signed_in_at("/account/data"), "Download your data"),
    "the deletion of an account": (deletion_wrong, "Delete your account"),
    "a link of an account that is forged": (forged_link, "This link is not valid"),
    "an account": (account, "Hello, Ada"),
    "an empty address book": (signed_in_at("/account/addresses"), "Address book"),
    "a new address": (signed_in_at("/account/addresses/new"), "Add an address"),
    "the checkout with a hint at an e-mail address": (checkout_hint, "Checkout"),
    "the checkout of another country": (checkout_abroad, "Checkout"),
    **{heading: (at(f"/{path}"), heading) for path, heading in LEGAL.items()},
    "no such page": (failing(404, "/nothing/here"), "Page not found"),
    "a history link that is forged": (failing(404, "/orders/of/forged"), "Page not found"),
    "a wrong method": (failing(405, "/cart/lines"), "Invalid request"),
    "a foreign host": (foreign_host, "Invalid request"),
    "too large": (too_large, "Request too large"),
}
"""Every page by its contents: the steps to it, and its main heading."""


@pytest.mark.sample(2)
@pytest.mark.parametrize("page", PAGES)
def test_every_page_of_the_shop_is_sound(visitor: Visitor, demo: Demo, page: str) -> None:
    way, heading = PAGES[page]
    shop = way(visitor)
    shop.is_called(heading)
    is_sound(shop.page)
