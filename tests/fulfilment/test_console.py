"""Fulfilment in the console: the list with its filters and pages, pick list and slips, and the forms."""

from __future__ import annotations

import html
import io
import re
from datetime import timedelta
from zoneinfo import ZoneInfo

import pypdf
import pytest
from sqlalchemy import update

from shop.core import clock
from shop.core.db import db, transaction
from shop.core.keyset import Place
from shop.fulfilment import find, to_ship
from shop.fulfilment.to_ship import Filters
from shop.orders.fulfilment_states import FulfilmentState
from shop.orders.models import Order
from tests.fulfilment.conftest import fulfilment, pack, package_of, places, refund, ship
from tests.ops.conftest import visitor_as
from tests.payments.test_disputes import apply_disputes
from tests.shop_fixtures import KETTLE, PEN, Shop
from tests.web.conftest import Visitor
from tests.web.test_page_statements import sent_for

UTC = ZoneInfo("UTC")
one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For tests of texts and forms."""


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html.unescape(page)).split())


def listed(visitor: Visitor, query: str = "") -> list[str]:
    """The numbers of the orders in the list."""
    return re.findall(r'name="number" value="([^"]+)"', visitor.get(f"/ops/fulfilment{query}").text)


def test_the_list_has_paid_orders_that_are_not_shipped_the_longest_paid_first(shop: Shop) -> None:
    shop.order((PEN, 1))
    first, second, third, fourth = (shop.paid_order((PEN, 1)) for _ in range(4))
    refund(shop, second, second.total_amount)
    pack(shop, third)
    pack(shop, fourth)
    ship(shop, fourth)
    mia = visitor_as(shop, "merchandiser")
    assert listed(mia) == [first.number, third.number]
    assert listed(mia, "?state=PACKED") == [third.number] and listed(mia, "?state=PARTLY_SHIPPED") == []
    assert listed(mia, "?country=TW&state=TO_PACK") == [first.number] and listed(mia, "?country=JP") == []
    today, later = f"{clock.now():%Y-%m-%d}", f"{clock.now() + timedelta(days=2):%Y-%m-%d}"
    assert len(listed(mia, f"?from={today}")) == 2 and listed(mia, f"?from={later}") == []
    for wrong in ("?state=SHIPPED", "?colour=red", "?country=XX", "?from=2026-13-01", "?after=x"):
        assert mia.get(f"/ops/fulfilment{wrong}").status_code == 422, wrong
    assert mia.get("/ops/fulfilment?state=&country=TW").location == "/ops/fulfilment?country=TW"
    assert len(sent_for(mia, "/ops/fulfilment?state=TO_PACK")) <= 4


def test_pages_of_the_list_follow_each_other_in_both_directions(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(to_ship, "ON_A_PAGE", 2)
    orders = [shop.paid_order((PEN, 1)) for _ in range(5)]
    with transaction():
        at = clock.now()
        for order, days in zip(orders, (3, 1, 1, 5, 2), strict=True):
            db.session.execute(update(Order).where(Order.id == order.id).values(paid_at=at - timedelta(days=days)))
    wanted = [orders[n].number for n in (3, 0, 4, 1, 2)]
    page, total = to_ship.listed(Filters(), UTC)
    seen = [row.number for row in page.rows]
    assert total == 5 and page.newer is None
    pages = [page]
    while page.older:
        page, _ = to_ship.listed(Filters(), UTC, Place(after=page.older))
        seen += [row.number for row in page.rows]
        pages.append(page)
    assert seen == wanted
    back, _ = to_ship.listed(Filters(), UTC, Place(before=pages[-1].newer))
    assert back.rows == pages[-2].rows
    last, _ = to_ship.listed(Filters(), UTC, Place(from_end=True))
    assert [row.number for row in last.rows] == wanted[-2:]


def test_the_list_is_read_along_its_index(shop: Shop) -> None:
    statement = to_ship._page(to_ship._conditions(Filters(states=(FulfilmentState.TO_PACK,)), UTC), Place())
    compiled = str(statement.compile(db.engine, compile_kwargs={"literal_binds": True}))
    is_sqlite = db.engine.dialect.name == "sqlite"
    if not is_sqlite:
        db.session.execute(db.text("SET LOCAL enable_seqscan = off"))
    plan = db.session.execute(db.text(f"EXPLAIN {'QUERY PLAN ' if is_sqlite else ''}{compiled}")).all()
    assert "ix_orders_to_ship" in str(plan), plan
    db.session.rollback()


@one_database
def test_the_pick_list_adds_up_the_units_of_the_chosen_orders(shop: Shop) -> None:
    first, second = shop.paid_order((KETTLE, 2), (PEN, 1)), shop.paid_order((KETTLE, 1))
    pack(shop, first, pen=1)
    mia = visitor_as(shop, "merchandiser")
    page = text_of(mia.get(f"/ops/fulfilment/pick-list?number={first.number}&number={second.number}").text)
    assert "3 units of 1 product for 2 orders." in page
    assert f"{first.number}: 2, {second.number}: 1" in page
    assert mia.get("/ops/fulfilment/pick-list").status_code == 422
    many = "&".join(f"number={n}" for n in range(51))
    assert "at most 50 orders" in mia.get(f"/ops/fulfilment/pick-list?{many}").text
    assert "no units that are left" in mia.get("/ops/fulfilment/pick-list?number=NO").text


@one_database
def test_packing_slips_have_the_address_and_no_price_in_the_language_of_the_order(shop: Shop) -> None:
    order = shop.paid_order((KETTLE, 2), (PEN, 1))
    with transaction():
        db.session.execute(update(Order).where(Order.id == order.id).values(name="Ada [#x] $y$", locale="en"))
    pack(shop, order, pen=1)
    mia = visitor_as(shop, "merchandiser")
    answer = mia.get(f"/ops/fulfilment/packing-slips.pdf?number={order.number}")
    assert answer.status_code == 200 and answer.mimetype == "application/pdf"
    pages = [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(answer.data)).pages]
    assert len(pages) == 2 and all(order.number in page and "Ada [#x] $y$" in page for page in pages)
    assert "Pen" in pages[0] and "Kettle" not in pages[0] and "Kettle" in pages[1] and "Pen" not in pages[1]
    assert not re.search(r"NT\$|1,?200", "".join(pages))
    assert mia.get("/ops/fulfilment/packing-slips.pdf?number=NO").status_code == 404


@one_database
def test_an_order_is_packed_in_part_shipped_and_corrected_by_forms(shop: Shop) -> None:
    order = shop.paid_order((KETTLE, 2), (PEN, 1))
    mia, path = visitor_as(shop, "merchandiser"), f"/ops/fulfilment/{order.number}"
    mia.get(path)
    typed = {"key": mia.field("key"), f"units.{KETTLE}": "1", f"units.{PEN}": ""}
    for _ in range(2):
        assert mia.post(f"{path}/pack", typed).status_code == 303
    assert places(order)[KETTLE] == (1, 0, 1)
    assert "Package 1 is packed. Ship it below." in mia.get(path).text
    wrong = mia.post(f"{path}/packages/1/ship", {"carrier": "dhl", "tracking_number": "no/slash"})
    assert (
        wrong.status_code == 422
        and "A tracking number has at most 40" in wrong.text
        and 'value="no/slash"' in wrong.text
    )
    for carrier, number in (("dhl", "JD 0146"), ("dhl", "JD0146")):
        sent = mia.post(f"{path}/packages/1/ship", {"carrier": carrier, "tracking_number": number})
        assert sent.status_code == 303
    page = mia.get(path).text
    assert "https://www.dhl.com/global-en/home/tracking.html?tracking-id=JD0146" in html.unescape(page)
    again = mia.post(f"{path}/packages/1/ship", {"carrier": "ups", "tracking_number": "1"})
    assert again.status_code == 409 and "shipped already" in again.text
    fixed = {"carrier": "other", "carrier_name": "Pigeon", "tracking_number": "7", "tracking_url": "http://x.example/"}
    assert mia.post(f"{path}/packages/1/tracking", {**fixed, "reason": "typo"}).status_code == 422
    fixed["tracking_url"] = "https://x.example/7"
    assert mia.post(f"{path}/packages/1/tracking", {**fixed, "reason": ""}).status_code == 422
    assert mia.post(f"{path}/packages/1/tracking", {**fixed, "reason": "typo"}).status_code == 303
    package = package_of(order)
    assert (package.carrier, package.tracking_url) == ("Pigeon", "https://x.example/7")


@one_database
def test_wrong_units_and_outdated_numbers_are_refused_and_what_was_typed_stays(shop: Shop) -> None:
    order = shop.paid_order((KETTLE, 2))
    mia, path = visitor_as(shop, "merchandiser"), f"/ops/fulfilment/{order.number}"
    mia.get(path)
    key = {"key": mia.field("key")}
    for units, status in (("3", 409), ("0", 409), ("-1", 422), ("1.5", 422), ("two", 422), ("9" * 30, 422)):
        answer = mia.post(f"{path}/pack", {**key, f"units.{KETTLE}": units})
        assert answer.status_code == status and f'value="{units}"' in answer.text, units
    assert mia.post(f"{path}/pack", {**key, "units.OTHER": "1"}).status_code == 422
    assert mia.post(f"{path}/packages/{10**30}/cancel", {}).status_code == 404
    taken = {f"units.{KETTLE}": "1", f"seen.{KETTLE}": "0", "reason": "refunded"}
    assert mia.post(f"{path}/withdraw", taken).status_code == 303
    stale = mia.post(f"{path}/withdraw", {**taken, f"units.{KETTLE}": "2"})
    assert stale.status_code == 409 and "has changed meanwhile" in stale.text
    assert mia.post(f"{path}/withdraw", {**taken, f"units.{KETTLE}": "2", f"seen.{KETTLE}": "1"}).status_code == 303
    assert fulfilment(order) == "NOTHING_TO_SHIP" and listed(mia) == []
    assert mia.get("/ops/fulfilment/NO").status_code == 404


@one_database
def test_five_orders_are_packed_and_shipped_by_one_form_and_a_repetition_changes_nothing(shop: Shop) -> None:
    orders = [shop.paid_order((PEN, 1)) for _ in range(5)]
    mia = visitor_as(shop, "merchandiser")
    query = "&".join(f"number={order.number}" for order in orders)
    assert "Ship 5 orders" in mia.get(f"/ops/fulfilment/ship?{query}").text
    typed: dict[str, object] = {"key": mia.field("key"), "carrier": "post-tw"}
    typed |= {"number": [order.number for order in orders]}
    typed |= {f"tracking.{order.number}": f"AB{n}" for n, order in enumerate(orders)}
    bad = f"tracking.{orders[2].number}"
    answer = mia.post("/ops/fulfilment/ship", {**typed, bad: "<b>"})
    assert answer.status_code == 422 and "4 orders are shipped" in answer.text
    assert [fulfilment(order) for order in orders] == ["SHIPPED", "SHIPPED", "TO_PACK", "SHIPPED", "SHIPPED"]
    assert "Ship 1 order<" in answer.text and 'value="&lt;b&gt;"' in answer.text
    for _ in range(2):
        assert mia.post("/ops/fulfilment/ship", typed).location == "/ops/fulfilment"
    package = package_of(orders[2])
    assert (package.carrier, package.tracking_number) == ("Chunghwa Post", "AB2")
    assert {len(find.packages([order.id])[order.id]) for order in orders} == {1}
    shop.sweep()
    assert mia.post("/ops/fulfilment/ship", {"key": "x"}).status_code == 422


@one_database
def test_a_refunded_order_is_not_to_be_packed_and_its_page_states_why(shop: Shop) -> None:
    order = shop.paid_order((KETTLE, 2))
    pack(shop, order, kettle=1)
    mia, path = visitor_as(shop, "merchandiser"), f"/ops/fulfilment/{order.number}"
    assert "Orders to pack and ship: 1" in text_of(mia.get("/ops").text)
    refund(shop, order, order.total_amount)
    page = text_of(mia.get(path).text)
    assert "All of the money was refunded." in page and "Cancel the packages that have not left" in page
    assert "Pack a package" not in page and listed(mia) == []
    assert "Orders to pack and ship" not in mia.get("/ops").text
    refused = mia.post(f"{path}/packages/1/ship", {"carrier": "dhl", "tracking_number": "1"})
    assert refused.status_code == 409 and "The order is refunded." in refused.text
    assert mia.post(f"{path}/packages/1/cancel", {}).status_code == 303


@one_database
def test_support_sees_the_packages_on_the_page_of_the_order_and_cannot_ship(shop: Shop) -> None:
    order = shop.paid_order((KETTLE, 2))
    pack(shop, order, kettle=1)
    ship(shop, order)
    support = visitor_as(shop, "support")
    page = text_of(support.get(f"/ops/orders/{order.number}").text)
    assert "Package 1, shipped" in page and "JD0146" in page and "Left to pack: 1 × Kettle" in page
    assert "Waits for 1 unit to be packed." in page
    assert 'href="#shipping-title">partly shipped<' in support.get(f"/ops/orders/{order.number}").text
    assert "shipment: shipped" in page and "mia@example.com" in page
    assert support.get(f"/ops/orders/{order.number}?source=shipment").status_code == 200
    assert support.get(f"/ops/fulfilment/{order.number}").status_code == 403


@pytest.mark.parametrize(("end", "is_marked"), [("LOST", True), ("WON", False)])
def test_an_order_whose_dispute_was_lost_is_marked_as_disputed_and_one_that_was_won_is_not(
    shop: Shop, end: str, is_marked: bool
) -> None:
    order = shop.paid_order()
    apply_disputes(shop, order, "OPEN", end)
    mia = visitor_as(shop, "merchandiser")
    pages = [mia.get(path).text for path in ("/ops/fulfilment", f"/ops/fulfilment/{order.number}")]
    assert [">disputed<" in page for page in pages] == [is_marked, is_marked]
    assert ("has taken it back" in pages[1]) == is_marked


def test_an_order_that_has_left_is_found_by_its_number_in_any_spelling(shop: Shop) -> None:
    mia, order = visitor_as(shop, "merchandiser"), shop.paid_order((PEN, 1))
    ship(shop, order, pack(shop, order))
    assert order.number not in mia.get("/ops/fulfilment").text
    typed = order.number.replace("-", "").lower()
    answer = mia.get(f"/ops/fulfilment/find?number=+{typed}")
    assert answer.status_code == 303 and answer.location == f"/ops/fulfilment/{order.number}"
    assert 'aria-current="true">Fulfilment' in mia.get(answer.location).text
    assert mia.get("/ops/fulfilment/find?number=").location == "/ops/fulfilment"
    missing = mia.get("/ops/fulfilment/find?number=none")
    assert missing.status_code == 404 and "There is no order none." in missing.text


@one_database
def test_a_shipped_order_leads_to_the_next_one_of_the_list_and_the_last_one_ends_it(shop: Shop) -> None:
    first, second, third = (shop.paid_order((PEN, 1)) for _ in range(3))
    with transaction():
        db.session.execute(update(Order).where(Order.id == second.id).values(country="JP"))
    mia, query = visitor_as(shop, "merchandiser"), "country=TW&state=TO_PACK"
    page = mia.get(f"/ops/fulfilment?{query}").text
    assert f'href="/ops/fulfilment/{first.number}?country=TW&amp;state=TO_PACK"' in page
    assert "No other order" not in mia.get(f"/ops/fulfilment/{first.number}?{query}").text
    seen = []
    for order, following in ((first, third), (third, None)):
        mia.get(f"/ops/fulfilment/ship?{query}&number={order.number}")
        typed = {"key": mia.field("key"), "carrier": "dhl", "number": order.number, f"tracking.{order.number}": "A1"}
        address = mia.post(f"/ops/fulfilment/ship?{query}", typed).location
        assert address == f"/ops/fulfilment/{order.number}?{query}"
        page = mia.get(address).text
        link = f'href="/ops/fulfilment/{following.number}?country=TW&amp;state=TO_PACK">Next order' if following else ""
        assert link in page and (following is not None) == ("Next order" in page)
        seen.append("No other order of this list is left to pack or to ship." in page)
    assert seen == [False, True]
    page = text_of(mia.get(f"/ops/fulfilment/{third.number}").text)
    assert f"Next order: {second.number}" in page
    ship(shop, second, pack(shop, second))
    assert "No other order is left to pack or to ship." in mia.get(f"/ops/fulfilment/{third.number}").text


@one_database
def test_an_order_after_the_last_of_the_list_is_followed_by_the_first_and_unknown_filters_are_refused(
    shop: Shop,
) -> None:
    first, second = (shop.paid_order((PEN, 1)) for _ in range(2))
    mia = visitor_as(shop, "merchandiser")
    assert to_ship.next_after(first, Filters(), UTC) == second.number
    assert to_ship.next_after(second, Filters(), UTC) == first.number
    assert to_ship.next_after(shop.order((PEN, 1)), Filters(), UTC) == first.number
    for path in (f"/{first.number}?", f"/ship?number={first.number}&", f"/pick-list?number={first.number}&"):
        assert mia.get(f"/ops/fulfilment{path}country=TW").status_code == 200
        assert mia.get(f"/ops/fulfilment{path}_scheme=x").status_code == 422
    mia.get(f"/ops/fulfilment/{first.number}")
    typed = {"key": mia.field("key"), f"units.{PEN}": "1"}
    assert mia.post(f"/ops/fulfilment/{first.number}/pack?country=XX", typed).status_code == 422
    assert fulfilment(first) == "TO_PACK"


@one_database
def test_a_form_for_an_order_that_has_left_leads_to_it_and_one_for_no_order_to_the_list(shop: Shop) -> None:
    order = shop.paid_order((PEN, 1))
    mia = visitor_as(shop, "merchandiser")
    mia.get(f"/ops/fulfilment/ship?number={order.number}")
    key = mia.field("key")
    ship(shop, order, pack(shop, order))
    of_order, of_list = f"/ops/fulfilment/{order.number}?country=TW", "/ops/fulfilment?country=TW"
    for typed, address in ((order.number.lower(), of_order), ("../orders", of_list), ("", of_list)):
        form = {"key": key, "carrier": "dhl", "number": typed}
        assert mia.post("/ops/fulfilment/ship?country=TW", form).location == address, typed
