"""Opening a payment: one at a time, never twice, and never for an order that is paid."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shop.core import clock
from shop.core.db import db, transaction
from shop.core.errors import BadInput, Refusal
from shop.orders.models import Order
from shop.payments.initiation import initiate
from shop.payments.polling import poll
from shop.payments.providers.types import PaymentState
from shop.payments.records.models import Payment
from tests.shop_fixtures import KETTLE, PEN, UNITS, Shop


def refusal(shop: Shop, order: Order, provider: str = "fakepay") -> str:
    """The refusal to open a payment now."""
    with pytest.raises(Refusal) as refused:
        shop.pay_again(order, provider)
    return refused.value.code


def starts(shop: Shop) -> list[str]:
    return [reference for operation, reference in shop.acquirer.calls if operation == "start"]


# --- one at a time ---


def test_double_click_on_pay_reload_and_two_tabs_are_the_same_payment_with_the_same_reference(shop: Shop) -> None:
    """Case 3."""
    order = shop.order()
    payment = shop.payment(order)
    assert {shop.pay_again(order).id for _ in range(4)} == {payment.id}
    assert starts(shop) == [payment.id]
    assert list(shop.acquirer.payments) == [payment.id]


def test_pay_pressed_on_an_order_that_was_just_paid_opens_nothing(shop: Shop) -> None:
    """Case 5."""
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    assert refusal(shop, order) == "not_payable"
    assert refusal(shop, order, "otherpay") == "not_payable"
    assert [p.id for p in shop.payments(order)] == [payment.id]
    assert shop.order_status(order).key == "paid"


def test_a_second_attempt_is_refused_while_the_first_may_still_be_captured(shop: Shop) -> None:
    """Case 1."""
    shop.acquirer.misbehave("start", "lose_answer")
    order = shop.order()
    shop.acquirer.away = True
    assert shop.payment(order).state == "UNKNOWN"
    assert refusal(shop, order, "otherpay") == "confirming"
    status = shop.order_status(order)
    assert (status.key, status.can) == ("confirming", frozenset())
    assert len(shop.payments(order)) == 1


def test_a_method_that_we_do_not_have_is_refused(shop: Shop) -> None:
    order = shop.order()
    with pytest.raises(BadInput) as refused:
        shop.pay_again(order, "nopay")
    assert refused.value.code == "unknown_method"
    assert len(shop.payments(order)) == 1


# --- another method ---


def test_declined_at_one_acquirer_then_another_method_the_first_is_closed_there_before_the_second_opens(
    shop: Shop,
) -> None:
    """Case 17."""
    order = shop.order()
    first = shop.payment(order)
    shop.acquirer.decline(first.id)
    shop.deliver_webhook(first)
    second = shop.pay_again(order, "otherpay")
    assert shop.acquirer.payments[first.id].state == PaymentState.CANCELLED
    message = [operation for operation, _ in shop.acquirer.calls]
    assert message.index("cancel") < message.index("start", 1)
    assert [(p.id, p.state) for p in shop.payments(order)] == [(first.id, "CANCELLED"), (second.id, "OPEN")]
    assert shop.state(order) == "WAITING_PAYMENT"


def test_another_method_is_chosen_but_the_first_was_paid_meanwhile_so_nothing_opens(shop: Shop) -> None:
    """Case 17."""
    order = shop.order()
    first = shop.payment(order)
    shop.acquirer.capture(first.id)
    assert refusal(shop, order, "otherpay") == "not_payable"
    assert shop.state(order) == "PAID"
    assert [p.id for p in shop.payments(order)] == [first.id]


def test_another_method_while_the_first_acquirer_is_away_has_to_wait(shop: Shop) -> None:
    """Case 17."""
    order = shop.order()
    first = shop.payment(order)
    shop.acquirer.away = True
    assert refusal(shop, order, "otherpay") == "confirming"
    shop.acquirer.away = False
    shop.turn(seconds=31)
    assert shop.payment(order).state == "CANCELLED"
    assert shop.pay_again(order, "otherpay").provider == "otherpay"
    assert shop.acquirer.payments[first.id].state == PaymentState.CANCELLED


def test_the_same_method_is_not_resumed_once_its_payment_is_being_closed(shop: Shop) -> None:
    order = shop.order()
    shop.acquirer.away = True
    poll.close(shop.payment(order).id)
    assert refusal(shop, order) == "confirming"


# --- trying again ---


@pytest.mark.parametrize("end", ["FAILED", "CANCELLED", "EXPIRED"])
def test_a_payment_that_ended_without_money_leaves_the_stock_held_and_may_be_tried_again(shop: Shop, end: str) -> None:
    order = shop.order((KETTLE, 2))
    first = shop.payment(order)
    shop.acquirer.end(first.id, end, "customer")
    shop.deliver_webhook(first)
    assert shop.state(order) == "FAILED"
    assert shop.can_sell() == 8
    assert "pay" in shop.order_status(order).can
    second = shop.pay_again(order)
    assert (second.id != first.id, second.state, shop.state(order)) == (True, "OPEN", "WAITING_PAYMENT")


def test_with_less_than_two_minutes_left_nothing_new_is_opened(shop: Shop) -> None:
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.end(payment.id, PaymentState.FAILED, "declines")
    shop.deliver_webhook(payment)
    shop.wait(minutes=27, seconds=50)
    assert "pay" in shop.order_status(order).can
    shop.wait(seconds=15)
    assert shop.order_status(order).can == {"cancel_order"}
    assert refusal(shop, order) == "too_late"
    shop.sweep()


def test_after_the_deadline_or_a_cancel_request_nothing_is_opened(shop: Shop) -> None:
    late, unwanted = shop.order(), shop.order()
    shop.acquirer.away = True
    shop.cancel(unwanted)
    assert shop.order_status(unwanted).key == "closing"
    shop.wait(minutes=30)
    assert shop.order_status(late).key == "expiring"
    assert (refusal(shop, late), refusal(shop, unwanted)) == ("not_payable", "not_payable")
    shop.acquirer.away = False
    shop.turn(seconds=31)
    assert (shop.state(late), shop.state(unwanted)) == ("EXPIRED", "CANCELLED")


# --- no answer ---


def test_an_initiation_that_timed_out_but_worked_is_found_by_our_reference_and_adopted(shop: Shop) -> None:
    """Case 19."""
    shop.acquirer.misbehave("start", "lose_answer")
    order = shop.order()
    payment = shop.payment(order)
    assert (payment.state, payment.provider_data) == ("UNKNOWN", {})
    shop.turn(seconds=3)
    payment = shop.payment(order)
    assert (payment.state, payment.provider_data) == ("OPEN", {"id": f"remote-{payment.id}"})
    assert shop.state(order) == "WAITING_PAYMENT"
    action = initiate.next_action(payment)
    assert action and action.url.endswith(payment.id)
    assert starts(shop) == [payment.id], "never opened twice"
    assert {shop.pay_again(order).id} == {payment.id}


def test_an_initiation_that_never_arrived_is_given_up_and_another_gets_a_new_reference(
    shop: Shop,
) -> None:
    """Case 19."""
    shop.acquirer.misbehave("start", "lose_request")
    order = shop.order()
    first = shop.payment(order)
    shop.turn(seconds=5)
    assert shop.payment(order).state == "UNKNOWN", "it may still be on its way"
    shop.turn(seconds=6)
    assert (shop.payment(order).state, shop.payment(order).end_reason) == ("FAILED", "never_arrived")
    assert (shop.state(order), shop.order_status(order).key) == ("FAILED", "choose")
    second = shop.pay_again(order)
    assert second.id != first.id
    assert list(shop.acquirer.payments) == [second.id]


def test_a_payment_that_only_a_webhook_reported_as_open_does_not_hold_its_order_for_ever(shop: Shop) -> None:
    """No response ever stated its expiry, and the acquirer does not know it."""
    shop.acquirer.misbehave("start", "lose_request")
    order = shop.order((PEN, 1))
    payment = shop.payment(order)
    assert shop.deliver_webhook(payment, state="OPEN") == (200, "applied")
    shop.turn(minutes=10)
    assert (shop.payment(order).state, shop.state(order)) == ("OPEN", "WAITING_PAYMENT")
    shop.turn(minutes=21)
    assert (shop.payment(order).state, shop.payment(order).end_reason) == ("FAILED", "never_arrived")
    assert (shop.state(order), shop.can_sell(PEN)) == ("EXPIRED", UNITS)


def test_an_initiation_that_timed_out_is_adopted_when_the_customer_pays(shop: Shop) -> None:
    """Case 19, and a webhook that arrives before the response."""
    shop.acquirer.misbehave("start", "lose_answer")
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id)
    assert shop.deliver_webhook(payment) == (200, "applied")
    assert shop.moves(order) == ["PENDING", "PAID"]


def test_an_unreachable_acquirer_is_reported_and_can_be_tried_again(shop: Shop) -> None:
    shop.acquirer.misbehave("start", "unreachable")
    order = shop.order()
    assert (shop.state(order), shop.order_status(order).key) == ("FAILED", "unavailable")
    assert shop.pay_again(order).state == "OPEN"


def test_an_acquirer_that_refuses_leaves_the_order_with_another_try(shop: Shop) -> None:
    shop.acquirer.misbehave("start", "refuse")
    order = shop.order()
    assert (shop.state(order), shop.order_status(order).key) == ("FAILED", "choose")
    assert shop.pay_again(order).state == "OPEN"


# --- late responses ---


def test_a_payment_that_opens_after_its_order_was_paid_is_closed_there(shop: Shop) -> None:
    order = shop.order()
    first = shop.payment(order)
    shop.acquirer.end(first.id, PaymentState.FAILED, "declines")
    shop.deliver_webhook(first)
    shop.acquirer.misbehave("start", "lose_answer")
    second = shop.pay_again(order)
    shop.acquirer.capture(first.id)
    shop.deliver_webhook(first)
    assert shop.state(order) == "PAID"
    shop.sweep()
    assert shop.payment(order).state == "CANCELLED"
    assert shop.acquirer.payments[second.id].state == PaymentState.CANCELLED


def test_a_payment_whose_opening_was_given_up_but_is_open_there_after_all_is_closed_there(shop: Shop) -> None:
    """Its customer never saw it, so it must not stay payable."""
    shop.acquirer.misbehave("start", "lose_answer")
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.misbehave("query", *["forget"] * 5)
    while shop.payment(order).state == "UNKNOWN":
        shop.turn_to(shop.payment(order).next_check_at)
    assert shop.payment(order).end_reason == "never_arrived"
    shop.acquirer.does.clear()
    shop.turn(seconds=61)
    shop.sweep()
    assert shop.acquirer.payments[payment.id].state == PaymentState.CANCELLED
    assert shop.payment(order).state == "FAILED"


def test_a_response_to_an_initiation_that_was_given_up_closes_the_payment_there(shop: Shop) -> None:
    """A call of more than ten seconds: the poller had already found nothing."""
    order = shop.order()
    answered = shop.payment(order)
    remote = shop.acquirer.payments.pop(answered.id)
    with transaction():
        row = db.session.get_one(Payment, answered.id)
        row.state, row.opened_at, row.next_check_at = "CREATED", None, clock.now() + timedelta(seconds=10)
    shop.turn(seconds=11)
    assert shop.payment(order).end_reason == "never_arrived"
    shop.acquirer.payments[remote.reference] = remote
    initiate.start(answered.id)
    shop.sweep()
    assert remote.state == PaymentState.CANCELLED
