"""SQL statements of each page, counted on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event

from shop.catalogue import browse, products
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.money import Money
from shop.orders.models import Order
from shop.payments.refunds import requests
from tests.shop_fixtures import KETTLE, PEN, Shop
from tests.web.conftest import Visitor, reprice
from tests.web.test_checkout_agreement import signed_in

ORDER_PAGE = 7
LIMITS = {
    "/": (4, 5),
    "/products/kettle": (7, 8),
    "/cart": (3, 4),
    "/checkout": (3, 6),
    "/orders": (3, 7),
}
"""Maximum statements of a page for a guest and for a signed-in customer, with two products in the cart and an
unpaid order, when the catalogue is not cached.
"""


KEPT = ("FROM announcements", "FROM seller_data")
"""Statements that a process sends once a second, whatever the number of pages."""


@contextmanager
def statements(app: Flask) -> Iterator[list[str]]:
    """Record the statements, without BEGIN, which only SQLite is sent as a statement, and without the
    clock's offset, which only development reads.
    """
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN") and "clock_offset" not in statement:
            found.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    yield found
    event.remove(engine, "before_cursor_execute", note)


def sent_for(visitor: Visitor, path: str) -> list[str]:
    """The statements of one page."""
    with statements(visitor.client.application) as found:
        assert visitor.get(path).status_code == 200
    return found


def of_each(visitor: Visitor, path: str) -> list[str]:
    """The statements that each view of a page sends."""
    return [one for one in sent_for(visitor, path) if not any(kept in one for kept in KEPT)]


def unpaid_order(visitor: Visitor) -> str:
    """Path of an order that was just placed; the cart has two products again."""
    path = visitor.order()
    visitor.add(KETTLE)
    visitor.add(PEN)
    return path


@pytest.mark.parametrize("signed", [False, True])
def test_pages_need_few_statements(shop: Shop, visitor: Visitor, signed: bool) -> None:
    if signed:
        signed_in(visitor)
    order = unpaid_order(visitor)
    for path, limits in LIMITS.items():
        browse.clear_cache()
        found = of_each(visitor, path)
        assert len(found) <= limits[signed], "\n".join([path, *found])
    for view in ("first", "second"):
        found = of_each(visitor, order)
        assert len(found) <= ORDER_PAGE, "\n".join([view, *found])
        found = of_each(visitor, f"{order}/status")
        assert len(found) <= ORDER_PAGE - 2, "\n".join([view, *found])


def test_the_page_of_a_paid_order_with_refunds_needs_few_statements(shop: Shop, visitor: Visitor) -> None:
    token = visitor.order().rpartition("/")[2]
    order = db.session.scalars(db.select(Order).where(Order.token == token)).one()
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    requests.request(shop.capture(order), Money(100, "TWD"), reason="", by=shop.sam)
    shop.sweep()
    found = of_each(visitor, f"/orders/{token}")
    assert len(found) <= ORDER_PAGE - 1, "\n".join(found)
    assert not [one for one in found if not one.startswith("SELECT")]


def test_a_repeated_view_writes_nothing(shop: Shop, visitor: Visitor) -> None:
    order = visitor.order()
    first, again = ([one for one in of_each(visitor, order) if not one.startswith("SELECT")] for _ in range(2))
    assert len(first) == 1 and first[0].startswith("UPDATE payments")
    assert again == []


def test_the_catalogue_is_read_again_after_a_change(shop: Shop, visitor: Visitor) -> None:
    assert "NT$1,200" in visitor.get("/products/kettle").text
    kept = of_each(visitor, "/products/kettle")
    assert [one for one in kept if " stock" in one] and not [one for one in kept if " products" in one]
    products.set_price(KETTLE, Money(130000, "TWD"), by=Actor.operator())
    assert "NT$1,300" in visitor.get("/products/kettle").text


def test_the_cart_has_the_present_price_while_the_catalogue_is_kept(shop: Shop, visitor: Visitor) -> None:
    visitor.add()
    visitor.get("/products/kettle")
    reprice(KETTLE, 130000)
    assert "NT$1,300" in visitor.get("/cart").text
