"""The language switch in a browser: it keeps the page and what was typed, and no page is too wide for a phone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from e2e.conftest import Visitor
from e2e.control import Control
from e2e.customers import PLENTY, HttpCustomer
from e2e.demo import Demo
from e2e.pages import Shop

NAMES = {"zh-Hant": "繁體中文", "zh-Hans": "简体中文", "ja": "日本語"}
"""Names of the languages in the switch."""
BUTTONS = {
    "zh-Hant": ("加入購物車", "查看購物車"),
    "zh-Hans": ("加入购物车", "查看购物车"),
    "ja": ("カートに入れる", "カートを見る"),
}
"""The button of a product page and the link that follows it."""
PAGES = ("/", f"/products/{PLENTY}", "/cart", "/checkout", "/register", "/sign-in", "/orders")


def in_language(visitor: Visitor, tag: str, path: str) -> Shop:
    shop = visitor.shop().visit(path)
    shop.page.get_by_role("list", name="Language").get_by_role("link", name=NAMES[tag]).click()
    expect(shop.page.locator("html")).to_have_attribute("lang", tag)
    return shop


def is_too_wide(shop: Shop, width: int) -> bool:
    return int(shop.page.evaluate("document.documentElement.scrollWidth")) > width


def test_the_switch_keeps_what_was_typed_and_no_password(visitor: Visitor) -> None:
    shop = visitor.shop().visit("/register")
    shop.page.get_by_label("E-mail").fill("ada@example.com")
    shop.page.get_by_label("Password").fill("a kettle sings politely")
    shop.page.get_by_role("list", name="Language").get_by_role("link", name="繁體中文").click()
    expect(shop.page.get_by_label("電子郵件")).to_have_value("ada@example.com")
    expect(shop.page.get_by_label("密碼")).to_have_value("")


@pytest.mark.full
def test_the_checkout_keeps_what_was_typed(visitor: Visitor) -> None:
    shop = visitor.shop().visit(f"/products/{PLENTY}")
    shop.add_to_cart()
    expect(shop.link("View cart")).to_be_visible()
    shop.visit("/checkout")
    shop.page.get_by_label("City").fill("Tainan")
    shop.page.get_by_role("list", name="Language").get_by_role("button", name="繁體中文").click()
    expect(shop.page.get_by_label("縣市")).to_have_value("Tainan")
    expect(shop.button("送出訂單並付款")).to_be_visible()


@pytest.mark.sample(1)
@pytest.mark.parametrize("tag", NAMES)
@pytest.mark.parametrize("width", [360, pytest.param(1280, marks=pytest.mark.full)])
def test_no_page_is_too_wide(new_visitor: Callable[..., Visitor], tag: str, width: int) -> None:
    visitor = new_visitor(viewport={"width": width, "height": 800})
    shop = in_language(visitor, tag, f"/products/{PLENTY}")
    add, view = BUTTONS[tag]
    shop.page.get_by_role("button", name=add).click()
    expect(shop.link(view)).to_be_visible()
    assert [path for path in PAGES if is_too_wide(shop.visit(path), width)] == []


@pytest.mark.parametrize("tag", ["ja", *(pytest.param(tag, marks=pytest.mark.full) for tag in ("zh-Hant", "zh-Hans"))])
def test_an_order_is_paid_in_its_language_on_a_phone(
    demo: Demo, new_visitor: Callable[..., Visitor], http_customer: HttpCustomer, acquirer: Control, tag: str
) -> None:
    """The acquirer's page has the language of the order, whatever the browser prefers; no page is too wide."""
    http_customer.client.headers["Accept-Language"] = tag
    order = http_customer.order()
    payment = http_customer.go_and_pay(order)
    shop = new_visitor(viewport={"width": 360, "height": 800}, locale="en-US").shop()
    too_wide = []
    for address in (f"{order.url}?lang={tag}", f"{demo.acquirer}/pay/{payment}"):
        shop.page.goto(address)
        expect(shop.page.locator("html")).to_have_attribute("lang", tag)
        too_wide += [address] if is_too_wide(shop, 360) else []
    acquirer.approve(payment)
    for address in (f"{demo.acquirer}/pay/{payment}/result", order.url, f"{order.url}/receipt"):
        shop.page.goto(address)
        expect(shop.page.locator("html")).to_have_attribute("lang", tag)
        too_wide += [address] if is_too_wide(shop, 360) else []
    assert too_wide == []
