"""The cart of an account: merged with the guest's at sign-in, the same on all devices."""

from __future__ import annotations

import pytest
from flask import Flask

from shop.checkout import account_cart
from shop.checkout import cart as carts
from shop.core.db import db
from shop.orders.models import Order
from tests.race_fixtures import Race
from tests.shop_fixtures import KETTLE, PEN, Shop
from tests.web.conftest import Visitor, reprice

pytestmark = pytest.mark.usefixtures("shop")
ADA = {"email": "ada@example.com", "name": "Ada", "password": "a long enough sentence"}


def registered(visitor: Visitor, email: str = "ada@example.com") -> Visitor:
    visitor.get("/register")
    assert visitor.post("/register", ADA | {"email": email}).status_code == 303
    visitor.get("/account")
    return visitor


def signs_in(visitor: Visitor, email: str = "ada@example.com") -> Visitor:
    visitor.get("/sign-in")
    assert visitor.post("/sign-in", {"email": email, "password": ADA["password"]}).status_code == 303
    return visitor


def signs_out(visitor: Visitor) -> None:
    visitor.get("/account")
    visitor.post("/sign-out")


def test_what_a_customer_left_in_the_cart_is_there_on_another_device(visitor: Visitor, other_visitor: Visitor) -> None:
    registered(visitor).add(KETTLE, 2)
    assert signs_in(other_visitor).cart() == {KETTLE: 2}
    other_visitor.add(PEN)
    assert visitor.cart() == {KETTLE: 2, PEN: 1}, "both devices show one cart"
    signs_out(visitor)
    assert visitor.cart() == {} and other_visitor.cart() == {KETTLE: 2, PEN: 1}
    assert signs_in(visitor).cart() == {KETTLE: 2, PEN: 1}


def test_the_guests_cart_and_that_of_the_account_are_merged(visitor: Visitor, other_visitor: Visitor) -> None:
    registered(visitor).add(KETTLE, 2)
    other_visitor.add(KETTLE, 3)
    other_visitor.add(PEN)
    signs_in(other_visitor)
    page = other_visitor.get("/cart").text
    assert "Your cart now also contains the items from your earlier visit." in page
    assert other_visitor.cart() == visitor.cart() == {KETTLE: 5, PEN: 1}
    assert signs_in(other_visitor).cart() == {KETTLE: 5, PEN: 1}, "a second sign-in adds nothing"


def test_merged_quantities_are_not_more_than_is_available(visitor: Visitor, other_visitor: Visitor, shop: Shop) -> None:
    registered(visitor).add(KETTLE, 6)
    visitor.add(PEN, 1)
    other_visitor.add(KETTLE, 7)
    signs_in(other_visitor)
    page = other_visitor.get("/cart").text
    assert "Some items are no longer available in the quantity that you had chosen." in page
    assert other_visitor.cart() == {KETTLE: 10, PEN: 1}


def test_products_without_a_price_in_the_new_currency_stay_in_the_cart(
    visitor: Visitor, other_visitor: Visitor
) -> None:
    registered(visitor).add(KETTLE)
    other_visitor.add(PEN)
    other_visitor.get("/cart")
    other_visitor.post("/cart/currency", {"currency": "JPY"})
    signs_in(other_visitor)
    assert set(other_visitor.cart()) == {KETTLE, PEN}


def test_a_price_that_has_changed_since_the_earlier_visit_is_announced(visitor: Visitor) -> None:
    registered(visitor).add(KETTLE)
    signs_out(visitor)
    reprice(KETTLE, 130000)
    signs_in(visitor)
    assert "Price changed" in visitor.get("/cart").text


def test_the_cart_of_an_account_is_not_taken_by_the_next_account_of_the_browser(
    visitor: Visitor, other_visitor: Visitor
) -> None:
    registered(other_visitor, "bob@example.com")
    registered(visitor).add(KETTLE)
    with visitor.client.session_transaction() as cookie:
        cookie.pop("sid")  # the sign-in has ended without a sign-out
    assert visitor.cart() == {KETTLE: 1}
    assert signs_in(visitor, "bob@example.com").cart() == {}
    assert signs_in(visitor).cart() == {KETTLE: 1}


def test_a_browser_whose_sign_in_has_ended_shows_no_orders_of_the_account(
    visitor: Visitor, other_visitor: Visitor, shop: Shop
) -> None:
    registered(visitor)
    signs_in(other_visitor).add(PEN)
    with other_visitor.client.session_transaction() as cookie:
        cookie.pop("sid")
    path = visitor.order()
    assert path not in other_visitor.get("/cart").text and path in visitor.get("/cart").text
    assert shop.count(Order) == 1


def test_other_devices_that_are_signed_out_lose_the_cart(visitor: Visitor, other_visitor: Visitor) -> None:
    registered(visitor)
    signs_in(other_visitor).add(KETTLE)
    visitor.get("/account")
    visitor.post("/account/sign-ins/end-others")
    assert other_visitor.cart() == {} and visitor.cart() == {KETTLE: 1}


def test_sign_ins_at_once_on_several_devices_lose_no_line(visitor: Visitor, app: Flask, race: Race, shop: Shop) -> None:
    registered(visitor).add(KETTLE)
    user = db.session.scalars(db.text("SELECT id FROM users")).one()
    guests = [carts.create(browser=f"seed {number}") for number in range(4)]
    for guest in guests:
        carts.add(guest, PEN, 1)
    joined = race(lambda number: account_cart.join(user, guests[number]), 4)
    assert all(isinstance(one, account_cart.Joined) for one in joined), joined
    assert visitor.cart() == {KETTLE: 1, PEN: 4}
