"""Orders contain what the customer agreed to: contact, items, price and browser."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from shop.core import redis
from shop.core.db import db
from shop.orders.models import Order
from tests.race_fixtures import Race
from tests.shop_fixtures import KETTLE, PEN, Shop
from tests.web.conftest import CUSTOMER, Visitor, reprice, title

ADA = {"email": "ada@example.com", "name": "Ada", "password": "a long enough sentence"}
TYPED = {"name": "Grace Hopper", "line1": "7 Harbour Rd", "line2": "3F", "city": "Shibuya", "postcode": "150-0001"}
TYPED |= {"email": "grace@example.com", "method": "otherpay", "country": "JP"} | {
    "region": "Tokyo",
    "phone": "03-1234-5678",
}


@pytest.fixture(autouse=True)
def orders_are_sound(shop: Shop) -> None:
    """Each test ends with the invariants, as `shop` does."""


def orders() -> list[Order]:
    db.session.rollback()
    return list(db.session.scalars(db.select(Order).order_by(Order.id).execution_options(populate_existing=True)))


def keeps_what_was_typed(response: TestResponse, typed: dict[str, str] = TYPED) -> None:
    page = html.unescape(response.text)
    for name in set(typed) - {"method", "country", "region"}:
        assert re.search(rf'name="{name}"[^>]*value="{typed[name]}"', page), name
    assert re.search(rf'value="{typed["method"]}" checked', page)
    assert all(f'<option value="{typed[name]}" selected>' in page for name in ("country", "region") if name in typed)


# --- the cart ---


def _adds(visitor: Visitor) -> None:
    visitor.add(PEN, 2)


def _has_more(visitor: Visitor) -> None:
    visitor.get("/cart")
    visitor.post(f"/cart/lines/{KETTLE}", {"quantity": "3"})


def _takes_out(visitor: Visitor) -> None:
    visitor.get("/cart")
    visitor.post(f"/cart/lines/{PEN}/remove")


def _pays_in_yen(visitor: Visitor) -> None:
    visitor.get("/cart")
    visitor.post("/cart/currency", {"currency": "JPY"})


def _is_dearer(_visitor: Visitor) -> None:
    reprice(KETTLE, 130000)


CHANGES = [
    (_adds, "Pen: quantity changed from 1 to 3", "NT$1,470", 147000),
    (_has_more, "Kettle: quantity changed from 1 to 3", "NT$3,690", 369000),
    (_takes_out, "Removed: 1 × Pen", "NT$1,200", 120000),
    (_pays_in_yen, "Currency changed from TWD to JPY", "¥6,020", 6020),
    (_is_dearer, "Kettle: price changed from NT$1,200 to NT$1,300", "NT$1,390", 139000),
]


@pytest.mark.parametrize(
    ("change", "message", "total", "amount"), CHANGES, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_cart_that_changed_after_the_checkout_was_shown_is_shown_again_and_ordered_only_then(
    visitor: Visitor, change: Callable[[Visitor], None], message: str, total: str, amount: int
) -> None:
    visitor.add(KETTLE)
    visitor.add(PEN)
    visitor.get("/checkout")
    page, form = visitor.page, {**visitor.filled(), **TYPED}
    change(visitor)
    visitor.page = page
    refused = visitor.post("/checkout", form)
    assert refused.status_code == 409 and 'data-code="cart_changed"' in refused.text
    assert message in html.unescape(refused.text)
    assert f"The total is now {total}." in refused.text
    keeps_what_was_typed(refused)
    assert orders() == []
    placed = visitor.post("/checkout", {**visitor.filled(), **TYPED})
    assert placed.status_code == 303
    assert [order.total_amount for order in orders()] == [amount]


def test_a_form_with_a_mistake_is_shown_again_with_what_has_changed_since(visitor: Visitor) -> None:
    visitor.add(KETTLE)
    visitor.get("/checkout")
    form = {**visitor.filled(), "line1": ""}
    visitor.add(PEN, 2)
    again = visitor.post("/checkout", form)
    assert again.status_code == 422
    assert "Added: 2 × Pen" in html.unescape(again.text) and "The total is now NT$1,380." in again.text


def test_a_form_with_a_mistake_reports_that_the_sign_in_has_ended(visitor: Visitor) -> None:
    signed_in(visitor)
    visitor.add()
    visitor.get("/checkout")
    form = {**visitor.filled(), "line1": ""}
    redis.client().flushdb()
    again = visitor.post("/checkout", form)
    assert again.status_code == 422 and "You are no longer signed in." in again.text


def test_a_checkout_from_the_back_button_orders_nothing_but_what_it_showed(visitor: Visitor) -> None:
    """One tab: checkout, then the cart, then Back; the browser shows the old page with its old fields."""
    visitor.add(KETTLE)
    visitor.get("/checkout")
    old = visitor.filled()
    visitor.add(KETTLE, 4)
    assert visitor.post("/checkout", old).status_code == 409
    visitor.get("/cart")
    visitor.post(f"/cart/lines/{KETTLE}", {"quantity": "1"})
    assert visitor.post("/checkout", old).status_code == 303, "it is as it was shown again"
    assert [order.total_amount for order in orders()] == [120000]


def test_a_method_that_does_not_support_the_currency_is_refused_with_a_message(visitor: Visitor, app: Flask) -> None:
    visitor.add(KETTLE)
    visitor.get("/checkout")
    form = {**visitor.filled(), **TYPED, "method": "tpay"}
    _pays_in_yen(visitor)
    refused = visitor.post("/checkout", form)
    assert refused.status_code == 409 and "does not accept JPY. Choose another payment method." in refused.text
    again = visitor.post("/checkout", {**visitor.filled(), **TYPED, "method": "tpay"})
    assert again.status_code == 422 and orders() == []


@pytest.mark.parametrize("field", ["terms", "shown", "customer"])
@pytest.mark.parametrize("value", [None, "", "x", "TWD", "TWD;TEST-KETTLE:1:1", "\0", "[" * 5000, "9" * 9000])
def test_a_form_that_brings_something_else_along_orders_nothing_else(
    visitor: Visitor, field: str, value: str | None
) -> None:
    visitor.add(KETTLE)
    visitor.get("/checkout")
    form = {**visitor.filled(), field: value}
    if value is None:
        del form[field]
    response = visitor.post("/checkout", form)
    assert response.status_code == (303 if field == "shown" else 409)
    assert [order.total_amount for order in orders()] == ([120000] if field == "shown" else [])


# --- the browser and the form ---


def test_a_repeated_form_with_other_content_names_the_existing_order_and_how_to_change_it(visitor: Visitor) -> None:
    visitor.add()
    visitor.get("/checkout")
    form = visitor.filled()
    path = visitor.post("/checkout", form).location
    for changed in ({"line1": "13 Yongkang St"}, {"email": "bob@example.com"}, {"method": "otherpay"}, {"line1": ""}):
        stands = visitor.post("/checkout", {**form, **changed})
        (order,) = orders()
        assert stands.status_code == 409 and title(stands).startswith("Your order has already been placed")
        assert order.number in stands.text and f'href="{path}"' in stands.text
        assert "Cancel order" in stands.text and "no second order was placed" in stands.text
        assert stands.headers["Cache-Control"] == "no-store"
        assert (order.line1, order.email) == (CUSTOMER["line1"], CUSTOMER["email"])
    assert visitor.post("/checkout", form).location == path, "the same content is the same order"


@pytest.mark.parametrize(("act", "message"), [("cancel", "This order has ended"), ("pay", "This order has been paid.")])
def test_the_message_about_an_existing_order_depends_on_its_state(
    visitor: Visitor, shop: Shop, act: str, message: str
) -> None:
    visitor.add()
    visitor.get("/checkout")
    form = visitor.filled()
    visitor.post("/checkout", form)
    (order,) = orders()
    if act == "cancel":
        shop.cancel(order)
    else:
        shop.acquirer.capture(shop.payment(order).id)
        shop.deliver_webhook(shop.payment(order))
    assert message in visitor.post("/checkout", {**form, "city": "Tainan"}).text


def test_an_order_placed_in_another_tab_with_more_products_is_not_confused_with_the_shown_one(
    visitor: Visitor,
) -> None:
    visitor.add()
    visitor.get("/checkout")
    small = visitor.filled()
    visitor.add(KETTLE, 2)
    visitor.get("/checkout")
    path = visitor.post("/checkout", visitor.filled()).location
    stands = visitor.post("/checkout", small)
    assert stands.status_code == 409 and f'href="{path}"' in stands.text
    assert [order.total_amount for order in orders()] == [3 * 120000]


@pytest.mark.parametrize("body", [CUSTOMER, TYPED])
@pytest.mark.parametrize("in_cart", [True, False])
def test_the_key_of_another_visitor_gives_no_access_to_their_order(
    visitor: Visitor, other_visitor: Visitor, body: dict[str, str], in_cart: bool
) -> None:
    visitor.add()
    visitor.get("/checkout")
    form = visitor.filled()
    path = visitor.post("/checkout", form).location
    other_visitor.get("/sign-in")
    if in_cart:
        other_visitor.add(PEN)
        other_visitor.get("/checkout")
    answer = other_visitor.post("/checkout", {**form, **body})
    (order,) = orders()
    assert answer.status_code == 409 and answer.location is None
    for secret in (order.token, order.number, path, str(form["key"])):
        assert secret not in answer.text
    if in_cart:
        assert other_visitor.field("key") not in ("", form["key"])
        assert other_visitor.post("/checkout", {**other_visitor.filled(), **body}).status_code == 303
        assert len(orders()) == 2
    else:
        assert "Your cart is empty. No order was placed." in answer.text


def test_a_used_and_an_unused_foreign_key_get_the_same_answer(visitor: Visitor, other_visitor: Visitor) -> None:
    visitor.add()
    visitor.get("/checkout")
    used = visitor.filled()
    visitor.post("/checkout", used)
    other_visitor.add(PEN)
    answers = []
    for key in (used["key"], "a-key-that-nobody-has"):
        other_visitor.get("/checkout")
        answer = other_visitor.post("/checkout", {**other_visitor.filled(), "key": key})
        # the page has the time
        page = re.sub(r'(?s)<header.*?</header>|name="csrf_token" value="[^"]*"', "", answer.text)
        answers.append((answer.status_code, page))
    assert answers[0] == answers[1]


def test_eight_identical_submissions_at_once_are_one_order(
    visitor: Visitor, shop: Shop, app: Flask, race: Race
) -> None:
    for _ in range(3):
        visitor.add(PEN)
        visitor.get("/checkout")
        form, cookie = visitor.filled(), visitor.client.get_cookie("settled")
        assert cookie

        def press(_number: int, form: dict = form, value: str = cookie.value) -> tuple[int, str | None]:
            client = app.test_client()
            client.set_cookie("settled", value)
            answer = client.post("/checkout", data=form, headers={"Sec-Fetch-Site": "same-origin"})
            return answer.status_code, answer.location

        before = len(orders())
        answers = race(press)
        assert {status for status, _ in answers} == {303}, answers
        assert len(set(answers)) == 1
        assert len(orders()) == before + 1


# --- the customer ---


def signed_in(visitor: Visitor, person: dict[str, str] = ADA) -> None:
    visitor.get("/register")
    assert visitor.post("/register", person).status_code == 303
    visitor.get("/account")


def _redis_is_emptied(_visitor: Visitor) -> None:
    redis.client().flushdb()


def signs_out(visitor: Visitor) -> None:
    visitor.post("/sign-out")
    visitor.get("/sign-in")


@pytest.mark.parametrize("end", [_redis_is_emptied, signs_out])
def test_a_sign_in_that_ended_while_the_checkout_was_open_makes_no_guest_order_silently(
    visitor: Visitor, end: Callable[[Visitor], None]
) -> None:
    signed_in(visitor)
    visitor.add()
    visitor.get("/checkout")
    form = {**visitor.filled(), **TYPED}
    cart = visitor.client.get_cookie("settled")
    end(visitor)
    if not visitor.cart():  # after signing out a browser has no cart of that customer
        assert visitor.post("/checkout", form).status_code == 409 and cart and orders() == []
        return
    refused = visitor.post("/checkout", form)
    assert refused.status_code == 409 and 'data-code="other_customer"' in refused.text
    assert "You are no longer signed in. No order was placed." in refused.text
    assert 'formaction="/checkout/sign-in"' in refused.text
    keeps_what_was_typed(refused)
    assert orders() == []
    assert visitor.post("/checkout", {**visitor.filled(), **TYPED}).status_code == 303
    assert [order.user_id for order in orders()] == [None]


def test_a_checkout_whose_customer_has_signed_out_in_another_tab_explains_where_the_cart_is(visitor: Visitor) -> None:
    signed_in(visitor)
    visitor.add()
    visitor.get("/checkout")
    form = visitor.filled()
    visitor.get("/account")
    visitor.post("/sign-out")
    visitor.get("/sign-in")
    refused = visitor.post("/checkout", form)
    assert refused.status_code == 409
    assert (
        "You have signed out since you opened this page, and your cart was emptied. No order was placed."
        in refused.text
    )


def test_messages_for_a_customer_who_signed_out_are_not_shown_to_the_next_one(visitor: Visitor) -> None:
    signed_in(visitor)
    visitor.add()  # its message waits for the next page
    visitor.post("/sign-out")
    assert "Kettle" not in visitor.get("/cart").text


def test_while_redis_is_away_a_signed_in_customer_does_not_silently_become_a_guest(
    visitor: Visitor, app: Flask
) -> None:
    signed_in(visitor)
    visitor.add()
    visitor.get("/checkout")
    form = {**visitor.filled(), **TYPED}
    app.config["REDIS_URL"] = ""
    app.extensions["settled_redis"].client = None
    refused = visitor.post("/checkout", form)
    assert refused.status_code == 409
    assert "Sign-in is temporarily unavailable. No order was placed." in refused.text
    keeps_what_was_typed(refused)
    assert visitor.post("/checkout", {**visitor.filled(), **TYPED}).status_code == 303
    assert [order.user_id for order in orders()] == [None]


def test_a_customer_who_signed_in_after_the_checkout_was_shown_has_to_confirm_it_again(visitor: Visitor) -> None:
    visitor.add()
    visitor.get("/checkout")
    form = {**visitor.filled(), **TYPED}
    signed_in(visitor)
    refused = visitor.post("/checkout", form)
    assert refused.status_code == 409 and orders() == []
    assert "You are now signed in as ada@example.com. No order was placed." in refused.text
    keeps_what_was_typed(refused)
    assert visitor.post("/checkout", {**visitor.filled(), **TYPED}).status_code == 303
    assert [order.user_id is None for order in orders()] == [False]


@pytest.mark.parametrize(
    ("headers", "shown_again"),
    [
        ({}, True),
        ({"Origin": "http://localhost"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
    ],
)
def test_a_form_whose_token_is_of_before_the_sign_in_keeps_what_was_typed_and_does_nothing(
    visitor: Visitor, app: Flask, headers: dict[str, str], shown_again: bool
) -> None:
    """For browsers that do not say where a request comes from, and never for another site."""
    app.config["WTF_CSRF_ENABLED"] = True
    visitor.add()
    visitor.get("/checkout")
    form = {**visitor.filled(), **TYPED, "csrf_token": visitor.field("csrf_token")}
    signed_in(visitor)
    refused = visitor.post("/checkout", form, headers=headers)
    assert refused.status_code == 400 and orders() == []
    assert (TYPED["line1"] in refused.text) == shown_again
    if shown_again:
        assert "You are now signed in as ada@example.com. No order was placed." in refused.text
        keeps_what_was_typed(refused)
        assert visitor.post("/checkout", {**visitor.filled(), **TYPED}).status_code == 303


def test_a_checkout_that_was_shown_to_another_account_orders_nothing_for_this_one(visitor: Visitor) -> None:
    signed_in(visitor)
    visitor.add()
    visitor.get("/checkout")
    form = {**visitor.filled(), **TYPED}
    signs_out(visitor)
    signed_in(visitor, {**ADA, "email": "bob@example.com"})
    visitor.add()
    refused = visitor.post("/checkout", form)
    assert refused.status_code == 409 and orders() == []


def test_the_form_does_not_reveal_the_id_of_its_customer(visitor: Visitor) -> None:
    signed_in(visitor)
    visitor.add()
    visitor.get("/checkout")
    assert re.fullmatch("user-[0-9a-f]{64}", visitor.field("customer"))


def test_sign_in_from_the_checkout_comes_back_to_it_with_everything_that_was_typed(visitor: Visitor) -> None:
    signed_in(visitor)
    signs_out(visitor)
    visitor.add()
    visitor.get("/checkout")
    away = visitor.post("/checkout/sign-in", {**visitor.filled(), **TYPED})
    assert away.status_code == 303 and away.location == "/sign-in?next=/checkout"
    visitor.get(away.location)
    back = visitor.post("/sign-in", {**ADA, "next": visitor.field("next")})
    assert back.location == "/checkout"
    page = visitor.get(back.location)
    keeps_what_was_typed(page)
    assert "Signed in as ada@example.com" in page.text
    assert visitor.post("/checkout", {**visitor.filled(), **TYPED}).status_code == 303
    visitor.add()
    assert TYPED["line1"] not in visitor.get("/checkout").text, "it was kept for this order alone"


def test_a_new_account_from_the_checkout_comes_back_filled_as_well(visitor: Visitor) -> None:
    visitor.add()
    visitor.get("/checkout")
    away = visitor.post("/checkout/sign-in", {**visitor.filled(), **TYPED})
    register = re.search(r'href="(/register[^"]*)"', visitor.get(away.location).text)
    assert register
    visitor.get(html.unescape(register[1]))
    back = visitor.post("/register", {**ADA, "next": visitor.field("next")})
    keeps_what_was_typed(visitor.get(back.location))


def test_checkout_input_saved_before_signing_in_is_private_and_ends_with_the_session(
    visitor: Visitor, other_visitor: Visitor
) -> None:
    visitor.add()
    visitor.get("/checkout")
    visitor.post("/checkout/sign-in", {**visitor.filled(), **TYPED})
    other_visitor.add()
    assert TYPED["line1"] not in other_visitor.get("/checkout").text
    signed_in(visitor)
    signs_out(visitor)
    visitor.add()
    assert TYPED["line1"] not in visitor.get("/checkout").text


def test_sign_in_from_the_checkout_while_redis_is_away_keeps_the_form(visitor: Visitor, app: Flask) -> None:
    visitor.add()
    visitor.get("/checkout")
    app.config["REDIS_URL"] = ""
    app.extensions["settled_redis"].client = None
    answer = visitor.post("/checkout/sign-in", {**visitor.filled(), **TYPED})
    assert answer.status_code == 503 and "Sign-in is temporarily unavailable." in answer.text
    keeps_what_was_typed(answer)
