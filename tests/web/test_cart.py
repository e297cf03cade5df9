"""The cart, without JavaScript and with it."""

from __future__ import annotations

from collections import Counter

import pytest
from flask import Flask

from shop.checkout import cart
from shop.checkout.models import Cart, CartLine
from shop.core.db import db, transaction
from shop.inventory import stock
from tests.race_fixtures import Race
from tests.shop_fixtures import KETTLE, PEN, PRICES, Shop
from tests.web.conftest import HTMX, Visitor, reprice

NO_QUANTITY = ["0", "-1", "1000000000", "abc", "", "1.5", "1e3", "99999999999999999999999", " ", "100"]


@pytest.mark.parametrize("quantity", NO_QUANTITY)
def test_a_quantity_that_is_none_is_refused_with_a_sentence_and_the_cart_is_kept(
    visitor: Visitor, quantity: str
) -> None:
    visitor.add(KETTLE, 2)
    response = visitor.add(PEN, quantity)
    assert response.status_code == 422 and "Enter a whole number from 1 to 99." in response.text
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
    assert response.status_code in (404, 422) and "We do not sell this product." in response.text
    assert visitor.cart() == {KETTLE: 2}


def has(units: int) -> None:
    with transaction():
        stock.receive(KETTLE, units - stock.available([KETTLE])[KETTLE])


def test_more_than_99_of_one_product_are_refused_with_a_sentence_and_nothing_is_added(
    visitor: Visitor, shop: Shop
) -> None:
    has(200)
    visitor.add(KETTLE, 60)
    response = visitor.add(KETTLE, 60)
    assert response.status_code == 422
    assert "You can order at most 99 of one product. Your cart already contains 60. Nothing was added." in (
        response.text
    )
    assert visitor.post("/cart/lines", {"sku": KETTLE, "quantity": "60"}, headers=HTMX).status_code == 422
    assert visitor.cart() == {KETTLE: 60}
    visitor.add(KETTLE, 39)
    assert visitor.cart() == {KETTLE: 99}


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_no_more_than_what_is_available_goes_into_the_cart(visitor: Visitor, shop: Shop, headers: dict) -> None:
    has(2)
    assert 'max="2"' in visitor.get("/products/kettle").text
    refused = visitor.post("/cart/lines", {"sku": KETTLE, "quantity": "5"}, headers=headers)
    assert refused.status_code == 422
    assert "Only 2 left. Your cart already contains 0. Nothing was added." in refused.text
    visitor.add(KETTLE, 2)
    refused = visitor.post(f"/cart/lines/{KETTLE}", {"quantity": "5"}, headers=headers)
    assert refused.status_code == 422 and "Only 2 left. Reduce the quantity." in refused.text
    assert visitor.cart() == {KETTLE: 2}
    has(0)
    refused = visitor.post("/cart/lines", {"sku": KETTLE, "quantity": "1"}, headers=headers)
    assert "This product has sold out. Nothing was added." in refused.text
    assert "Kettle: sold out" in visitor.get("/checkout").text
    visitor.post(f"/cart/lines/{KETTLE}", {"quantity": "0"}, headers=headers)
    assert visitor.cart() == {}


