"""A merchandiser makes a campaign code and a holiday notice; a customer reads the notice and uses the code."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from e2e.conftest import Visitor
from e2e.console.desk import Desk
from e2e.console_checks import is_sound

MERCHANDISER = "merchandiser@settled.example"
NOTICE, NOTICE_ZH = "We are closed on 1 January. Orders leave on the 2nd.", "元旦休息，訂單於 1 月 2 日出貨。"


def test_a_campaign_and_a_holiday_notice_reach_a_customer(new_visitor: Callable[..., Visitor]) -> None:
    desk = Desk(new_visitor(), MERCHANDISER)
    page = desk.menu("Discount codes")
    page.get_by_role("link", name="New code").click()
    page.get_by_label("Code", exact=True).fill("newyear")
    page.get_by_label("Percentage").fill("20")
    page.get_by_role("group", name="Budget").get_by_label("TWD").fill("50,000")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="NEWYEAR")).to_be_visible()
    is_sound(page)
    page = desk.menu("Announcements")
    page.get_by_role("link", name="New announcement").click()
    page.get_by_label("English").fill(NOTICE)
    page.get_by_label("繁體中文").fill(NOTICE_ZH)
    page.get_by_label("Link").fill("/returns")
    page.get_by_role("button", name="Save").click()
    expect(desk.row(NOTICE)).to_contain_text("shown")
    is_sound(page)

    customer = new_visitor().shop()
    customer.visit("/?lang=zh-Hant")
    expect(customer.page.get_by_text(NOTICE_ZH)).to_be_visible()
    is_sound(customer.page)
    customer.visit("/?lang=en")
    notice = customer.page.get_by_role("complementary", name="Announcements")
    expect(notice).to_contain_text(NOTICE)
    expect(notice.get_by_role("link", name="Read more")).to_have_attribute("href", "/returns")
    notice.get_by_role("button", name="Dismiss").click()
    expect(customer.page.get_by_text(NOTICE)).to_have_count(0)
    customer.visit("/products/six-cedar-pencils")
    expect(customer.page.get_by_text(NOTICE)).to_have_count(0)
    customer.add_to_cart()
    customer.link("View cart").or_(customer.page.get_by_role("heading", name="Your cart")).first.wait_for()
    customer.visit("/checkout").fill_in()
    customer.page.get_by_label("Discount code").fill("newyear")
    customer.button("Apply").click()
    expect(customer.page.get_by_text("Discount (NEWYEAR)").first).to_be_visible()
    customer.place_order()
    expect(customer.page.get_by_text("Discount (NEWYEAR)").first).to_be_visible()

    desk.open("/codes/NEWYEAR")
    expect(page.get_by_text(re.compile("Used by 1 order\\. Discounts given: .* of NT\\$50,000"))).to_be_visible()
    page.get_by_label("On: customers can use it").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("off", exact=True)).to_be_visible()
    desk.menu("Announcements").get_by_role("link", name=NOTICE).click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("The announcement is deleted.")).to_be_visible()
