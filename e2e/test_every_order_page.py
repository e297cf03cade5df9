"""Order page in every status: heading, offers and accessibility, in light and dark, wide and narrow."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from e2e.conftest import Visitor
from e2e.console_checks import is_sound
from e2e.control import Control
from e2e.customers import HttpCustomer
from e2e.demo import Demo
from e2e.order_statuses import STATUSES, Stage
from e2e.pages import OrderPage
from tests.parts.waiting import until

NEVER_PAY = ("preparing", "confirming", "still_waiting", "closing", "expiring", "paid", "expired", "late", "review")
NEVER_PAY += ("twice", "cancelled")
"""States in which no payment is offered: a payment may be under way, or nothing is left to pay."""


@pytest.mark.full
@pytest.mark.sample(3)
@pytest.mark.parametrize("status", STATUSES)
def test_the_order_page_is_sound_in_every_status(
    visitor: Visitor, demo: Demo, http_customer: HttpCustomer, acquirer: Control, status: str
) -> None:
    way, heading = STATUSES[status]
    placed = way(Stage(demo, acquirer, http_customer))
    page = visitor.tab()
    page.route(re.compile("/events|/status"), lambda route: route.fulfill(status=204))  # it stays as it was opened
    until(lambda: f">{heading}</h1>" in HttpCustomer(demo).page(placed.url), what=heading)
    page.goto(placed.url)
    order = OrderPage(page)
    order.is_called(heading)
    expect(page.locator("#order-status")).to_have_attribute("data-state", status)
    if status in NEVER_PAY:
        expect(order.pay_button).to_have_count(0)
    else:
        expect(order.pay_button.first).to_be_visible()
    is_sound(page)