def test_eight_concurrent_additions_never_exceed_99_and_each_response_has_the_quantity(shop: Shop, race: Race) -> None:
    cart_id = shop.cart((KETTLE, 51))
    results = race(lambda _: cart.add(cart_id, KETTLE, 8))
    assert sorted(r for r in results if isinstance(r, int)) == [59, 67, 75, 83, 91, 99]
    assert [r.code for r in results if isinstance(r, cart.TooMany)] == ["too_many"] * 2
    db.session.rollback()
    assert cart.load(cart_id).units == 99


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_undo_restores_a_removed_line_once_however_often_it_is_clicked(visitor: Visitor, headers: dict) -> None:
    undo = taken_out(visitor, 3)
    for _ in range(2):
        response = visitor.post("/cart/lines", undo, headers=headers)
        assert response.status_code == (200 if headers else 303)
        assert visitor.cart() == {KETTLE: 3}
    assert "was removed from your cart" not in visitor.get(f"/cart?removed={KETTLE}&quantity=3").text


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_an_undo_whose_cart_has_changed_since_is_refused_with_a_message(visitor: Visitor, headers: dict) -> None:
    undo = taken_out(visitor, 3)
    visitor.add(KETTLE, 2)
    response = visitor.post("/cart/lines", undo, headers=headers)
    assert response.status_code == 409
    assert "Nothing was added. Your cart has changed and now contains 2 of this product." in response.text
    assert visitor.cart() == {KETTLE: 2}


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_undo_restores_no_more_than_what_is_available_with_a_message(
    visitor: Visitor, shop: Shop, headers: dict[str, str]
) -> None:
    undo = taken_out(visitor, 3)
    has(2)
    for _ in range(2):
        response = visitor.post("/cart/lines", undo, headers=headers)
        assert response.status_code == (200 if headers else 303)
        assert "Kettle: only 2 left. Your cart contains 2." in (response.text if headers else visitor.get("/cart").text)
        assert visitor.cart() == {KETTLE: 2}


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_undo_of_what_has_sold_out_meanwhile_is_refused_with_a_message(
    visitor: Visitor, shop: Shop, headers: dict[str, str]
) -> None:
    undo = taken_out(visitor, 3)
    has(0)
    response = visitor.post("/cart/lines", undo, headers=headers)
    assert response.status_code == 422 and "This product has sold out. Nothing was added." in response.text
    assert visitor.cart() == {}


def test_remove_pressed_twice_still_offers_to_put_back(visitor: Visitor) -> None:
    visitor.add(KETTLE, 3)
    visitor.get("/cart")
    seen = visitor.field("seen")
    answers = [visitor.post(f"/cart/lines/{KETTLE}/remove", {"seen": seen}) for _ in range(2)]
    assert {answer.location for answer in answers} == {f"/cart?removed={KETTLE}&quantity=3"}
    assert visitor.cart() == {}


def taken_out(visitor: Visitor, quantity: int) -> dict[str, object]:
    """The fields of the form that restores the removed line."""
    visitor.add(KETTLE, quantity)
    visitor.get("/cart")
    response = visitor.post(f"/cart/lines/{KETTLE}/remove")
    assert response.status_code == 303
    page = visitor.get(response.location).text
    assert "Kettle was removed from your cart." in page and visitor.cart() == {}
    visitor.page = page
    return {name: visitor.field(name) for name in ("sku", "quantity", "from", "seen")}


def test_a_quantity_of_zero_removes_the_line_and_offers_undo(visitor: Visitor) -> None:
    visitor.add(KETTLE, 3)
    visitor.get("/cart")
    response = visitor.post(f"/cart/lines/{KETTLE}", {"quantity": "0"}, headers=HTMX)
    assert "Kettle was removed from your cart." in response.text and visitor.cart() == {}


@pytest.mark.parametrize(
    "query", ["removed=NO&quantity=1", "removed=TEST-KETTLE&quantity=-1", "removed=<b>&quantity=x"]
)
def test_a_url_cannot_inject_a_message_into_the_cart(visitor: Visitor, query: str) -> None:
    response = visitor.get(f"/cart?{query}")
    assert response.status_code == 200 and "was removed from your cart" not in response.text


def test_with_htmx_adding_answers_with_the_badge_and_an_announcement(visitor: Visitor) -> None:
    visitor.get("/products/kettle")
    fragment = visitor.post("/cart/lines", {"sku": KETTLE, "quantity": "2"}, headers=HTMX).text
    assert "<html" not in fragment and "2 × Kettle are in your cart." in fragment
    again = visitor.post("/cart/lines", {"sku": KETTLE, "quantity": "3"}, headers=HTMX).text
    assert "5 × Kettle are in your cart." in again, "the total"
    assert '<hx-partial hx-target="#cart-badge"' in fragment and '<hx-partial hx-target="#live"' in fragment


def test_without_htmx_adding_shows_the_total_quantity(visitor: Visitor) -> None:
    visitor.add(KETTLE, 2)
    visitor.add(KETTLE, 3)
    assert "5 × Kettle are in your cart." in visitor.get("/cart").text
    assert "are in your cart" not in visitor.get("/cart").text, "once"


