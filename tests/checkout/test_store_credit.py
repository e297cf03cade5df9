"""Store credit pays for all of an order or a part of it, is held meanwhile, and comes back when nothing is bought."""

from __future__ import annotations

import pytest

from shop.checkout import closing, saga
from shop.core.db import db, writing
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.inventory import stock
from shop.ledger import book, chart, store_credit
from shop.orders.models import Order
from shop.payments import refunds, start
from tests.shop_fixtures import KETTLE, PRICES, Race, Shop

PRICE = PRICES[KETTLE]["TWD"]


def test_store_credit_that_covers_the_order_pays_it_at_once_and_opens_nothing(shop: Shop) -> None:
    ada = shop.customer(credit=PRICE + 5000)
    order = shop.order(customer=ada, credit=PRICE + 5000)
    assert (shop.state(order), order.paid_by, order.credit_amount) == ("PAID", "store_credit", PRICE)
    assert shop.payments(order) == []
    assert shop.moves(order) == ["PENDING", "PAID"]
    assert shop.credit(ada) == 5000
    assert shop.can_sell() == 9
    assert shop.standing(order).key == "paid"
    assert shop.standing(order).final


def test_store_credit_pays_a_part_and_the_payment_the_rest(shop: Shop) -> None:
    ada = shop.customer(credit=50000)
    order = shop.order(customer=ada, credit=50000)
    assert shop.payment(order).amount == PRICE - 50000
    assert shop.credit(ada) == 0
    assert book.balance(chart.store_credit(ada), "TWD") == Money(-50000, "TWD"), "held, not spent"
    shop.acquirer.capture(shop.payment(order).id)
    shop.hear(shop.payment(order))
    assert shop.state(order) == "PAID"
    assert book.balance(chart.store_credit(ada), "TWD") == Money(0, "TWD")
    assert book.balance(chart.SALES, "TWD") == Money(-PRICE, "TWD")


@pytest.mark.parametrize("how", ["cancel", "expire"])
def test_an_order_that_ends_without_money_lets_go_of_its_credit(shop: Shop, how: str) -> None:
    ada = shop.customer(credit=50000)
    order = shop.order(customer=ada, credit=50000)
    if how == "cancel":
        shop.cancel(order)
    else:
        shop.turn(minutes=31)
    assert shop.state(order) in ("CANCELLED", "EXPIRED")
    assert shop.credit(ada) == 50000


def test_a_payment_of_the_whole_price_is_wrong_when_credit_pays_a_part(shop: Shop) -> None:
    ada = shop.customer(credit=50000)
    order = shop.order(customer=ada, credit=50000)
    shop.acquirer.capture(shop.payment(order).id, money=order.total)
    shop.hear(shop.payment(order))
    assert shop.captures(order) == ["mismatch"]
    assert shop.credit(ada) == 0, "still held"


def test_the_same_credit_is_spent_once_by_eight_checkouts_at_once(shop: Shop, race: Race) -> None:
    ada = shop.customer(credit=PRICE)
    carts = [shop.cart((KETTLE, 1)) for _ in range(8)]
    results = race(lambda number: shop.place(carts[number], customer=ada, credit=PRICE).id)
    assert len([r for r in results if isinstance(r, int)]) == 1
    assert {r.code for r in results if isinstance(r, Refusal)} == {"not_enough_credit"}
    assert shop.count(Order) == 1
    assert shop.can_sell() == 9, "who could not pay holds nothing"
    assert shop.credit(ada) == 0


def test_who_has_not_enough_keeps_the_cart_and_is_told_what_there_is(shop: Shop) -> None:
    ada = shop.customer(credit=50000)
    cart_id = shop.cart((KETTLE, 1))
    with pytest.raises(Refusal, match="NT.500.00") as refused:
        shop.place(cart_id, customer=ada, credit=60000)
    assert (refused.value.code, refused.value.details["available"]) == ("not_enough_credit", 50000)
    assert shop.place(cart_id, customer=ada, credit=50000).credit_amount == 50000


def test_guests_and_other_currencies_have_no_credit(shop: Shop) -> None:
    ada = shop.customer(credit=50000, currency="TWD")
    with pytest.raises(Refusal) as guest:
        shop.order(credit=100)
    assert guest.value.code == "not_signed_in"
    with pytest.raises(Refusal) as yen:
        shop.place(shop.cart((KETTLE, 1), currency="JPY"), customer=ada, credit=100)
    assert yen.value.code == "not_enough_credit"


def test_a_crash_after_the_credit_was_held_is_resumed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = shop.customer(credit=PRICE)
    with monkeypatch.context() as broken:
        broken.setattr(saga, "run", lambda order_id: None)
        order = shop.order(customer=ada, credit=PRICE)
    assert shop.state(order) == "PENDING"
    assert shop.credit(ada) == 0
    shop.turn(seconds=11)
    assert shop.state(order) == "PAID"
    assert shop.payments(order) == []


