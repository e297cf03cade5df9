"""Stock in the console: received and corrected with a reason, never below what orders reserve."""

from __future__ import annotations

import re

from shop.accounts.permissions import Role
from shop.catalogue import browse
from shop.core.db import db
from shop.inventory import stock
from shop.inventory.models import StockMovement
from tests.ops.conftest import visitor_as
from tests.race_fixtures import Race
from tests.shop_fixtures import KETTLE, UNITS, Shop
from tests.web.test_page_statements import sent_for


def on_hand() -> int:
    db.session.rollback()
    return stock.find(KETTLE).on_hand


def test_units_are_received_once_for_a_form_that_is_sent_twice(shop: Shop) -> None:
    mia = visitor_as(shop, "merchandiser")
    page = mia.get(f"/ops/stock/{KETTLE}").text
    form = re.search(r'name="form" value="([^"]+)"', page)
    assert form
    typed = {"form": form[1], "quantity": "1,000", "reason": "delivery 17"}
    for _ in range(2):
        assert mia.post(f"/ops/stock/{KETTLE}/receive", typed).status_code == 303
    assert on_hand() == UNITS + 1000
    page = mia.get(f"/ops/stock/{KETTLE}").text
    assert "+1,000" in page and "delivery 17" in page and "merchandiser@example.com" in page
    for wrong in ({"quantity": "0"}, {"quantity": "-5"}, {"quantity": "1.5"}, {"reason": ""}, {"quantity": "1000001"}):
        answer = mia.post(f"/ops/stock/{KETTLE}/receive", {**typed, "form": "another", **wrong})
        assert answer.status_code == 422 and "delivery 17" in answer.text or "reason" in wrong
    assert on_hand() == UNITS + 1000


def test_a_correction_of_an_outdated_number_or_below_the_reserved_units_is_refused(shop: Shop) -> None:
    mia = visitor_as(shop, "merchandiser")
    shop.order((KETTLE, 4))
    mia.get(f"/ops/stock/{KETTLE}")
    typed = {"seen": str(UNITS), "on_hand": "3", "reason": "counted"}
    below = mia.post(f"/ops/stock/{KETTLE}/correct", typed)
    assert below.status_code == 409 and "Orders reserve 4 units" in below.text
    assert mia.post(f"/ops/stock/{KETTLE}/correct", {**typed, "on_hand": "4"}).status_code == 303
    assert mia.post(f"/ops/stock/{KETTLE}/correct", {**typed, "on_hand": "4"}).status_code == 303, "sent twice"
    stale = mia.post(f"/ops/stock/{KETTLE}/correct", {**typed, "on_hand": "9"})
    assert stale.status_code == 409 and "The shop has 4 units on hand now, not 10." in stale.text
    assert 'value="9"' in stale.text and 'name="seen" value="4"' in stale.text
    assert shop.count(StockMovement) == 3, "two receipts of the fixtures, and one correction"
    shop.sweep()


def test_corrections_receipts_and_orders_at_once_lose_no_unit(shop: Shop, race: Race) -> None:
    mo = shop.colleague("mo", Role.MERCHANDISER)
    acts = (
        lambda number: stock.restock(KETTLE, 5, by=mo, form_id="one"),
        lambda number: stock.correct(KETTLE, number, seen=UNITS, by=mo, reason="counted"),
        lambda number: shop.order((KETTLE, 2)),
    )
    race(lambda number: acts[number % 3](number))
    moved = db.session.scalar(db.select(db.func.sum(StockMovement.quantity)).where(StockMovement.sku == KETTLE))
    found = stock.find(KETTLE)
    assert found.on_hand == moved and found.on_hand >= found.reserved
    shop.sweep()


def test_what_is_sold_out_is_low_without_a_limit_and_what_is_archived_is_not(shop: Shop) -> None:
    mia = visitor_as(shop, "merchandiser")
    stock.correct(KETTLE, 0, seen=UNITS, by=shop.colleague("mo", Role.MERCHANDISER), reason="broken")
    for page in ("/ops/stock?low=yes", "/ops/products?low=yes"):
        text = mia.get(page).text
        assert KETTLE in text and "sold out" in text and "1 product" in text
    assert mia.post(f"/ops/products/{KETTLE}/archive").status_code == 303
    assert "No product matches" in mia.get("/ops/stock?low=yes").text


def test_the_list_shows_what_is_low(shop: Shop) -> None:
    mia = visitor_as(shop, "merchandiser")
    assert "No product matches" in mia.get("/ops/stock?low=yes").text
    mia.get(f"/ops/stock/{KETTLE}")
    assert mia.post(f"/ops/stock/{KETTLE}/limit", {"low_at": str(UNITS)}).status_code == 303
    assert mia.post(f"/ops/stock/{KETTLE}/limit", {"low_at": "few"}).status_code == 422
    page = mia.get("/ops/stock?low=yes").text
    assert KETTLE in page and "TEST-PEN" not in page
    browse.clear_cache()
    assert len(sent_for(mia, "/ops/stock?low=yes&state=active")) <= 4
    assert mia.get("/ops/stock/NONE").status_code == 404
