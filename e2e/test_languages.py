"""The language switch in a browser: it keeps the page and what was typed, and no page is too wide for a phone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from e2e.conftest import Visitor
from e2e.customers import PLENTY
from e2e.pages import Shop


def in_chinese(visitor: Visitor, path: str) -> Shop:
    shop = visitor.shop().visit(path)
    shop.page.get_by_role("list", name="Language").get_by_role("link", name="繁體中文").click()
    expect(shop.page.locator("html")).to_have_attribute("lang", "zh-Hant")
    return shop


def test_the_switch_keeps_what_was_typed_and_no_password(visitor: Visitor) -> None:
    shop = visitor.shop().visit("/register")
    shop.page.get_by_label("E-mail").fill("ada@example.com")
    shop.page.get_by_label("Password").fill("a kettle sings politely")
    shop.page.get_by_role("list", name="Language").get_by_role("link", name="繁體中文").click()
    expect(shop.page.get_by_label("電子郵件")).to_have_value("ada@example.com")
    expect(shop.page.get_by_label("密碼")).to_have_value("")


def test_the_checkout_keeps_what_was_typed(visitor: Visitor) -> None:
    shop = visitor.shop().visit(f"/products/{PLENTY}")
    shop.add_to_cart()
    expect(shop.link("View cart")).to_be_visible()
    shop.visit("/checkout")
    shop.page.get_by_label("City").fill("Tainan")
    shop.page.get_by_role("list", name="Language").get_by_role("button", name="繁體中文").click()
    expect(shop.page.get_by_label("縣市")).to_have_value("Tainan")
    expect(shop.button("送出訂單並付款")).to_be_visible()


@pytest.mark.parametrize("width", [360, 1280])
def test_no_page_is_too_wide_in_chinese(new_visitor: Callable[..., Visitor], width: int) -> None:
    shop = in_chinese(new_visitor(viewport={"width": width, "height": 800}), f"/products/{PLENTY}")
    shop.page.get_by_role("button", name="加入購物車").click()
    expect(shop.link("查看購物車")).to_be_visible()
    for path in ("/", f"/products/{PLENTY}", "/cart", "/checkout", "/register", "/orders"):
        shop.visit(path)
        assert shop.page.evaluate("document.documentElement.scrollWidth") <= width, path
