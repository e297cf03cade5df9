"""The button "Order again" on the order page: adds to the cart, once per intended click."""

from __future__ import annotations

from shop.checkout import cart as carts
from shop.core.db import db, transaction
from shop.inventory import stock
from shop.orders import find
from shop.orders.models import OrderLine
from tests.race_fixtures import Race
from tests.shop_fixtures import KETTLE, PEN, Shop
from tests.web.conftest import Visitor
from tests.web.test_cart import has


def cancelled(visitor: Visitor, quantity: int = 2) -> str:
    """The path of an order of kettles cancelled by its customer."""
    visitor.add(KETTLE, quantity)
    path = str(visitor.checkout().location)
    visitor.get(path)
    visitor.post(f"{path}/cancel")
    visitor.get(path)
    return path


def test_order_again_adds_to_what_is_in_the_cart(visitor: Visitor, shop: Shop) -> None:
    path = cancelled(visitor)
    visitor.add(KETTLE, 3)
    visitor.add(PEN, 1)
    visitor.get(path)
    visitor.post(f"{path}/again", {"form_id": visitor.field("form_id")})
    assert visitor.cart() == {KETTLE: 5, PEN: 1}


def test_order_again_pressed_twice_adds_once_and_on_a_page_opened_anew_once_more(visitor: Visitor, shop: Shop) -> None:
    path = cancelled(visitor)
    form = {"form_id": visitor.field("form_id")}
    for _ in range(2):
        assert visitor.post(f"{path}/again", form).location == "/cart"
    assert visitor.cart() == {KETTLE: 2}
    visitor.get(path)
    visitor.post(f"{path}/again", {"form_id": visitor.field("form_id")})
    assert visitor.cart() == {KETTLE: 4}
    visitor.get("/cart")
    visitor.post(f"/cart/lines/{KETTLE}/remove")
    visitor.post(f"{path}/again", form)
    assert visitor.cart() == {KETTLE: 2}, "the cart was changed in between, so this is meant"


def test_eight_concurrent_clicks_on_order_again_add_once(shop: Shop, race: Race) -> None:
    cart_id = shop.cart((PEN, 1))
    results = race(lambda _: carts.add_again(cart_id, [(KETTLE, 2)], "id-of-one-form"))
    assert not [r for r in results if isinstance(r, Exception)], results
    db.session.rollback()
    assert {line.sku: line.quantity for line in carts.load(cart_id).lines} == {PEN: 1, KETTLE: 2}


def test_order_again_lists_what_is_no_longer_sold_and_the_limit_of_99(visitor: Visitor, shop: Shop) -> None:
    path = cancelled(visitor)
    with transaction():
        stock.receive(KETTLE, 100)
    visitor.add(KETTLE, 98)
    order = find.by_token(path.rsplit("/", 1)[1])
    assert order
    with transaction():
        gone = {"order_id": order.id, "sku": "GONE", "position": 9, "name": "Sealing Wax", "slug": "wax"}
        db.session.add(OrderLine(**gone, image="mark.svg", quantity=1, unit_amount=0, currency="TWD"))
    visitor.get(path)
    visitor.post(f"{path}/again", {"form_id": visitor.field("form_id")})
    page = visitor.get("/cart").text
    assert "Kettle: your cart contains 99, the maximum for one product." in page
    assert "Sealing Wax is no longer available and was not added to your cart." in page
    assert visitor.cart() == {KETTLE: 99}
    with transaction():
        db.session.execute(db.delete(OrderLine).where(OrderLine.sku == "GONE"))


def ordered_again(visitor: Visitor, path: str) -> str:
    """The cart page after "Order again"."""
    visitor.get(path)
    visitor.post(f"{path}/again", {"form_id": visitor.field("form_id")})
    return visitor.get("/cart").text


def test_order_again_adds_no_more_than_what_is_available_with_a_message(visitor: Visitor, shop: Shop) -> None:
    path = cancelled(visitor, 5)
    has(7)
    visitor.add(KETTLE, 3)
    assert "Kettle: only 7 left. Your cart contains 7." in ordered_again(visitor, path)
    assert visitor.cart() == {KETTLE: 7}
    has(6)
    assert "Kettle: only 6 left. Your cart contains 7." in ordered_again(visitor, path), "it reduces no quantity"
    assert visitor.cart() == {KETTLE: 7}


def test_order_again_adds_nothing_of_what_has_sold_out_and_everything_else(visitor: Visitor, shop: Shop) -> None:
    visitor.add(PEN)
    path = cancelled(visitor, 1)
    has(0)
    assert "Kettle has sold out and was not added to your cart." in ordered_again(visitor, path)
    assert visitor.cart() == {PEN: 1}


def test_order_again_of_the_last_units_needs_no_message(visitor: Visitor, shop: Shop) -> None:
    path = cancelled(visitor, 2)
    has(2)
    assert "only 2 left" not in ordered_again(visitor, path)
    assert visitor.cart() == {KETTLE: 2}


def test_order_again_pressed_twice_shows_the_message_both_times(visitor: Visitor, shop: Shop) -> None:
    path = cancelled(visitor, 5)
    has(2)
    form = {"form_id": visitor.field("form_id")}
    for _ in range(2):
        visitor.post(f"{path}/again", form)
        assert "Kettle: only 2 left. Your cart contains 2." in visitor.get("/cart").text
    assert visitor.cart() == {KETTLE: 2}
