"""Digests of the displayed cart: equal for equal carts only, and the order matches its digest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.checkout import agreement, cart, place_order
from shop.checkout.agreement import Change, Terms, changes, read, terms
from shop.core.db import db
from shop.core.errors import Refusal
from shop.orders.models import Order
from tests.checkout.test_placing import kinds
from tests.race_fixtures import Race
from tests.shop_fixtures import KETTLE, PEN, Shop

lines = st.lists(
    st.tuples(st.sampled_from(["A", "B-1", "KETTLE"]), st.integers(1, 99), st.integers(0, 10**12)),
    unique_by=lambda line: line[0],
)
charges = st.lists(
    st.tuples(st.sampled_from(["delivery:a", "delivery:b-1", "discount", "tax"]), st.integers(1, 10**12)),
    unique_by=lambda charge: charge[0].partition(":")[0],
)
some_terms = st.builds(terms, st.sampled_from(["TWD", "JPY", "USD"]), lines, charges)


@given(some_terms, some_terms)
def test_terms_have_the_same_digest_and_no_difference_only_when_they_are_the_same(one: Terms, other: Terms) -> None:
    same = (one.currency, set(one.lines), set(one.charges)) == (other.currency, set(other.lines), set(other.charges))
    assert (one.digest == other.digest) == same
    assert (changes(one, other) == []) == same


@given(some_terms)
def test_terms_are_read_as_they_were_written(one: Terms) -> None:
    assert read(one.text) == one


@given(st.text())
def test_no_other_text_is_read_as_terms_that_do_not_write_it(text: str) -> None:
    found = read(text)
    assert found is None or sorted(found.text.split(";")[1:]) == sorted(text.split(";")[1:])


def test_each_change_is_named() -> None:
    before = terms("TWD", [("A", 1, 100), ("B", 2, 50), ("C", 1, 7)])
    now = terms("TWD", [("A", 3, 100), ("B", 2, 60), ("D", 4, 1)])
    assert changes(before, now) == [
        Change("quantity", "A", 1, 3),
        Change("price", "B", 50, 60),
        Change("removed", "C", 1, 0),
        Change("added", "D", 0, 4),
    ]
    assert changes(before, terms("JPY", before.lines)) == [Change("currency")]


def test_the_mark_of_a_customer_differs_for_each_key_and_person() -> None:
    marks = [agreement.customer_mark(key, user) for key in ("k1", "k2") for user in (1, 2)]
    assert len(set(marks)) == 4
    assert agreement.customer_mark("k1", None) == agreement.customer_mark("k2", None) == agreement.GUEST


def test_of_eight_changes_of_the_cart_against_placing_it_the_order_is_what_was_agreed_to_or_there_is_none(
    shop: Shop, race: Race
) -> None:
    def act(number: int, cart_id: str, form: agreement.Shown) -> object:
        if number == 0:
            return shop.place(cart_id, form=form)
        if number % 3 == 0:
            return cart.change(cart_id, PEN, number)
        return cart.add(cart_id, KETTLE, 1) if number % 3 == 1 else cart.set_currency(cart_id, "JPY")

    for _ in range(6):
        cart_id = shop.cart((PEN, 1))
        form = shop.form(cart_id)
        result = race(lambda n, c=cart_id, f=form: act(n, c, f), 9)[0]
        db.session.rollback()
        if isinstance(result, Order):
            order = db.session.get_one(Order, result.id)
            agreed = terms(order.currency, [(line.sku, line.quantity, line.unit_amount) for line in order.lines])
            assert agreed.digest == form.terms
            shop.cancel(order)
        else:
            assert kinds([result]) == {"cart_changed": 1}, result
            assert cart.load(cart_id).units >= 1
        shop.restock(PEN)
        shop.restock(KETTLE)


def test_a_form_of_another_cart_finds_no_order_of_this_one(shop: Shop) -> None:
    cart_id, other = shop.cart(), shop.cart((PEN, 1))
    form = shop.form(cart_id)
    order = shop.place(cart_id, form=form)
    with pytest.raises(Refusal) as refused:
        shop.place(other, form=form)
    assert (refused.value.code, cart.load(other).units) == ("cart_changed", 1)
    assert place_order.placed_from(cart_id, form.key) == order
    assert place_order.placed_from(other, form.key) is None
    assert place_order.placed_from("", form.key) is None