def test_nothing_can_be_opened_for_what_credit_pays(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = shop.customer(credit=PRICE)
    with monkeypatch.context() as broken:
        broken.setattr(saga, "run", lambda order_id: None)
        order = shop.order(customer=ada, credit=PRICE)
    with pytest.raises(Refusal) as refused:
        start.open_payment(order.id, "fakepay")
    assert refused.value.code == "not_payable"
    shop.turn(seconds=11)


def test_money_that_came_in_time_revives_the_order_with_its_credit(shop: Shop) -> None:
    ada = shop.customer(credit=50000)
    order = shop.order(customer=ada, credit=50000)
    payment = shop.payment(order)
    in_time = shop.opened_at(order)
    shop.turn(minutes=31)
    assert shop.credit(ada) == 50000
    shop.acquirer.capture(payment.id, at=in_time)
    shop.hear(payment)
    assert shop.state(order) == "PAID"
    assert shop.credit(ada) == 0


def test_money_that_came_in_time_goes_back_when_the_credit_was_spent_meanwhile(shop: Shop) -> None:
    ada = shop.customer(credit=PRICE)
    order = shop.order(customer=ada, credit=50000)
    payment, in_time = shop.payment(order), shop.opened_at(order)
    shop.turn(minutes=31)
    shop.order(customer=ada, credit=PRICE)
    left = shop.can_sell()
    shop.acquirer.capture(payment.id, at=in_time)
    shop.hear(payment)
    shop.sweep()
    assert shop.state(order) == "EXPIRED"
    assert [r.state for r in shop.refunds(order)] == ["DONE"]
    assert shop.can_sell() == left, "its stock was not kept either"


def test_a_refund_can_go_to_store_credit_and_never_twice(shop: Shop) -> None:
    ada = shop.customer()
    order = shop.paid_order(customer=ada)
    refunds.request(shop.capture(order), order.total, reason="kind", by="sam", to="store_credit")
    shop.sweep()
    assert shop.state(order) == "REFUNDED"
    assert shop.credit(ada) == PRICE
    assert shop.acquirer.refunds == {}, "the acquirer has nothing to do with it"
    with pytest.raises(Refusal) as refused:
        refunds.request(shop.capture(order), order.total, reason="", by="sam")
    assert refused.value.details["refundable"] == 0


def test_what_credit_paid_comes_back_to_credit(shop: Shop) -> None:
    ada = shop.customer(credit=PRICE)
    order = shop.order(customer=ada, credit=PRICE)
    refunds.request_credit(order.id, Money(20000, "TWD"), reason="", by="sam", expected_refundable=PRICE)
    shop.sweep()
    assert (shop.state(order), shop.credit(ada)) == ("PARTIALLY_REFUNDED", 20000)
    with pytest.raises(Refusal) as stale:
        refunds.request_credit(order.id, Money(20000, "TWD"), reason="", by="sam", expected_refundable=PRICE)
    assert stale.value.details["refundable"] == PRICE - 20000
    refunds.request_all(order.id, reason="", by="sam")
    shop.sweep()
    assert (shop.state(order), shop.credit(ada)) == ("REFUNDED", PRICE)


def test_eight_refunds_of_60_percent_of_the_credit_at_once_exactly_one(shop: Shop, race: Race) -> None:
    ada = shop.customer(credit=PRICE)
    order = shop.order(customer=ada, credit=PRICE)
    share = Money(PRICE * 60 // 100, "TWD")
    results = race(lambda _: refunds.request_credit(order.id, share, reason="", by="sam").id)
    assert len([r for r in results if isinstance(r, str)]) == 1
    shop.sweep()
    assert shop.credit(ada) == share.amount


def test_a_guest_has_no_store_credit_to_refund_to(shop: Shop) -> None:
    order = shop.paid_order()
    with pytest.raises(Refusal) as refused:
        refunds.request(shop.capture(order), order.total, reason="", by="sam", to="store_credit")
    assert refused.value.code == "no_account"


def test_movements_tell_what_became_of_the_credit(shop: Shop) -> None:
    ada = shop.customer(credit=PRICE)
    order = shop.order(customer=ada, credit=PRICE)
    refunds.request_all(order.id, reason="", by="sam")
    shop.sweep()
    told = [(m.kind, m.money.amount, m.order_id) for m in store_credit.movements(ada)]
    assert sorted(told) == sorted(
        [("refund", PRICE, order.id), ("credit_used", -PRICE, order.id), ("credit_given", PRICE, None)]
    )
    assert store_credit.balances(ada) == [Money(PRICE, "TWD")]


def test_giving_the_same_credit_twice_is_refused_by_the_database(shop: Shop) -> None:
    ada = shop.customer(credit=100)
    with pytest.raises(Exception, match="(?i)unique|duplicate"), writing():
        store_credit.give(ada, Money(100, "TWD"), key=f"gift:{ada}", kind="credit_given", debit=chart.GOODWILL)
    db.session.rollback()
    assert shop.credit(ada) == 100


def test_out_of_stock_holds_no_credit(shop: Shop) -> None:
    ada = shop.customer(credit=PRICE)
    cart_id = shop.cart((KETTLE, 2))
    with writing():
        stock.receive(KETTLE, -9, "adjustment")
    with pytest.raises(Refusal) as refused:
        shop.place(cart_id, customer=ada, credit=PRICE)
    assert refused.value.code == "out_of_stock"
    assert shop.credit(ada) == PRICE


def test_an_order_whose_buyer_wants_to_cancel_is_not_paid_by_store_credit(shop: Shop) -> None:
    """Whoever goes on with the checkout comes between the wish and the end."""
    ada = shop.customer(credit=PRICE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saga, "run", lambda _: None)
        order = shop.order(customer=ada, credit=PRICE)
        patch.setattr(closing, "finish", lambda _: None)
        shop.cancel(order)
    saga.run(order.id)
    assert shop.state(order) == "PENDING"
    shop.sweep()
    assert (shop.state(order), shop.credit(ada)) == ("CANCELLED", PRICE)
