"""Placing an order: one order per intended submission, and no lost cart."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from shop.catalogue.models import Product
from shop.checkout import cart, saga
from shop.checkout.agreement import Shown
from shop.checkout.models import Saga
from shop.core.db import db, transaction
from shop.core.errors import BadInput, Refusal
from shop.inventory import stock
from shop.orders.models import Order, OrderLine
from tests.race_fixtures import Race
from tests.shop_fixtures import KETTLE, PEN, UNITS, Shop


def kinds(results: list[Any]) -> Counter[str]:
    return Counter(r.code if isinstance(r, Refusal) else type(r).__name__ for r in results)


def steps(order: Order) -> dict[str, bool]:
    """Completed steps, and whether they were compensated."""
    db.session.rollback()
    row = db.session.get_one(Saga, order.id, populate_existing=True)
    return {step.name: row.undone_at is not None for step in saga.STEPS if getattr(row, step.done_at)}


def saga_state(order: Order) -> str:
    db.session.rollback()
    return db.session.get_one(Saga, order.id, populate_existing=True).state


# --- once ---


def test_the_same_checkout_key_gives_the_same_order_however_often(shop: Shop) -> None:
    """Case 3."""
    cart_id = shop.cart()
    form = shop.form(cart_id)
    orders = [shop.place(cart_id, form=form).id for _ in range(3)]
    assert len(set(orders)) == 1
    assert len(shop.acquirer.payments) == 1


def test_two_tabs_that_show_one_cart_and_are_pressed_at_once_make_one_order(shop: Shop, race: Race) -> None:
    """Case 3."""
    for _ in range(4):
        cart_id = shop.cart((PEN, 1))
        form = shop.form(cart_id)
        orders = race(lambda _, c=cart_id, f=form: shop.place(c, form=f).id)
        assert len(set(orders)) == 1, orders
        assert shop.count(Order) == len(shop.acquirer.payments)


def test_the_same_cart_with_two_keys_at_once_makes_one_order_and_refuses_the_other(shop: Shop, race: Race) -> None:
    for _ in range(4):
        cart_id = shop.cart((PEN, 1))
        form = shop.form(cart_id)
        forms = [form, replace(form, key="another-key")]
        results = race(lambda n, c=cart_id, f=forms: shop.place(c, form=f[n % 2]))
        assert set(kinds(results)) <= {"Order", "cart_empty", "cart_changed"}
        assert kinds(results)["Order"] == 4
        assert len({r.id for r in results if isinstance(r, Order)}) == 1


def test_what_is_put_into_the_cart_while_it_is_being_placed_is_in_the_order_or_still_in_the_cart(
    shop: Shop, race: Race
) -> None:
    """Case 18: the cart is never lost."""
    for _ in range(12):
        cart_id = shop.cart((PEN, 1))
        form = shop.form(cart_id)
        shop.restock(PEN)
        results = race(lambda n, c=cart_id, f=form: shop.place(c, form=f) if n == 0 else cart.add(c, KETTLE, 1), 2)
        assert kinds(results) in ({"Order": 1, "int": 1}, {"cart_changed": 1, "int": 1}), results
        db.session.rollback()
        left = [line.sku for line in cart.load(cart_id).lines]
        if isinstance(results[0], Order):
            bought = db.session.scalars(db.select(OrderLine.sku).where(OrderLine.order_id == results[0].id)).all()
            assert (bought, left) == ([PEN], [KETTLE]), "what was agreed to, and nothing else"
        else:
            assert sorted(left) == [KETTLE, PEN]
        shop.restock(KETTLE)


def test_the_loser_of_a_race_compensates_nothing_that_the_winner_made(shop: Shop, race: Race) -> None:
    """Case 16."""
    for _ in range(4):
        shop.restock(PEN)
        cart_id = shop.cart((PEN, 2))
        form = shop.form(cart_id)
        stale = replace(form, key="stale")
        results = race(lambda n, c=cart_id, f=form, s=stale: shop.place(c, form=f if n % 2 else s))
        order = next(result for result in results if isinstance(result, Order))
        assert shop.can_sell(PEN) == UNITS - 2
        assert steps(order) == {"reserve_stock": False, "open_payment": False}
        assert [p.state for p in shop.payments(order)] == ["OPEN"]


def test_eight_who_resume_one_checkout_at_once_open_one_payment(shop: Shop, race: Race) -> None:
    for _ in range(4):
        order = left_half_done(shop)
        shop.wait(seconds=11)
        assert not [r for r in race(lambda _, o=order: saga.resume(o.id)) if isinstance(r, Exception)]
        assert len(shop.payments(order)) == 1
        assert shop.state(order) == "WAITING_PAYMENT"
        assert steps(order) == {"reserve_stock": False, "open_payment": False}
        assert saga_state(order) == "DONE"


def left_half_done(shop: Shop) -> Order:
    """An order whose process died right after placing it."""
    cart_id = shop.cart((PEN, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saga, "start", lambda *_: None)
        return shop.place(cart_id)


# --- incomplete orders ---


def test_a_checkout_that_was_left_half_done_is_resumed_after_ten_seconds_and_not_before(shop: Shop) -> None:
    order = left_half_done(shop)
    assert shop.order_status(order).key == "preparing"
    shop.turn(seconds=9)
    assert shop.state(order) == "PENDING"
    shop.turn(seconds=2)
    assert shop.state(order) == "WAITING_PAYMENT"


def test_a_checkout_that_was_left_half_done_and_is_cancelled_is_undone(shop: Shop) -> None:
    order = left_half_done(shop)
    shop.cancel(order)
    assert shop.state(order) == "PENDING", "its payment may be on its way to the acquirer"
    shop.turn(seconds=11)
    shop.turn(seconds=11)
    assert (shop.state(order), saga_state(order)) == ("CANCELLED", "UNDONE")
    assert all(undone for undone in steps(order).values()) and "reserve_stock" in steps(order)
    assert not shop.acquirer.payments and [p.state for p in shop.payments(order)] == ["FAILED"]
    assert shop.can_sell(PEN) == UNITS


def test_pay_pressed_before_the_checkout_was_resumed_opens_the_one_payment(shop: Shop) -> None:
    order = left_half_done(shop)
    payment = shop.pay_again(order)
    shop.turn(seconds=11)
    assert [p.id for p in shop.payments(order)] == [payment.id]
    assert saga_state(order) == "DONE"


def test_what_ends_without_money_undoes_its_steps_and_what_is_paid_does_not(shop: Shop) -> None:
    paid, cancelled = shop.order(), shop.order()
    shop.acquirer.capture(shop.payment(paid).id)
    shop.deliver_webhook(shop.payment(paid))
    shop.cancel(cancelled)
    assert (saga_state(paid), steps(paid)) == ("DONE", {"reserve_stock": False, "open_payment": False})
    assert (saga_state(cancelled), steps(cancelled)) == ("UNDONE", {"reserve_stock": True, "open_payment": True})


# --- refused, with nothing changed ---


def test_too_few_in_stock_keeps_the_cart_and_makes_no_order(shop: Shop) -> None:
    cart_id = shop.cart((KETTLE, 11), (PEN, 2))
    with pytest.raises(Refusal) as refused:
        shop.place(cart_id)
    assert refused.value.message == "Only 10 Kettle left. No order was placed, and your cart is unchanged."
    assert {line.sku: line.quantity for line in cart.load(cart_id).lines} == {KETTLE: 11, PEN: 2}
    assert (shop.count(Order), shop.count(Saga), shop.can_sell(PEN)) == (0, 0, UNITS)


def test_a_refused_order_can_be_placed_with_the_same_key_once_there_is_stock(shop: Shop) -> None:
    cart_id = shop.cart((KETTLE, 11))
    form = shop.form(cart_id)
    with pytest.raises(Refusal):
        shop.place(cart_id, form=form)
    with transaction():
        stock.receive(KETTLE, 1)
    assert shop.place(cart_id, form=form).total_amount == 11 * 120000


@pytest.mark.parametrize(("provider", "code"), [("nopay", "unknown_method"), ("", "unknown_method")])
def test_a_method_that_is_not_offered_is_refused(shop: Shop, provider: str, code: str) -> None:
    cart_id = shop.cart()
    with pytest.raises(BadInput) as refused:
        shop.place(cart_id, provider=provider)
    assert (refused.value.code, cart.load(cart_id).units, shop.count(Order)) == (code, 1, 0)


def test_an_empty_cart_and_one_that_is_not_there_are_refused(shop: Shop) -> None:
    for cart_id in (cart.create(), "no-such-cart"):
        with pytest.raises(BadInput) as refused:
            shop.place(cart_id, form=Shown("key-of-nobody", "", "guest"))
        assert refused.value.code == "cart_empty"
    assert shop.count(Order) == 0


def test_prices_that_moved_since_they_were_seen_are_shown_before_anything_is_bought(shop: Shop) -> None:
    cart_id = shop.cart()
    with transaction():
        db.session.get_one(Product, KETTLE).prices = {"TWD": 130000, "JPY": 6000, "USD": 4000}
    with pytest.raises(Refusal) as refused:
        shop.place(cart_id)
    assert (refused.value.code, cart.load(cart_id).units) == ("prices_moved", 1)
    cart.accept_prices(cart_id)
    assert shop.place(cart_id).total_amount == 130000


def test_a_price_that_changes_after_the_order_was_placed_changes_nothing_about_it(shop: Shop) -> None:
    order = shop.order()
    payment = shop.payment(order)
    with transaction():
        db.session.get_one(Product, KETTLE).prices = {"TWD": 1, "JPY": 1, "USD": 1}
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    assert (shop.state(order), payment.amount) == ("PAID", 120000)
