"""Small screens, strong zoom and long words: nothing stands outside of its box, and what matters comes first."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from e2e.conftest import Visitor
from e2e.customers import PLENTY, HttpCustomer
from e2e.pages import OrderPage, Shop

STREET = "Donaudampfschifffahrtsgesellschaftskapitaens"
CITY = "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch"
EMAIL = f"{'a' * 44}@example.com"
LONG = {"line1": STREET, "city": CITY, "email": EMAIL, "name": "Wolfeschlegelsteinhausenbergerdorff"}
assert (len(STREET), len(CITY), len(EMAIL)) == (44, 58, 56)
WIDTHS = (320, 360, 768, 1024)
"""320 px are also 1280 px at 400 % zoom."""
_OUTSIDE = """() => [...document.querySelectorAll("main, main *")].filter((it) => {
  const style = getComputedStyle(it);
  if (it.closest("svg, .seen-by-readers, [hidden]") || style.display === "inline") return false;
  if (style.overflowX !== "visible") return false;
  return it.clientWidth > 0 && it.scrollWidth > it.clientWidth + 1;
}).map((it) => `${it.scrollWidth - it.clientWidth} px in ${it.outerHTML.slice(0, 120)}`)"""


def stands_outside(page: Page, width: int) -> list[str]:
    """Elements whose text is wider than their box at this width, and the page if it scrolls sideways."""
    page.set_viewport_size({"width": width, "height": 800})
    found: list[str] = page.evaluate(_OUTSIDE)
    spare = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return [f"{width}: {one}" for one in [*found, *([f"{spare} px to scroll sideways"] if spare > 0 else [])]]


def of_order(visitor: Visitor) -> Page:
    page = visitor.tab()
    page.goto(HttpCustomer(visitor.demo).order(**LONG).url)
    expect(page.get_by_text(STREET)).to_be_visible()
    return page


def of_receipt(visitor: Visitor) -> Page:
    order = OrderPage(of_order(visitor))
    order.opens_payment().pay()
    order.is_called("Payment received", within=20)
    order.link("Receipt").click()
    expect(order.page.get_by_text(STREET)).to_be_visible()
    return order.page


def of_checkout(visitor: Visitor) -> Page:
    """The checkout, refused, with the values in its fields and its messages."""
    visitor.watch.expect_status(422)
    shop = visitor.shop().visit(f"/products/{PLENTY}")
    shop.add_to_cart()
    expect(shop.link("View cart")).to_be_visible()
    shop.visit("/checkout").fill_in(**LONG | {"email": EMAIL.replace("@", "")})
    shop.button("Place order and pay").click()
    expect(shop.page.get_by_role("alert")).to_be_visible()
    return shop.page


def registered(visitor: Visitor) -> Shop:
    """A customer with a long name and address, and the long address in the address book."""
    shop = visitor.shop().visit("/register")
    shop.page.get_by_label("Name").fill(LONG["name"])
    shop.page.get_by_label("E-mail").fill(EMAIL)
    shop.page.get_by_label("Password").fill("a long enough sentence")
    shop.button("Create account").click()
    if not shop.page.url.endswith("/account"):  # another test has made it
        visitor.watch.expect_status(409)
        shop.visit("/sign-in").page.get_by_label("E-mail").fill(EMAIL)
        shop.page.get_by_label("Password").fill("a long enough sentence")
        shop.button("Sign in").click()
    expect(shop.heading).to_contain_text("Hello")
    return shop


def of_account(visitor: Visitor) -> Page:
    return registered(visitor).page


def of_address_book(visitor: Visitor) -> Page:
    shop = registered(visitor).visit("/account/addresses/new")
    shop.page.get_by_label("Full name").fill(LONG["name"])
    shop.page.get_by_label("Street and number").fill(STREET)
    shop.page.get_by_label("City").fill(CITY)
    shop.button("Save address").click()
    shop.is_called("Address book")
    return shop.page


def of_deletion(visitor: Visitor) -> Page:
    return registered(visitor).visit("/account/delete").page


PAGES: dict[str, Callable[[Visitor], Page]] = {
    "order": of_order,
    "receipt": of_receipt,
    "checkout": of_checkout,
    "account": of_account,
    "address book": of_address_book,
    "deletion": of_deletion,
}


@pytest.mark.sample(2)
@pytest.mark.parametrize("page", PAGES)
def test_long_words_stay_within_their_boxes_at_every_width(visitor: Visitor, page: str) -> None:
    shown = PAGES[page](visitor)
    assert [one for width in WIDTHS for one in stands_outside(shown, width)] == []


@pytest.mark.full
@pytest.mark.parametrize("path", ["/", f"/products/{PLENTY}", "/cart", "/checkout", "/orders", "/sign-in", "/privacy"])
def test_every_page_fits_a_screen_of_320_pixels(visitor: Visitor, path: str) -> None:
    shop = visitor.shop().visit(f"/products/{PLENTY}")
    shop.add_to_cart()
    expect(shop.link("View cart")).to_be_visible()
    assert stands_outside(shop.visit(path).page, 320) == []


def test_on_a_phone_the_total_comes_before_the_form_and_the_items_unfold(
    new_visitor: Callable[..., Visitor],
) -> None:
    shop = new_visitor(viewport={"width": 360, "height": 740}).shop().visit(f"/products/{PLENTY}")
    shop.add_to_cart()
    expect(shop.link("View cart")).to_be_visible()
    page = shop.visit("/checkout").page
    summary, item = page.get_by_text("Show items and total"), page.get_by_role("link", name="Edit cart")
    assert _top(page, "summary") < _top(page, "#checkout-form")
    expect(page.locator("#summary-total")).to_be_visible()
    expect(item).to_be_hidden()
    summary.click()
    expect(item).to_be_visible()
    page.get_by_label("Country").select_option("JP")
    expect(page.get_by_label("Prefecture")).to_be_visible()
    expect(item).to_be_visible()
    page.set_viewport_size({"width": 1280, "height": 800})
    expect(summary).to_be_hidden()
    expect(item).to_be_visible()
    page.reload()
    expect(item).to_be_visible()
    assert _left(page, "aside") > _left(page, "#checkout-form") and _top(page, "aside") <= _top(page, "fieldset")


def test_the_steps_of_an_order_stand_in_one_row_or_one_column(visitor: Visitor, http_customer: HttpCustomer) -> None:
    page = visitor.order(http_customer.order().url).page
    boxes = "steps => [...steps.children].map(step => step.getBoundingClientRect())"
    positions = f"steps => ({boxes})(steps).map(box => [box.left, box.top])"
    for width, same in ((320, 0), (360, 0), (420, 1), (1280, 1)):
        page.set_viewport_size({"width": width, "height": 800})
        found = page.locator(".steps").evaluate(positions)
        assert len(found) == 4 and len({round(position[same]) for position in found}) == 1, (width, found)


def test_the_quantity_and_its_button_have_one_height_and_line(visitor: Visitor) -> None:
    page = visitor.shop().visit(f"/products/{PLENTY}").page
    boxes = [page.get_by_label("Quantity", exact=True), page.get_by_role("button", name="Add to cart")]
    sizes = {tuple(round(box.bounding_box()[side]) for side in ("y", "height")) for box in boxes}  # type: ignore[index]
    assert len(sizes) == 1, sizes


def _top(page: Page, selector: str) -> float:
    return float(page.locator(selector).first.evaluate("it => it.getBoundingClientRect().top"))


def _left(page: Page, selector: str) -> float:
    return float(page.locator(selector).first.evaluate("it => it.getBoundingClientRect().left"))
