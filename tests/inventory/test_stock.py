"""Stock: no unit is sold twice, no reservation is forgotten, and no callers deadlock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from shop.checkout import cart
from shop.core.db import db, transactional
from shop.core.errors import Refusal
from shop.inventory import stock
from shop.inventory.models import Reservation, Stock, StockMovement
from shop.inventory.refusals import OutOfStock
from shop.orders.models import Order
from tests.race_fixtures import Race
from tests.shop_fixtures import KETTLE, PEN, UNITS, Shop, bare_order


@pytest.fixture
def inside(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def in_one_transaction(do: Any, *arguments: Any) -> Any:
    return transactional(do)(*arguments)


def shelf(sku: str = KETTLE) -> tuple[int, int]:
    """Units on hand, and reserved ones."""
    db.session.rollback()
    row = db.session.execute(db.select(Stock.on_hand, Stock.reserved).where(Stock.sku == sku)).one()
    return (row.on_hand, row.reserved)


def kinds(results: list[Any]) -> Counter[str]:
    return Counter(r.code if isinstance(r, Refusal) else type(r).__name__ for r in results)


# --- races ---


def test_50_customers_and_a_stock_of_5_at_once_make_exactly_5_orders(shop: Shop, race: Race) -> None:
    """Case 9."""
    in_one_transaction(stock.receive, KETTLE, 5 - UNITS, "adjustment")
    carts = [shop.cart() for _ in range(50)]
    results = race(lambda number: shop.place(carts[number]), callers=50)
    assert kinds(results) == {"Order": 5, "out_of_stock": 45}
    assert shelf() == (5, 5)
    assert len(shop.acquirer.payments) == 5


def test_two_lines_of_one_sku_are_summed(shop: Shop) -> None:
    """Case 9."""
    order = shop.order((KETTLE, 2), (PEN, 1), (KETTLE, 3))
    assert {line.sku: line.quantity for line in order.lines} == {KETTLE: 5, PEN: 1}
    assert shelf() == (UNITS, 5)


def test_two_lines_of_one_sku_that_are_too_many_together_are_refused_together(shop: Shop) -> None:
    cart_id = shop.cart((KETTLE, 6), (KETTLE, 5))
    with pytest.raises(OutOfStock) as refused:
        shop.place(cart_id)
    assert [(i["sku"], i["available"]) for i in refused.value.details["short"]] == [(KETTLE, UNITS)]
    assert shelf() == (UNITS, 0)


def test_the_last_unit_goes_to_one_of_eight_and_the_others_keep_their_carts(shop: Shop, race: Race) -> None:
    in_one_transaction(stock.receive, KETTLE, 1 - UNITS, "adjustment")
    for _ in range(3):
        carts = [shop.cart() for _ in range(8)]
        results = race(lambda number, carts=carts: shop.place(carts[number]))
        assert kinds(results) == {"Order": 1, "out_of_stock": 7}
        assert sorted(cart.load(cart_id).units for cart_id in carts) == [0] + [1] * 7
        winner = next(r for r in results if isinstance(r, Order))
        shop.cancel(winner)
        assert shelf() == (1, 0)


def test_carts_with_the_same_products_in_opposite_orders_do_not_deadlock(shop: Shop, race: Race) -> None:
    for _ in range(3):
        carts = [shop.cart(*(((KETTLE, 1), (PEN, 1))[:: 1 if n % 2 else -1])) for n in range(8)]
        results = race(lambda number, carts=carts: shop.place(carts[number]))
        assert kinds(results) == {"Order": 8}
        assert (shelf(KETTLE), shelf(PEN)) == ((UNITS, 8), (UNITS, 8))
        results = race(lambda number, orders=results: shop.cancel(orders[number]))
        assert kinds(results) == {"NoneType": 8}
        assert (shelf(KETTLE), shelf(PEN)) == ((UNITS, 0), (UNITS, 0))


# --- operations ---


@pytest.mark.usefixtures("inside")
def test_a_shortage_names_every_sku_that_is_short_and_what_is_left_of_it() -> None:
    order_id = bare_order("PENDING")
    with pytest.raises(OutOfStock) as refused:
        in_one_transaction(stock.reserve, order_id, {PEN: 11, KETTLE: 12, "NO-SUCH": 1})
    short = {item["sku"]: item["available"] for item in refused.value.details["short"]}
    assert short == {PEN: UNITS, KETTLE: UNITS, "NO-SUCH": 0}
    assert (shelf(KETTLE), shelf(PEN)) == ((UNITS, 0), (UNITS, 0))


@pytest.mark.usefixtures("inside")
def test_the_database_refuses_to_remove_reserved_stock() -> None:
    in_one_transaction(stock.reserve, bare_order("PENDING"), {KETTLE: 6})
    with pytest.raises(IntegrityError):
        in_one_transaction(stock.receive, KETTLE, -5, "adjustment")
    assert shelf() == (UNITS, 6)


ORDERS = 4
a_word = st.tuples(
    st.sampled_from(["reserve", "release", "receive"]),
    st.integers(0, ORDERS - 1),
    st.integers(1, 6),
)


@pytest.mark.usefixtures("inside")
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(a_word, max_size=14))
def test_the_stock_sums_hold_after_any_sequence_of_operations(words: list[tuple[str, int, int]]) -> None:
    """Reserved equals the open reservations, on hand and sold equal the receipts, and nothing is negative."""
    orders = [bare_order("PENDING") for _ in range(ORDERS)]
    for word, who, quantity in words:
        say(word, orders[who], quantity)
        on_hand, reserved = shelf()
        assert 0 <= reserved <= on_hand
        assert reserved == total(Reservation, Reservation.state == "HELD")
        assert on_hand + total(Reservation, Reservation.state == "SOLD") == total(StockMovement)


def say(word: str, order_id: int, quantity: int) -> None:
    if word == "receive":
        in_one_transaction(stock.receive, KETTLE, quantity)
    elif word == "reserve":
        try:
            in_one_transaction(stock.reserve, order_id, {KETTLE: quantity})
        except (OutOfStock, IntegrityError):
            return  # too few are left, or this order has a reservation
    else:
        in_one_transaction(getattr(stock, word), order_id)


def total(table: Any, *conditions: Any) -> int:
    rows = db.select(db.func.coalesce(db.func.sum(table.quantity), 0)).where(table.sku == KETTLE, *conditions)
    return int(db.session.scalar(rows) or 0)
