"""A return in browsers, from the order page to the approved refund: accessible, wide and narrow, light and dark."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, expect

from e2e.console_checks import Watch, is_sound
from tests.ops.test_in_browser import SignIn, served, signed_in
from tests.shop_fixtures import PEN, Shop

__all__ = ["served", "signed_in"]
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.mark.full
def test_a_return_is_requested_accepted_received_and_refunded_on_accessible_pages(
    shop: Shop, served: str, signed_in: SignIn, new_context: Callable[..., BrowserContext]
) -> None:
    shop.app.config["REFUND_NEEDS_TWO"] = {"TWD": 100}
    order = shop.paid_order((PEN, 3))
    customer = new_context(base_url=served).new_page()
    watch = Watch(customer.context)
    customer.goto(f"/orders/{order.token}")
    customer.get_by_role("link", name="Return items").click()
    customer.get_by_label(re.compile("^Pen")).fill("2")
    customer.get_by_label("Reason").select_option("It arrived damaged")
    is_sound(customer)
    customer.get_by_role("button", name="Request return").click()
    returned = customer.get_by_role("article")
    expect(returned).to_contain_text("Requested. We check it and e-mail you.")
    is_sound(customer)
    reference = f"{order.number}-R1"
    merchandiser = signed_in("merchandiser")
    merchandiser.get_by_role("link", name="Returns", exact=True).first.click()
    is_sound(merchandiser)
    merchandiser.get_by_role("link", name=reference).click()
    is_sound(merchandiser)
    merchandiser.get_by_role("button", name="Accept").click()
    merchandiser.get_by_label("Restock", exact=True).fill("1")
    merchandiser.get_by_label("Do not restock").fill("1")
    merchandiser.get_by_label(re.compile("^Reason, needed")).fill("one is cracked")
    is_sound(merchandiser)
    merchandiser.get_by_role("button", name="Receive").click()
    expect(merchandiser.get_by_text("Support or finance refunds it.").first).to_be_visible()
    support = signed_in("support")
    support.get_by_role("link", name=f"Refund return {reference}").click()
    support.get_by_label("Reason").fill("came back")
    is_sound(support)
    support.get_by_role("button", name="Request refund").click()
    expect(support.get_by_text("waits for a second person", exact=True)).to_be_visible()
    is_sound(support)
    finance = signed_in("finance")
    finance.goto("/ops/approvals")
    expect(finance.get_by_role("article")).to_contain_text(f"Return {reference}: came back")
    finance.get_by_role("button", name=re.compile("^Approve")).click()
    shop.sweep()
    finance.goto(f"/ops/orders/{order.number}")
    expect(finance.get_by_role("heading", name="Returns", exact=True)).to_be_visible()
    is_sound(finance)
    customer.reload()
    expect(returned).to_contain_text("Received. Refund: NT$180")
    expect(customer.get_by_role("heading", level=1)).to_have_text("Partially refunded")
    watch.silent()
