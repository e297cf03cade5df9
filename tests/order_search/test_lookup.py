"""Lookup of orders by ids and addresses."""

from __future__ import annotations

import pytest

from shop.core.db import db
from shop.core.money import Money
from shop.order_search.lookup import MOST, Hit, HitKind, find
from shop.payments.records.models import Capture
from shop.payments.refunds import refunds
from tests.shop_fixtures import PEN, Shop

PROVIDERS = ("fakepay", "otherpay")


def test_an_order_is_found_by_each_of_its_ids(shop: Shop) -> None:
    order = shop.order((PEN, 1))
    payment = shop.payment(order).id
    shop.acquirer.capture(payment)
    shop.deliver_webhook(payment, "evt_77")
    refunds.request(shop.capture(order), Money(100, "TWD"), reason="", by=shop.sam)
    capture = db.session.scalars(db.select(Capture.capture_id)).one()
    ids = {
        order.number: HitKind.ORDER,
        payment: HitKind.PAYMENT,
        shop.refunds(order)[0].id: HitKind.REFUND,
        capture: HitKind.CAPTURE,
        "evt_77": HitKind.EVENT,
    }
    for typed, kind in ids.items():
        assert find(typed, PROVIDERS) == [Hit(kind, typed, order.number)]
        assert find(f"  {typed} ", PROVIDERS)
        assert find(typed[:-1], PROVIDERS) == find(typed[1:], PROVIDERS) == [], "a part of an id finds nothing"
    assert [hit.number for hit in find(order.number.lower().replace("-", ""), PROVIDERS)] == [order.number]


def test_orders_are_found_by_the_beginning_of_an_address_in_either_case(shop: Shop) -> None:
    ada, adam = shop.order((PEN, 1), email="ada@example.com"), shop.order((PEN, 1), email="adam@example.com")
    shop.order((PEN, 1), email="zoe@ada.example")
    assert [(hit.found, hit.number) for hit in find("Ada", PROVIDERS)] == [
        ("ada@example.com", ada.number),
        ("adam@example.com", adam.number),
    ]
    assert [hit.number for hit in find("ADA@example.com", PROVIDERS)] == [ada.number]
    assert find("ad", PROVIDERS) == find("example.com", PROVIDERS) == find("a%a", PROVIDERS) == []


def test_a_search_shows_that_there_are_more_orders_of_an_address(shop: Shop) -> None:
    for _ in range(MOST + 2):
        shop.order((PEN, 1))
        shop.restock(PEN)
    assert len(find("ada@example", PROVIDERS)) == MOST + 1


@pytest.mark.parametrize("typed", ["", " ", "\x00", "x" * 201, "'; DROP TABLE orders", "%", "____", "\ud800"])
def test_text_that_is_no_id_finds_nothing(shop: Shop, typed: str) -> None:
    shop.order((PEN, 1))
    assert find(typed, PROVIDERS) == []