def test_the_cart_can_be_paid_in_another_currency(visitor: Visitor) -> None:
    visitor.add(KETTLE)
    visitor.get("/cart")
    assert visitor.post("/cart/currency", {"currency": "JPY"}).status_code == 303
    assert "¥5,600" in visitor.get("/cart").text
    assert "¥420" in visitor.get("/products/pen").text
    assert visitor.post("/cart/currency", {"currency": "EUR"}).status_code == 422


def test_a_form_without_its_token_changes_nothing(visitor: Visitor) -> None:
    visitor.add(KETTLE)
    visitor.page = ""
    assert visitor.post("/cart/lines", {"sku": KETTLE, "quantity": "1"}).status_code == 400
    assert visitor.cart() == {KETTLE: 1}


def test_a_cart_that_does_not_exist_any_more_is_an_empty_one(visitor: Visitor) -> None:
    with visitor.client.session_transaction() as cookie:
        cookie["cart"] = "gone"
    assert "Your cart is empty" in visitor.get("/cart").text
    visitor.add(KETTLE)
    assert visitor.cart() == {KETTLE: 1}


def test_a_changed_price_is_shown_before_the_checkout_and_can_be_accepted(visitor: Visitor, app) -> None:  # noqa: ANN001
    visitor.add(KETTLE)
    with visitor.client.session_transaction() as cookie:
        cart_id = cookie["cart"]
    with app.app_context():
        with transaction():
            db.session.execute(db.update(CartLine).values(seen_amount=100))
        assert cart.load(cart_id).lines[0].price_was
    page = visitor.get("/cart").text
    assert "The prices of these items have changed: Kettle." in page and "NT$1" in page
    with app.app_context():
        reprice(KETTLE, 90000)
        stale = visitor.post("/cart/prices", {"terms": visitor.field("terms")})
        assert stale.status_code == 409 and "The prices of these items have changed" in stale.text, (
            "other ones were seen"
        )
        reprice(KETTLE, PRICES[KETTLE]["TWD"])
    visitor.get("/cart")
    assert visitor.post("/cart/prices", {"terms": visitor.field("terms")}).status_code == 303
    assert "The prices of these items have changed" not in visitor.get("/cart").text
    assert visitor.checkout().status_code == 303


def test_a_price_that_changed_is_shown_when_the_order_is_placed_and_the_next_submission_accepts_it(
    visitor: Visitor, app
) -> None:  # noqa: ANN001
    visitor.add(KETTLE)
    with app.app_context(), transaction():
        db.session.execute(db.update(CartLine).values(seen_amount=100))
    refused = visitor.checkout()
    assert refused.status_code == 409 and "Kettle: price changed from NT$1 to NT$1,200" in refused.text
    assert visitor.post("/checkout", visitor.filled()).status_code == 303


def test_a_cookie_that_is_sent_again_and_again_makes_one_cart(visitor: Visitor, shop: Shop) -> None:
    visitor.get("/products/pen")
    cookie, token = visitor.client.get_cookie("settled"), visitor.field("csrf_token")
    assert cookie and token
    for _ in range(10):
        visitor.client.set_cookie("settled", cookie.value)
        form = {"csrf_token": token, "sku": "TEST-PEN", "quantity": "1"}
        assert visitor.client.post("/cart/lines", data=form).status_code == 303
    assert shop.count(Cart) == 1


def test_one_network_makes_sixty_new_carts_a_minute_and_no_more(app: Flask, shop: Shop) -> None:
    statuses: Counter[int] = Counter()
    for number in range(64):
        client = app.test_client()
        client.environ_base["REMOTE_ADDR"] = f"2001:db8:7:7::{number}"
        form = {"sku": "TEST-PEN", "quantity": "1"}
        statuses[client.post("/cart/lines", data=form, headers={"Sec-Fetch-Site": "same-origin"}).status_code] += 1
    assert statuses == {303: 60, 429: 4}
    assert shop.count(Cart) == 60
