"""Polling: with every webhook lost, orders are still paid."""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime, timedelta

import pytest

from shop.core import clock, rate_limit
from shop.core.db import db, transaction
from shop.inventory import stock
from shop.orders.models import Order
from shop.payments.calls import circuit_breaker
from shop.payments.polling import poll
from shop.payments.providers import registry
from shop.payments.providers.types import PaymentState
from shop.payments.records.models import Payment, ProviderHealth
from tests.fakes import Acquirer, FakePay
from tests.shop_fixtures import PEN, Shop

MINUTE, HOUR, DAY = 60, 3600, 86400


def gaps(shop: Shop, order: Order, since: datetime, times: int) -> list[int]:
    """Seconds from `since` at which the payment is polled, the next `times` times."""
    requested = []
    for _ in range(times):
        due = shop.payment(order).next_check_at
        requested.append(round((due - since).total_seconds()) if due else 0)
        shop.turn_to(due)
    return requested


def queries(shop: Shop, payment: Payment) -> int:
    return shop.acquirer.calls.count(("query", payment.id))


# --- schedule ---


def test_an_open_payment_is_polled_after_10_s_and_then_at_most_every_30_s(shop: Shop) -> None:
    order = shop.order()
    assert gaps(shop, order, shop.opened_at(order), 5) == pytest.approx([10, 30, 60, 90, 120], abs=5)


@pytest.mark.parametrize("after", [0, 9, 11, 31, 61, 200])
def test_webhook_lost_the_order_is_paid_by_polling_inside_60_s(shop: Shop, after: int) -> None:
    """Case 20."""
    order = shop.order()
    payment = shop.payment(order)
    shop.turn(seconds=after)
    shop.acquirer.capture(payment.id)
    captured_at = clock.now()
    while shop.state(order) != "PAID":
        shop.turn_to(shop.payment(order).next_check_at)
        assert clock.now() - captured_at <= timedelta(seconds=60)


def test_the_customer_closes_every_tab_after_approving_and_the_order_still_becomes_paid(shop: Shop) -> None:
    """Case 4: no page is open, no customer returns, no webhook arrives."""
    order = shop.order()
    shop.acquirer.capture(shop.payment(order).id)
    shop.turn(seconds=31)
    assert shop.moves(order) == ["PENDING", "WAITING_PAYMENT", "PAID"]


def test_a_payment_that_ended_without_a_capture_is_polled_after_a_minute_ten_an_hour_and_a_day_and_no_more(
    shop: Shop,
) -> None:
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.end(payment.id, PaymentState.FAILED, "declines")
    shop.deliver_webhook(payment)
    ended_at = shop.payment(order).ended_at
    assert ended_at
    assert gaps(shop, order, ended_at, 4) == pytest.approx([MINUTE, 10 * MINUTE, HOUR, DAY], abs=5)
    assert shop.payment(order).next_check_at is None


@pytest.mark.parametrize("after", [MINUTE, 10 * MINUTE, HOUR, DAY])
def test_a_late_capture_without_a_webhook_is_found_by_another_poll(shop: Shop, after: int) -> None:
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.end(payment.id, PaymentState.FAILED, "declines")
    shop.deliver_webhook(payment)
    shop.turn(seconds=after - 10)
    shop.acquirer.capture(payment.id)
    shop.turn(seconds=11)
    in_time = after < 30 * MINUTE
    assert (shop.state(order), shop.captures(order)) == (("PAID", ["pays_order"]) if in_time else ("EXPIRED", ["late"]))


def test_a_capture_is_confirmed_by_one_query_and_then_left_alone(shop: Shop) -> None:
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    requested = queries(shop, payment)
    shop.turn(seconds=29)
    assert queries(shop, payment) == requested
    shop.turn(seconds=2)
    assert queries(shop, payment) == requested + 1
    assert shop.payment(order).confirmed_at
    assert shop.payment(order).next_check_at is None
    assert shop.order_status(order).final


