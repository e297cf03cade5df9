"""The return address of acquirers: redirects to the order and discloses nothing."""

from __future__ import annotations

import pytest

from shop.core.db import db
from shop.orders import find, links
from shop.orders.models import Order
from shop.payments.calls import request as requests
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor, return_path

ADA = {"email": "ada@example.com", "name": "Ada", "password": "a long enough sentence"}


def order_at(path: str) -> Order:
    db.session.rollback()
    order = find.by_token(path.rpartition("/")[2])
    assert order
    return order


def test_no_address_that_an_acquirer_is_given_holds_the_token_of_the_order(visitor: Visitor, shop: Shop) -> None:
    order = order_at(visitor.order())
    requested = requests.load(shop.payment(order).id)
    assert requested and requested.return_url.endswith(return_path(order))
    assert order.token not in requested.return_url and order.token not in repr(requested.request)


def test_the_browser_that_opened_the_order_is_led_back_to_it(visitor: Visitor, shop: Shop) -> None:
    path = visitor.order()
    visitor.get(path)
    response = visitor.get(return_path(order_at(path)))
    assert response.status_code == 303 and response.location == path
    assert response.headers["Cache-Control"] == "no-store"


def test_any_other_browser_sees_a_page_without_data_of_the_order(
    visitor: Visitor, other_visitor: Visitor, shop: Shop
) -> None:
    path = visitor.order()
    other_visitor.get(other_visitor.order())
    order = order_at(path)
    answer = other_visitor.get(return_path(order))
    assert answer.status_code == 200 and "checking your payment" in answer.text
    for secret in (order.token, order.number, order.email, order.name, order.line1, "Kettle"):
        assert secret not in answer.text
    payment = shop.payment(order)
    assert payment.returned_at, "the acquirer is asked all the same"


def test_the_owner_is_led_back_on_another_device(visitor: Visitor, other_visitor: Visitor, shop: Shop) -> None:
    visitor.get("/register")
    visitor.post("/register", ADA)
    path = visitor.order()
    other_visitor.get("/sign-in")
    other_visitor.post("/sign-in", ADA)
    assert other_visitor.get(return_path(order_at(path))).location == path


def test_the_mark_of_one_order_gives_no_access_to_another(visitor: Visitor, other_visitor: Visitor, shop: Shop) -> None:
    mine, theirs = order_at(visitor.order()), order_at(other_visitor.order())
    visitor.client.set_cookie("opened", links.opened_mark(mine.token), path=return_path(theirs))
    assert visitor.get(return_path(theirs)).status_code == 200


@pytest.mark.parametrize("wrong", ["x", "{number}", "{number}.", "{number}.{zeros}", "{token}", "\u00e9.\u00e9", "."])
def test_a_return_address_that_was_never_given_is_404(visitor: Visitor, shop: Shop, wrong: str) -> None:
    order = order_at(visitor.order())
    given = wrong.format(number=order.number, zeros="0" * 32, token=order.token)
    assert visitor.get(f"/return/{given}").status_code == 404


def test_the_address_is_404_when_the_order_is(visitor: Visitor, shop: Shop) -> None:
    path = visitor.order()
    order = order_at(path)
    visitor.get(path)
    visitor.post(f"{path}/cancel")
    shop.turn(days=31)
    assert visitor.get(return_path(order)).status_code == 404
