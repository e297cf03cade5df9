"""List of orders: what each filter finds, keyset pages in both directions, and the number of orders."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from shop.core import clock
from shop.core.db import db, transaction
from shop.core.keyset import Page, Place
from shop.core.money import Money
from shop.order_search import pages
from shop.order_search.filters import Filters, parse
from shop.order_search.pages import Total, count, find
from shop.orders.models import Order
from shop.payments.records.models import Payment
from shop.payments.refunds import requests
from tests.shop_fixtures import PEN, Shop

UTC = ZoneInfo("UTC")
PROVIDERS = ("fakepay", "otherpay")


def numbers(page: Page[pages.Row]) -> list[str]:
    return [row.number for row in page.rows]


def found(**given: str | list[str]) -> set[str]:
    """Numbers of the orders that match; their count agrees."""
    values = {name.rstrip("_"): value if isinstance(value, list) else [value] for name, value in given.items()}
    filters = parse(values, PROVIDERS)
    rows = numbers(find(filters, UTC))
    assert len(rows) == count(filters, UTC).number
    return set(rows)


def late(shop: Shop) -> Order:
    """An order whose payment was captured after its end."""
    order = shop.order((PEN, 1))
    shop.turn(minutes=31)
    assert shop.state(order) == "EXPIRED"
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    return order


def test_each_filter_finds_its_orders(shop: Shop) -> None:
    expired = late(shop)
    waiting, paid = shop.order((PEN, 1)), shop.paid_order((PEN, 1), currency="TWD")
    yen, other = shop.order((PEN, 2), currency="JPY"), shop.order((PEN, 3), provider="otherpay")
    requests.request(shop.capture(paid), Money(100, "TWD"), reason="", by=shop.sam)
    assert found() == {one.number for one in (expired, waiting, paid, yen, other)}
    assert found(state="PAID") == {paid.number}
    assert found(state=["PAID", "EXPIRED"]) == {paid.number, expired.number}
    assert found(payment="CAPTURED") == {paid.number, expired.number}
    assert found(payment=["OPEN", "CREATED"]) == {waiting.number, yen.number, other.number}
    assert found(provider="otherpay") == {other.number}
    assert found(provider="otherpay", payment="CAPTURED") == set()
    assert found(currency="JPY") == {yen.number}
    assert found(currency="TWD", least="180", most="270") == {other.number}
    assert found(flag="late") == {expired.number}
    assert found(flag=["late", "open_refund"]) >= {expired.number, paid.number}
    assert found(flag=["duplicate", "wrong_amount", "in_review", "disputed"]) == set()


def test_orders_are_found_by_the_payment_method(shop: Shop) -> None:
    methods = {"card": "card", "convenience store": "store", "link": "other", "": "none"}
    placed = {}
    for method, name in methods.items():
        order = placed[name] = shop.paid_order((PEN, 1))
        with transaction():
            db.session.get_one(Payment, shop.payment(order).id).instrument = {"method": method}
    shop.order((PEN, 1))
    for name in ("card", "store", "other"):
        assert found(method=name) == {placed[name].number}
    assert found(method=["card", "store"], payment="CAPTURED") == {placed["card"].number, placed["store"].number}
    assert found(method="card", provider="otherpay") == set()


def test_an_empty_list_knows_which_filters_to_drop(shop: Shop) -> None:
    shop.order((PEN, 1))
    given = {"provider": ["fakepay"], "state": ["PAID"], "currency": ["TWD"], "least": ["1"]}
    assert pages.found_without(parse(given, PROVIDERS), UTC) == {
        "state": True,
        "provider": False,
        "currency": False,
        "least": False,
    }
    assert pages.found_without(Filters(), UTC) == {}


def test_money_of_another_amount_is_found_in_review(shop: Shop) -> None:
    order = shop.order((PEN, 1))
    shop.acquirer.capture(shop.payment(order).id, money=Money(8000, "TWD"))
    shop.deliver_webhook(shop.payment(order))
    assert found(flag="wrong_amount") == found(flag="in_review") == {order.number}
    [row] = find(Filters(), UTC).rows
    assert [str(flag) for flag in row.flags] == ["wrong_amount", "in_review"]


@pytest.mark.parametrize("name", ["UTC", "Etc/GMT-14", "Etc/GMT+12"])
def test_days_begin_at_midnight_in_the_zone_of_the_shop(shop: Shop, name: str) -> None:
    zone, one_day = ZoneInfo(name), timedelta(days=1)
    day = shop.order((PEN, 1)).placed_at.astimezone(zone).date()
    assert len(find(Filters(placed_from=day, placed_to=day), zone).rows) == 1
    assert not find(Filters(placed_from=day + one_day), zone).rows
    assert not find(Filters(placed_to=day - one_day), zone).rows


def test_a_row_shows_the_latest_payment_and_what_was_refunded(shop: Shop) -> None:
    order = shop.paid_order((PEN, 1))
    requests.request(shop.capture(order), Money(3000, "TWD"), reason="", by=shop.sam)
    shop.sweep()
    [row] = find(Filters(), UTC).rows
    assert (row.number, row.state, row.payment_state) == (order.number, "PARTIALLY_REFUNDED", "CAPTURED")
    assert (row.total, row.refunded, row.provider) == (Money(9000, "TWD"), Money(3000, "TWD"), "fakepay")


def test_pages_lead_forwards_and_backwards_and_to_the_end(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    placed = [shop.order((PEN, 1)).number for _ in range(7)][::-1]
    everything = Filters()
    first = find(everything, UTC, limit=3)
    second = find(everything, UTC, Place(after=first.older), limit=3)
    third = find(everything, UTC, Place(after=second.older), limit=3)
    assert [numbers(page) for page in (first, second, third)] == [placed[:3], placed[3:6], placed[6:]]
    assert (first.newer, third.older) == (None, None)
    assert numbers(find(everything, UTC, Place(before=third.newer), limit=3)) == placed[3:6]
    back = find(everything, UTC, Place(before=second.newer), limit=3)
    assert numbers(back) == placed[:3] and back.newer is None and back.older == first.older
    last = find(everything, UTC, Place(from_end=True), limit=3)
    assert numbers(last) == placed[4:] and last.older is None and last.newer
    assert numbers(find(everything, UTC, Place(before=last.newer), limit=3)) == placed[1:4]
    monkeypatch.setattr(pages, "COUNTED", 4)
    assert count(everything, UTC) == Total(4, False)


def test_orders_placed_at_the_same_moment_are_on_one_page_each(shop: Shop) -> None:
    placed = [shop.order((PEN, 1)).id for _ in range(5)][::-1]
    with transaction():
        db.session.execute(db.update(Order).values(placed_at=clock.now()))
    seen, at = list[int](), None
    for _ in range(5):
        page = find(Filters(), UTC, Place(after=at), limit=1)
        seen, at = seen + [row.id for row in page.rows], page.older
    assert seen == placed and at is None