def test_a_second_capture_without_a_webhook_is_found_by_another_poll(shop: Shop) -> None:
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id)
    shop.turn(seconds=11)
    assert (shop.state(order), shop.payment(order).confirmed_at) == ("PAID", None)
    shop.acquirer.capture(payment.id)
    shop.turn(seconds=31)
    assert shop.captures(order) == ["pays_order", "duplicate"]
    assert shop.payment(order).confirmed_at


def test_a_capture_that_the_query_does_not_show_is_kept_and_polled_once_more(shop: Shop) -> None:
    """The acquirer contradicts itself: its signed webhook says captured, its query says something else."""
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    shop.acquirer.misbehave("query", "forget_money", "forget_money")
    requested = queries(shop, payment)
    for _ in range(4):
        shop.turn(seconds=31)
    assert queries(shop, payment) == requested + 2
    after = shop.payment(order)
    assert (after.confirm_misses, after.confirmed_at) == (2, None)
    assert shop.state(order) == "PAID"
    shop.turn(minutes=10)
    after = shop.payment(order)
    assert after.confirmed_at, "from time to time it is asked about until they agree"
    assert after.next_check_at is None


def test_a_capture_that_the_query_shows_the_second_time_is_confirmed(shop: Shop) -> None:
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    shop.acquirer.misbehave("query", "forget_money")
    for _ in range(2):
        shop.turn(seconds=31)
    assert shop.payment(order).confirm_misses == 1
    assert shop.payment(order).confirmed_at


# --- causes ---


def test_views_and_returns_poll_at_most_every_2_s(shop: Shop) -> None:
    order = shop.order()
    payment = shop.payment(order)
    for _ in range(5):
        poll.check_now(order.id, "view")
        poll.check_now(order.id, "return")
    assert queries(shop, payment) == 1
    shop.wait(seconds=2.1)
    poll.check_now(order.id, "view")
    assert queries(shop, payment) == 2


def test_the_return_page_notes_the_return_makes_the_payment_due_and_decides_nothing(shop: Shop) -> None:
    """Case 1."""
    order = shop.order()
    shop.acquirer.capture(shop.payment(order).id)
    poll.make_due(order.id, "return")
    due = shop.payment(order).next_check_at
    assert due and due <= clock.now()
    assert shop.state(order) == "WAITING_PAYMENT"
    assert shop.payment(order).returned_at
    assert shop.order_status(order).key == "confirming"
    shop.sweep()
    assert shop.state(order) == "PAID"


# --- the acquirer is away ---


def test_an_unavailable_acquirer_is_polled_less_and_less_often(shop: Shop) -> None:
    order = shop.order()
    shop.acquirer.away = True
    shop.turn(seconds=10)
    assert shop.payment(order).unavailable_since
    waits = [w.total_seconds() for w in (shop.next_wait(order), shop.next_wait(order), shop.next_wait(order))]
    assert waits == sorted(waits)
    assert max(waits) <= 30


def test_after_five_failures_calls_to_an_acquirer_pause_and_are_then_tried_again(shop: Shop) -> None:
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.away = True
    while not circuit_breaker.paused():
        shop.turn_to(shop.payment(order).next_check_at)
    requested = queries(shop, payment)
    assert requested == circuit_breaker.TRIP_AFTER
    shop.make_due(payment)
    shop.sweep()
    poll.check_now(order.id, "view")
    assert queries(shop, payment) == requested, "left alone"
    shop.acquirer.away = False
    shop.acquirer.capture(payment.id)
    shop.turn(seconds=31)
    assert shop.state(order) == "PAID"
    row = db.session.scalars(db.select(ProviderHealth)).one()
    assert (row.failures, row.paused_until, row.unavailable_since) == (0, None, None)
    assert shop.payment(order).unavailable_since is None


def test_retry_after_of_an_acquirer_is_respected(shop: Shop) -> None:
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.misbehave("query", "busy")
    shop.turn(seconds=10)
    for _ in range(5):
        shop.turn(seconds=11)
    assert queries(shop, payment) == 1
    shop.turn(seconds=6)
    assert queries(shop, payment) == 2


