"""A merchandiser makes a campaign code and a holiday notice; a customer reads the notice and uses the code."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, expect

from e2e.console_checks import Watch, is_sound
from e2e.pages import Shop as Storefront
from tests.ops.test_in_browser import SignIn, served, signed_in
from tests.shop_fixtures import Shop

__all__ = ["served", "signed_in"]
NOTICE, NOTICE_ZH = "We are closed on 1 January.", "元旦休息一天。"


@pytest.mark.full
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_campaign_and_a_holiday_notice_reach_a_customer(
    shop: Shop, signed_in: SignIn, new_context: Callable[..., BrowserContext], served: str
) -> None:
    page = signed_in("merchandiser")
    watch = Watch(page.context)
    page.goto("/ops/codes/new")
    page.get_by_label("Code", exact=True).fill("newyear")
    page.get_by_label("Percentage").fill("20")
    page.get_by_role("group", name="Budget").get_by_label("TWD").fill("50,000")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="NEWYEAR")).to_be_visible()
    page.goto("/ops/announcements/new")
    page.get_by_label("English").fill(NOTICE)
    page.get_by_label("繁體中文").fill(NOTICE_ZH)
    page.get_by_label("Link").fill("/returns")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("row").filter(has_text=NOTICE)).to_contain_text("shown")
    watch.silent()

    context = new_context()
    seen = Watch(context)
    customer = Storefront(context.new_page(), served)
    customer.visit("/?lang=zh-Hant")
    expect(customer.page.get_by_text(NOTICE_ZH)).to_be_visible()
    is_sound(customer.page)
    customer.visit("/?lang=en")
    notice = customer.page.get_by_role("complementary", name="Announcements")
    expect(notice.get_by_role("link", name="Read more")).to_have_attribute("href", "/returns")
    notice.get_by_role("button", name="Dismiss").click()
    expect(customer.page.get_by_text(NOTICE)).to_have_count(0)
    customer.visit("/products/kettle")
    expect(customer.page.get_by_text(NOTICE)).to_have_count(0)
    customer.add_to_cart()
    customer.link("View cart").or_(customer.page.get_by_role("heading", name="Your cart")).first.wait_for()
    customer.visit("/checkout").fill_in()
    customer.page.get_by_label("Postal code").or_(customer.page.get_by_label("Postcode")).first.fill("106")
    customer.page.get_by_label("Discount code").fill("newyear")
    customer.button("Apply").click()
    customer.page.get_by_text("Show items and total").click()
    expect(customer.page.get_by_text("Discount (NEWYEAR)").first).to_be_visible()
    customer.place_order()
    expect(customer.page.get_by_text("Discount (NEWYEAR)").first).to_be_visible()
    seen.silent()

    page.goto("/ops/codes/NEWYEAR")
    expect(page.get_by_text(re.compile("Used by 1 order\\. Discounts given: NT\\$240 of NT\\$50,000"))).to_be_visible()
