"""Mail: a guest who has closed the tab finds the order by the link of the mail."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from e2e.conftest import Visitor
from e2e.customers import PLENTY
from e2e.pages import OrderPage
from tests.parts.waiting import until


def test_a_guest_who_closed_the_tab_finds_the_order_by_the_link_of_the_mail(visitor: Visitor) -> None:
    order = visitor.shop().buy(PLENTY)
    order.is_called("Pay to complete your order")
    number, address = order.number, order.page.url
    order.page.close()
    mail = visitor.tab()

    def has_come() -> bool:
        mail.goto(f"{visitor.demo.shop}/dev/mail")
        return mail.get_by_role("link", name=f"Your order {number}").count() == 1

    until(has_come, within=20, what="the mail about the order")
    mail.get_by_role("link", name=f"Your order {number}").click()
    expect(mail.get_by_role("heading", level=1)).to_have_text(f"Your order {number}")
    html = mail.frame_locator("iframe").get_by_role("link", name=re.compile("Open your order"))
    with mail.context.expect_page() as opened:
        html.click()
    opened.value.wait_for_load_state()
    assert opened.value.url == address
    found = OrderPage(opened.value)
    found.is_called("Pay to complete your order")
    found.opens_payment().pay()
    found.is_called("Payment received")