def test_an_unavailable_acquirer_does_not_delay_others(shop: Shop) -> None:
    healthy = Acquirer(clock.now)
    registry.all_providers()["otherpay"] = FakePay(healthy, "otherpay")
    shop.acquirer.away = False
    first, second = shop.order((PEN, 1)), shop.order((PEN, 1), provider="otherpay")
    healthy.capture(shop.payment(second).id)
    shop.acquirer.misbehave("query", "busy")
    shop.turn(seconds=11)
    assert shop.state(first) == "WAITING_PAYMENT"
    assert shop.state(second) == "PAID"


def test_calls_stay_within_the_providers_rate(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = [shop.order((PEN, 1)) for _ in range(7)]
    monkeypatch.setitem(shop.app.config, "CALLS_PER_SECOND", 3)
    shop.wait(seconds=11)
    began = time.monotonic()
    shop.sweep()
    assert time.monotonic() - began > 1.0, "seven calls at three a second reach into a third second"
    assert sum(queries(shop, shop.payment(order)) for order in orders) == 7


def test_an_exhausted_rate_limit_is_no_answer_and_no_failure_of_the_acquirer(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = shop.order()
    payment = shop.payment(order)
    monkeypatch.setattr(rate_limit, "wait_for_turn", lambda *_: False)
    shop.turn(seconds=11)
    assert queries(shop, payment) == 0
    assert shop.count(ProviderHealth) == 0
    monkeypatch.undo()
    shop.turn(seconds=31)
    assert queries(shop, payment) == 1


# --- everything that is due ---


def test_everything_due_is_served_and_not_the_first_ten(shop: Shop) -> None:
    with transaction():
        stock.receive(PEN, 20)
    orders = [shop.order((PEN, 1)) for _ in range(24)]
    for order in orders:
        shop.acquirer.capture(shop.payment(order).id)
    shop.turn(seconds=11)
    assert Counter(shop.state(order) for order in orders) == {"PAID": 24}


def test_a_payment_that_cannot_be_polled_stops_no_other_and_is_tried_again(shop: Shop) -> None:
    orders = [shop.order((PEN, 1)) for _ in range(3)]
    for order in orders:
        shop.acquirer.capture(shop.payment(order).id)
    shop.acquirer.misbehave("query", "crash")
    shop.turn(seconds=11)
    assert Counter(shop.state(order) for order in orders) == {"PAID": 2, "WAITING_PAYMENT": 1}
    shop.turn_to(clock.now() + poll.LEASE)
    assert Counter(shop.state(order) for order in orders) == {"PAID": 3}


def test_a_payment_whose_provider_was_taken_out_waits_until_it_is_back(shop: Shop) -> None:
    order = shop.order(provider="otherpay")
    gone = registry.all_providers().pop("otherpay")
    shop.turn(seconds=11)
    assert shop.state(order) == "WAITING_PAYMENT"
    registry.all_providers()["otherpay"] = gone
    shop.acquirer.capture(shop.payment(order).id)
    shop.turn(seconds=31)
    assert shop.state(order) == "PAID"


# --- not found ---


def test_an_open_payment_that_the_query_does_not_know_stays_open_until_its_session_is_over(shop: Shop) -> None:
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.payments.pop(payment.id)
    for _ in range(3):
        shop.turn(minutes=9)
        assert shop.payment(order).state == "OPEN"
    shop.turn(minutes=4)
    assert (shop.payment(order).state, shop.state(order)) == ("EXPIRED", "EXPIRED")


def test_a_capture_reported_for_two_payments_is_booked_once_and_raises_nothing(shop: Shop) -> None:
    """An error of the acquirer that staff must see: the order that claims the capture does not end automatically."""
    paid, other = shop.paid_order(), shop.order()
    theirs = shop.acquirer.payments[shop.payment(paid).id].captures[0]
    shop.acquirer.capture(shop.payment(other).id)
    shop.acquirer.payments[shop.payment(other).id].captures[:] = [theirs]
    shop.wait(seconds=11)
    poll.check_now(other.id, "view")
    assert (shop.state(paid), shop.state(other), shop.captures(other)) == ("PAID", "WAITING_PAYMENT", [])
    shop.acquirer.end(shop.payment(other).id, "EXPIRED", "time").captures.clear()
    shop.turn(minutes=31)
    assert shop.state(other) == "EXPIRED"
