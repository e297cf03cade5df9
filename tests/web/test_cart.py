"""The cart, without JavaScript and with it."""

from __future__ import annotations

import pytest

from shop.checkout import cart
from tests.shop_fixtures import KETTLE, PEN
from tests.web.conftest import HTMX, Visitor

NO_QUANTITY = ["0", "-1", "1000000000", "abc", "", "1.5", "1e3", "99999999999999999999999", "٣", " ", "100"]


@pytest.mark.parametrize("quantity", NO_QUANTITY)
def test_a_quantity_that_is_none_is_refused_with_a_sentence_and_the_cart_is_kept(
    visitor: Visitor, quantity: str
) -> None:
    visitor.add(KETTLE, 2)
    response = visitor.add(PEN, quantity)
    assert response.status_code == 422 and "Please choose a" in response.text
    assert visitor.cart() == {KETTLE: 2}


@pytest.mark.parametrize("quantity", [n for n in NO_QUANTITY if n != "0"])
def test_a_change_to_no_quantity_is_refused_beside_its_line(visitor: Visitor, quantity: str) -> None:
    visitor.add(KETTLE, 2)
    visitor.get("/cart")
    response = visitor.post(f"/cart/lines/{KETTLE}", {"quantity": quantity})
    assert response.status_code == 422 and f'id="wrong-{KETTLE}"' in response.text
    assert visitor.cart() == {KETTLE: 2}


@pytest.mark.parametrize("sku", ["NO-SUCH", "", "'; --", "x" * 400, "\0", "<b>"])
def test_an_unknown_sku_is_refused_and_the_cart_is_kept(visitor: Visitor, sku: str) -> None:
    visitor.add(KETTLE, 2)
    response = visitor.post("/cart/lines", {"sku": sku, "quantity": "1"})
    assert response.status_code in (404, 422) and "We do not sell that." in response.text
    assert visitor.cart() == {KETTLE: 2}


def test_adding_the_same_again_adds_up_to_99(visitor: Visitor) -> None:
    visitor.add(KETTLE, 60)
    visitor.add(KETTLE, 60)
    assert visitor.cart() == {KETTLE: 99}


def test_what_is_taken_out_can_be_put_back(visitor: Visitor) -> None:
    visitor.add(KETTLE, 3)
    visitor.get("/cart")
    response = visitor.post(f"/cart/lines/{KETTLE}/remove")
    assert response.status_code == 303
    page = visitor.get(response.location).text
    assert "Kettle is out of the cart." in page and visitor.field("quantity") == "3"
    visitor.post("/cart/lines", {"sku": KETTLE, "quantity": "3", "from": "cart"})
    assert visitor.cart() == {KETTLE: 3}


def test_a_change_to_nothing_takes_it_out_with_a_way_back(visitor: Visitor) -> None:
    visitor.add(KETTLE, 3)
    visitor.get("/cart")
    response = visitor.post(f"/cart/lines/{KETTLE}", {"quantity": "0"}, headers=HTMX)
    assert "Kettle is out of the cart." in response.text and visitor.cart() == {}


@pytest.mark.parametrize(
    "query", ["removed=NO&quantity=1", "removed=TEST-KETTLE&quantity=-1", "removed=<b>&quantity=x"]
)
def test_an_address_cannot_make_the_cart_say_what_it_likes(visitor: Visitor, query: str) -> None:
    response = visitor.get(f"/cart?{query}")
    assert response.status_code == 200 and "is out of the cart" not in response.text


def test_with_htmx_adding_answers_with_the_badge_and_an_announcement(visitor: Visitor) -> None:
    visitor.get("/products/kettle")
    fragment = visitor.post("/cart/lines", {"sku": KETTLE, "quantity": "2"}, headers=HTMX).text
    assert "<html" not in fragment and "2 × Kettle are in your cart." in fragment
    assert '<hx-partial hx-target="#cart-badge"' in fragment and '<hx-partial hx-target="#live"' in fragment


def test_the_cart_can_be_paid_in_another_currency(visitor: Visitor) -> None:
    visitor.add(KETTLE)
    visitor.get("/cart")
    assert visitor.post("/cart/currency", {"currency": "JPY"}).status_code == 303
    assert "¥5,600 JPY" in visitor.get("/cart").text
    assert "¥420 JPY" in visitor.get("/products/pen").text
    assert visitor.post("/cart/currency", {"currency": "EUR"}).status_code == 422


def test_a_form_without_its_token_changes_nothing(visitor: Visitor) -> None:
    visitor.add(KETTLE)
    visitor.page = ""
    assert visitor.post("/cart/lines", {"sku": KETTLE, "quantity": "1"}).status_code == 400
    assert visitor.cart() == {KETTLE: 1}


def test_a_cart_that_does_not_exist_any_more_is_an_empty_one(visitor: Visitor) -> None:
    with visitor.client.session_transaction() as cookie:
        cookie["cart"] = "gone"
    assert "Nothing in here yet." in visitor.get("/cart").text
    visitor.add(KETTLE)
    assert visitor.cart() == {KETTLE: 1}


def test_a_moved_price_is_shown_before_the_checkout_and_can_be_accepted(visitor: Visitor, app) -> None:  # noqa: ANN001
    visitor.add(KETTLE)
    with visitor.client.session_transaction() as cookie:
        cart_id = cookie["cart"]
    with app.app_context():
        from shop.checkout.models import CartLine
        from shop.core.db import db, writing

        with writing():
            db.session.execute(db.update(CartLine).values(seen_amount=100))
        assert cart.load(cart_id).lines[0].price_was
    page = visitor.get("/cart").text
    assert "Prices have changed since you put these in: Kettle." in page and "NT$1.00 TWD" in page
    assert visitor.checkout().status_code == 409
    visitor.get("/cart")
    assert visitor.post("/cart/prices").status_code == 303
    assert "Prices have changed" not in visitor.get("/cart").text
    assert visitor.checkout().status_code == 303
