"""Limit on payments started for one order, with growing pauses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shop.checkout import end_order
from shop.core import clock
from shop.core.db import db
from shop.core.errors import Refusal
from shop.orders.models import Order
from shop.payments.initiation import attempt_limits
from shop.payments.initiation.attempt_limits import TooManyPayments, TooSoon
from shop.payments.polling import poll
from shop.payments.providers.types import PaymentState
from shop.payments.records.models import Payment
from tests.race_fixtures import Race
from tests.shop_fixtures import PEN, Shop

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def starts(shop: Shop) -> int:
    return sum(operation == "start" for operation, _ in shop.acquirer.calls)


def give_up(shop: Shop, order: Order) -> None:
    """End the open payment as the customer."""
    db.session.rollback()
    end_order.cancel_payment(order.id)
    assert shop.payment(order).state == PaymentState.CANCELLED


@pytest.mark.parametrize(
    ("number", "pause"), [(1, 0), (2, 0), (3, 5), (4, 15), (5, 30), (6, 60), (7, 60), (8, 60), (9, 60)]
)
def test_the_pause_before_the_next_payment_grows(shop: Shop, number: int, pause: int) -> None:
    payments = [Payment(created_at=NOON - timedelta(hours=n)) for n in range(number)]
    attempt_limits.check(payments, NOON + timedelta(seconds=pause))
    if pause:
        with pytest.raises(TooSoon) as refusal:
            attempt_limits.check(payments, NOON + timedelta(seconds=pause - 0.5))
        assert (refusal.value.retry_after, refusal.value.status) == (1, 429)


def test_repeated_paying_and_cancelling_opens_three_sessions_and_then_has_to_wait(shop: Shop) -> None:
    order = shop.order((PEN, 1))
    refused = 0
    for _ in range(41):
        give_up(shop, order)
        try:
            shop.pay_again(order)
        except TooSoon:
            refused += 1
    assert (starts(shop), refused) == (3, 39)
    shop.wait(seconds=5)
    shop.pay_again(order)
    assert starts(shop) == 4


def test_an_order_has_at_most_ten_payments(shop: Shop) -> None:
    order = shop.order((PEN, 1))
    for _ in range(9):
        give_up(shop, order)
        shop.turn(seconds=61)
        shop.pay_again(order)
    last = shop.payment(order)
    assert shop.pay_again(order).id == last.id, "the one that is open can be resumed"
    assert "other_method" not in shop.order_status(order).can and not shop.order_status(order).no_more_payments
    give_up(shop, order)
    shop.turn(seconds=61)
    with pytest.raises(TooManyPayments):
        shop.pay_again(order)
    status = shop.order_status(order)
    assert (status.can, status.no_more_payments, starts(shop)) == ({"cancel_order"}, True, 10)


def test_payments_that_never_reached_the_acquirer_use_up_nothing(shop: Shop) -> None:
    shop.acquirer.misbehave("start", *["unreachable"] * 12)
    order = shop.order((PEN, 1))
    for _ in range(11):
        shop.turn(seconds=61)
        shop.pay_again(order)
    assert not shop.order_status(order).no_more_payments


def test_the_pause_and_its_sentence_count_what_the_limit_counts(shop: Shop) -> None:
    """Five payments were started, and two more never reached the acquirer, the last just now."""
    started = [Payment(created_at=NOON - timedelta(seconds=n)) for n in range(20, 25)]
    never_left = [Payment(created_at=NOON, end_reason="unavailable") for _ in range(2)]
    assert attempt_limits.number(started + never_left) == 5
    attempt_limits.check(started + never_left, NOON + timedelta(seconds=10))
    with pytest.raises(TooSoon, match=r"You have tried to pay for this order 5 times\. Wait 1 second, then"):
        attempt_limits.check(started + never_left, NOON + timedelta(seconds=9.5))


def test_another_method_that_is_refused_for_now_leaves_the_open_payment_open(shop: Shop) -> None:
    order = shop.order((PEN, 1))
    for _ in range(2):
        give_up(shop, order)
        shop.pay_again(order)
    with pytest.raises(TooSoon):
        shop.pay_again(order, "otherpay")
    assert shop.payment(order).state == PaymentState.OPEN


def test_eight_concurrent_initiations_beyond_the_limit_open_nothing(shop: Shop, race: Race) -> None:
    order = shop.order((PEN, 1))
    shop.app.config["PAYMENTS_PER_ORDER"] = 2
    give_up(shop, order)
    results = race(lambda _: shop.pay_again(order).id)
    assert len(set(results)) == 1 and starts(shop) == 2
    give_up(shop, order)
    assert {type(result) for result in race(lambda _: shop.pay_again(order))} == {TooManyPayments}
    assert starts(shop) == 2


def test_repeated_closing_calls_the_acquirer_every_2_s_at_most(shop: Shop) -> None:
    order = shop.order((PEN, 1))
    shop.acquirer.misbehave("cancel", *["lose_request"] * 20)
    for _ in range(10):
        poll.close(shop.payment(order).id)
    assert sum(operation == "cancel" for operation, _ in shop.acquirer.calls) == 1
    shop.wait(seconds=2.1)
    poll.close(shop.payment(order).id)
    assert sum(operation == "cancel" for operation, _ in shop.acquirer.calls) == 2
    shop.acquirer.does.clear()
    shop.turn_to(clock.now() + timedelta(seconds=31))


def test_a_refusal_states_how_long_to_wait(shop: Shop) -> None:
    refusal: Refusal = TooSoon(4, 12)
    assert refusal.message == (
        "You have tried to pay for this order 4 times. Wait 12 seconds, then try again. Your items are still reserved."
    )
