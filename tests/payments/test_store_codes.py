"""Store codes reserve stock for days: only a share of each product's stock, and only until another method is used."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from shop.core import clock
from shop.core.db import db, transaction
from shop.core.errors import Refusal
from shop.inventory import stock
from shop.orders.models import Order
from shop.payments.initiation import initiate
from shop.payments.records.models import Payment
from shop.payments.updates.snapshot import Share
from shop.payments.updates.store_codes import is_large
from tests.race_fixtures import Race
from tests.shop_fixtures import KETTLE, PEN, Shop

LONG, SHORT = 72, 6


@pytest.fixture(autouse=True)
def hundred(shop: Shop) -> None:
    """A hundred pens, of which codes may reserve 25 for long, and ten kettles."""
    with transaction():
        stock.receive(PEN, 90)


def hours(shop: Shop, order: Order) -> int:
    """Hours until the order expires."""
    db.session.rollback()
    pay_by = db.session.get_one(Order, order.id, populate_existing=True).pay_by
    return round((pay_by - clock.now()) / timedelta(hours=1))


def show_code(shop: Shop, order: Order) -> None:
    """Choose to pay at a store, as the customer."""
    payment = shop.payment(order)
    shop.acquirer.show_code(payment.id, timedelta(days=3))
    shop.deliver_webhook(payment)


def coded(shop: Shop, *lines: tuple[str, int]) -> Order:
    order = shop.order(*lines)
    show_code(shop, order)
    return order


@pytest.mark.parametrize(
    ("units", "held_long", "on_hand", "large"),
    [(25, 0, 100, False), (26, 0, 100, True), (5, 20, 100, False), (5, 21, 100, True)]
    + [(2, 0, 2, False), (1, 2, 3, True), (3, 0, 3, True), (1, 0, 1, False)],
)
def test_more_than_a_quarter_of_the_stock_is_a_large_share_and_two_units_never_are(
    units: int, held_long: int, on_hand: int, large: bool
) -> None:
    assert is_large([Share(units, held_long, on_hand)], 25) is large


def test_a_code_for_a_few_units_waits_for_days_and_one_for_a_large_share_for_hours(shop: Shop) -> None:
    assert hours(shop, coded(shop, (PEN, 25))) == LONG
    everything = coded(shop, (PEN, 1), (KETTLE, 10))
    assert hours(shop, everything) == SHORT
    shop.turn(hours=6, minutes=1)
    assert shop.state(everything) == "EXPIRED"
    assert shop.acquirer.payments[shop.payment(everything).id].state == "CANCELLED", "its code takes no money any more"
    assert shop.can_sell(KETTLE) == 10


def test_many_codes_for_a_few_units_together_hold_no_more_than_the_share_for_days(shop: Shop) -> None:
    assert [hours(shop, coded(shop, (PEN, 10))) for _ in range(3)] == [LONG, LONG, SHORT]


def test_a_code_that_was_paid_or_has_ended_makes_room_for_another(shop: Shop) -> None:
    first = coded(shop, (PEN, 20))
    assert hours(shop, coded(shop, (PEN, 10))) == SHORT
    shop.cancel(first)
    assert hours(shop, coded(shop, (PEN, 15))) == LONG


def test_eight_codes_at_once_together_hold_no_more_than_the_share_for_days(shop: Shop, race: Race) -> None:
    orders = [shop.order((PEN, 8)) for _ in range(8)]
    payments = [shop.payment(order).id for order in orders]
    for payment in payments:
        shop.acquirer.show_code(payment, timedelta(days=3))
    assert {answer[0] for answer in race(lambda number: shop.deliver_webhook(payments[number]))} == {200}
    assert Counter(hours(shop, order) for order in orders) == {LONG: 3, SHORT: 5}


# --- another method instead of the code


def left(shop: Shop, order: Order) -> timedelta:
    """Time until the order expires."""
    db.session.rollback()
    return db.session.get_one(Order, order.id, populate_existing=True).pay_by - clock.now()


def instead(shop: Shop, order: Order, provider: str = "otherpay") -> Payment:
    """Press "Use another method" on the page with the code."""
    return initiate.open_payment(order.id, provider, instead_of=shop.payment(order).id)


def within(shop: Shop) -> timedelta:
    return timedelta(seconds=shop.app.config["PAY_WITHIN"])


@pytest.mark.parametrize("provider", ["otherpay", "fakepay"])
def test_another_method_closes_the_code_first_and_leaves_as_long_to_pay_as_a_new_order(
    shop: Shop, provider: str
) -> None:
    order = coded(shop)
    code = shop.payment(order)
    shop.turn(hours=5)
    assert "other_method" in shop.order_status(order).can
    payment = instead(shop, order, provider)
    assert (payment.provider, payment.state) == (provider, "OPEN") and payment.id != code.id
    assert shop.acquirer.payments[code.id].state == "CANCELLED"
    assert within(shop) - timedelta(seconds=20) < left(shop, order) <= within(shop)
    assert shop.order_status(order).key == "waiting"
    shop.turn(seconds=60 * 60)
    assert shop.state(order) == "EXPIRED", "the stock is not held for days any more"
    assert shop.can_sell(KETTLE) == 10


def test_without_a_page_that_shows_the_code_the_same_provider_goes_on_with_the_open_payment(shop: Shop) -> None:
    order = coded(shop)
    code = shop.payment(order)
    assert shop.pay_again(order).id == code.id
    assert initiate.open_payment(order.id, "fakepay", instead_of="of another page").id == code.id
    assert hours(shop, order) == LONG


def test_a_click_on_a_page_with_a_replaced_code_leads_to_the_new_payment(shop: Shop) -> None:
    order = coded(shop)
    code = shop.payment(order)
    first = instead(shop, order, "fakepay")
    assert initiate.open_payment(order.id, "fakepay", instead_of=code.id).id == first.id
    assert len(shop.payments(order)) == 2


def test_a_payment_that_shows_no_code_is_not_replaced_at_its_own_provider(shop: Shop) -> None:
    order = shop.order()
    assert instead(shop, order, "fakepay").id == shop.payment(order).id
    assert len(shop.payments(order)) == 1


def test_a_code_that_was_paid_meanwhile_pays_the_order_and_nothing_else_is_opened(shop: Shop) -> None:
    order = coded(shop)
    shop.acquirer.capture(shop.payment(order).id)
    with pytest.raises(Refusal) as refused:
        instead(shop, order)
    assert (refused.value.code, shop.state(order), len(shop.payments(order))) == ("not_payable", "PAID", 1)


def test_while_it_is_not_known_whether_the_code_is_closed_nothing_can_be_paid_and_the_time_stays(shop: Shop) -> None:
    order = coded(shop)
    shop.acquirer.away = True
    with pytest.raises(Refusal) as refused:
        instead(shop, order)
    assert (refused.value.code, len(shop.payments(order))) == ("confirming", 1)
    status = shop.order_status(order)
    assert (status.key, status.can) == ("confirming", frozenset())
    assert hours(shop, order) == LONG
    shop.acquirer.away = False
    for _ in range(3):
        shop.turn(minutes=2)
    assert shop.order_status(order).key == "cancelled_there"
    assert timedelta(0) < left(shop, order) <= within(shop), "counted from when it was closed"
    assert shop.pay_again(order, "otherpay").is_open


def test_giving_a_code_up_never_lengthens_the_time_to_pay(shop: Shop) -> None:
    order = coded(shop)
    shop.turn(hours=LONG, minutes=-10)
    db.session.rollback()
    before = db.session.get_one(Order, order.id).pay_by
    instead(shop, order)
    db.session.rollback()
    assert db.session.get_one(Order, order.id).pay_by == before <= clock.now() + timedelta(minutes=10)


def test_with_too_little_time_left_the_code_is_neither_offered_to_be_replaced_nor_closed(shop: Shop) -> None:
    order = coded(shop)
    shop.turn(hours=LONG, minutes=-1)
    assert "other_method" not in shop.order_status(order).can
    with pytest.raises(Refusal) as refused:
        instead(shop, order)
    assert refused.value.code == "too_late"
    assert shop.acquirer.payments[shop.payment(order).id].state == "OPEN"


def test_a_later_code_holds_again_but_no_longer_than_one_code_from_the_placing_of_the_order(shop: Shop) -> None:
    order = coded(shop)
    shop.turn(hours=5)
    instead(shop, order, "fakepay")
    show_code(shop, order)
    assert hours(shop, order) == LONG - 5


def test_a_code_that_expires_or_ends_with_its_order_does_not_change_the_time_to_pay(shop: Shop) -> None:
    order, cancelled = coded(shop), coded(shop)
    shop.acquirer.end(shop.payment(order).id, "CANCELLED", "customer")
    shop.deliver_webhook(shop.payment(order))
    assert hours(shop, order) == LONG
    shop.cancel(cancelled)
    assert hours(shop, cancelled) == LONG


def test_eight_concurrent_clicks_close_one_code_and_open_one_payment(shop: Shop, race: Race) -> None:
    order = coded(shop)
    code = shop.payment(order).id

    def press(number: int) -> str:
        try:
            provider = ("fakepay", "otherpay")[number % 2]
            return initiate.open_payment(order.id, provider, instead_of=code).provider
        except Refusal as refusal:
            return refusal.code

    answers = race(press)
    shop.turn(seconds=31)
    still_open = [payment for payment in shop.payments(order) if payment.is_open]
    assert len(still_open) <= 1 and set(answers) <= {"fakepay", "otherpay", "confirming", "too_soon"}, answers
    assert left(shop, order) <= within(shop)
