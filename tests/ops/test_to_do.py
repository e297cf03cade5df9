"""First page of the console: what needs a person, most urgent first."""

from __future__ import annotations

import re

from shop.core import clock, heartbeat
from shop.core.db import transaction
from shop.core.money import Money
from shop.payments.refunds import refunds
from tests.ops.conftest import visitor_as
from tests.ops.test_alerts import alert
from tests.shop_fixtures import Shop


def kinds(page: str) -> list[str]:
    return re.findall(r'<td><span class="chip \w+">([^<]+)</span></td>', page)


def test_with_nothing_to_do_the_page_shows_when_the_shop_looked(shop: Shop) -> None:
    support = visitor_as(shop, "support")
    page = support.get("/ops").text
    assert "Nothing needs you." in page and "Not checked yet: the clock process is not running." in page
    with transaction():
        heartbeat.write("clock", clock.wall())
    page = support.get("/ops").text
    assert "not running" not in page and re.search(r"Checked \d s ago\.", page)


def test_what_needs_a_person_is_listed_with_severe_alerts_first(shop: Shop) -> None:
    order = shop.paid_order()
    refunds.request(shop.capture(order), Money(20000, "TWD"), reason="", by=shop.sam, to="bank")
    alert("inbox 7", "OPS_DEAD_LETTER"), alert()
    page = visitor_as(shop, "finance").get("/ops").text
    assert kinds(page) == ["Alert P1", "Approval", "Alert P2"]
    assert order.number in page and "NT$200.00" in page


def test_merchandisers_see_nothing_about_money(shop: Shop) -> None:
    alert()
    assert kinds(visitor_as(shop, "merchandiser").get("/ops").text) == []
