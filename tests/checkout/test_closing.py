"""Orders end unpaid only when the acquirer confirms it; a capture after the end is refunded."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shop.checkout import end_order
from shop.core import clock
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.orders.models import Order
from shop.payments.providers import registry
from shop.payments.providers.types import PaymentState
from tests.fakes import Acquirer, FakePay
from tests.shop_fixtures import KETTLE, PEN, UNITS, Shop


def cancels(shop: Shop, order: Order) -> int:
    return shop.acquirer.calls.count(("cancel", shop.payment(order).id))


# --- expired ---


def test_the_last_unit_is_reserved_while_the_customer_types_a_card_number_and_released_when_time_runs_out(
    shop: Shop,
) -> None:
    """Case 10."""
    order = shop.order((KETTLE, UNITS))
    other = shop.cart()
    with pytest.raises(Refusal) as refused:
        shop.place(other)
    assert refused.value.message == "Kettle is sold out. No order was placed, and your cart is unchanged."
    shop.turn(minutes=29, seconds=50)
    assert shop.can_sell() == 0
    shop.turn(seconds=15)
    assert shop.state(order) == "EXPIRED"
    assert shop.acquirer.payments[shop.payment(order).id].state == PaymentState.CANCELLED
    assert shop.state(shop.place(other)) == "WAITING_PAYMENT"


def test_an_order_whose_payment_had_failed_expires_when_its_time_is_over(shop: Shop) -> None:
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.end(payment.id, PaymentState.FAILED, "declines")
    shop.deliver_webhook(payment)
    shop.turn(minutes=31)
    assert shop.moves(order) == ["PENDING", "WAITING_PAYMENT", "FAILED", "EXPIRED"]
    assert shop.can_sell() == UNITS


def test_a_capture_in_the_last_moment_that_is_reported_while_closing_pays(shop: Shop) -> None:
    """Case 12."""
    order = shop.order()
    shop.wait(minutes=29, seconds=58)
    shop.acquirer.capture(shop.payment(order).id)
    shop.turn(seconds=5)
    assert shop.moves(order) == ["PENDING", "WAITING_PAYMENT", "PAID"]
    assert shop.acquirer.payments[shop.payment(order).id].state == PaymentState.CAPTURED


def test_a_capture_after_the_deadline_that_is_reported_before_the_end_still_pays(shop: Shop) -> None:
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.away = True
    shop.turn(minutes=31)
    shop.acquirer.capture(payment.id)
    assert shop.deliver_webhook(payment)[1] == "applied"
    assert shop.state(order) == "PAID"


@pytest.mark.parametrize("outcome", ["closed", "paid"])
def test_the_acquirer_is_away_at_the_deadline_so_the_order_waits_and_ends_rightly_when_it_returns(
    shop: Shop, outcome: str
) -> None:
    """Case 32."""
    order = shop.order((KETTLE, 4))
    payment = shop.payment(order)
    shop.acquirer.away = True
    shop.turn(minutes=30, seconds=1)
    for _ in range(6):
        shop.turn(minutes=5)
    assert (shop.state(order), shop.can_sell()) == ("WAITING_PAYMENT", UNITS - 4)
    assert shop.order_status(order).key == "expiring"
    shop.acquirer.away = False
    if outcome == "paid":
        shop.acquirer.capture(payment.id)
    shop.turn(seconds=31)
    assert shop.state(order) == {"closed": "EXPIRED", "paid": "PAID"}[outcome]
    assert shop.can_sell() == {"closed": UNITS, "paid": UNITS - 4}[outcome]


def test_an_initiation_without_an_answer_is_resolved_before_the_order_may_expire(shop: Shop) -> None:
    """Cases 19 and 32."""
    shop.acquirer.misbehave("start", "lose_answer")
    order = shop.order()
    shop.acquirer.away = True
    shop.turn(minutes=31)
    assert (shop.state(order), shop.payment(order).state) == ("PENDING", "UNKNOWN")
    shop.acquirer.away = False
    shop.turn(seconds=31)
    shop.turn(seconds=31)
    assert shop.state(order) == "EXPIRED"
    assert shop.acquirer.payments[shop.payment(order).id].state == PaymentState.CANCELLED


def test_orders_that_wait_for_an_acquirer_that_is_away_do_not_keep_others_from_ending(shop: Shop) -> None:
    healthy = Acquirer(clock.now)
    registry.all_providers()["otherpay"] = FakePay(healthy, "otherpay")
    stuck = [shop.order((PEN, 1)) for _ in range(3)]
    fine = shop.order((PEN, 1), provider="otherpay")
    shop.acquirer.away = True
    shop.turn(minutes=31)
    assert shop.state(fine) == "EXPIRED"
    assert not end_order.due(limit=2), "who waits for an answer is not in the way of those who come after"
    shop.acquirer.away = False
    for _ in range(3):
        shop.turn(seconds=31)
    assert {shop.state(order) for order in stuck} == {"EXPIRED"}


def test_a_mismatch_defers_the_end_and_neither_pay_nor_cancel_is_accepted(shop: Shop) -> None:
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id, money=Money(1, "TWD"))
    shop.deliver_webhook(payment)
    with pytest.raises(Refusal) as refused:
        shop.cancel(order)
    assert refused.value.code == "under_review"
    with pytest.raises(Refusal) as refused:
        shop.pay_again(order, "otherpay")
    assert refused.value.code == "not_payable"
    shop.turn(hours=2)
    assert (shop.state(order), shop.can_sell()) == ("WAITING_PAYMENT", UNITS - 1)


# --- cancelled ---


def test_a_cancelled_order_has_its_payment_closed_there_before_its_stock_is_free(shop: Shop) -> None:
    order = shop.order((KETTLE, 3))
    shop.cancel(order)
    assert shop.acquirer.payments[shop.payment(order).id].state == PaymentState.CANCELLED
    assert (shop.state(order), shop.payment(order).state, shop.can_sell()) == ("CANCELLED", "CANCELLED", UNITS)
    shop.cancel(order)
    assert shop.moves(order).count("CANCELLED") == 1


def test_cancelled_while_the_acquirer_is_away_waits_with_its_stock_held(shop: Shop) -> None:
    order = shop.order()
    shop.acquirer.away = True
    shop.cancel(order)
    assert (shop.state(order), shop.can_sell()) == ("WAITING_PAYMENT", UNITS - 1)
    assert shop.order_status(order).key == "closing"
    shop.turn(minutes=3)
    assert shop.state(order) == "WAITING_PAYMENT"
    shop.acquirer.away = False
    shop.turn(seconds=31)
    assert (shop.state(order), shop.can_sell()) == ("CANCELLED", UNITS)


def test_a_customer_who_cancels_cannot_pay_in_the_open_tab_because_the_session_is_closed(shop: Shop) -> None:
    """Case 31."""
    order = shop.order()
    shop.cancel(order)
    assert shop.acquirer.payments[shop.payment(order).id].state == PaymentState.CANCELLED
    shop.turn(minutes=1)
    assert (shop.state(order), shop.captures(order)) == ("CANCELLED", [])


def test_a_capture_despite_the_cancellation_is_late(shop: Shop) -> None:
    """Case 31, up to the recorded state."""
    order = shop.order()
    payment = shop.payment(order)
    shop.cancel(order)
    shop.wait(minutes=1)
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    assert (shop.state(order), shop.captures(order), shop.can_sell()) == ("CANCELLED", ["late"], UNITS)
    status = shop.order_status(order)
    assert (status.key, status.final) == ("late", False)
    shop.sweep()


def test_a_capture_before_the_cancel_that_is_reported_after_it_revives_the_order(shop: Shop) -> None:
    """Cases 12 and 31."""
    order = shop.order()
    payment = shop.payment(order)
    before = clock.now()
    shop.wait(minutes=1)
    shop.cancel(order)
    shop.acquirer.capture(payment.id, at=before + timedelta(seconds=30))
    shop.deliver_webhook(payment)
    assert shop.moves(order)[-2:] == ["CANCELLED", "PAID"]
    assert shop.can_sell() == UNITS - 1


def test_cancel_pressed_on_an_order_that_was_just_paid_leaves_it_paid(shop: Shop) -> None:
    """Case 16."""
    order = shop.order()
    shop.acquirer.capture(shop.payment(order).id)
    shop.cancel(order)
    assert shop.moves(order) == ["PENDING", "WAITING_PAYMENT", "PAID"]
    assert shop.can_sell() == UNITS - 1
    shop.cancel(order)
    assert shop.state(order) == "PAID"


def test_an_acquirer_that_reports_a_close_that_did_not_happen_is_queried_again_with_growing_pauses(shop: Shop) -> None:
    order = shop.order()
    shop.acquirer.misbehave("cancel", *["lose_request"] * 3)
    shop.cancel(order)
    shop.sweep()
    shop.sweep()
    assert (cancels(shop, order), shop.state(order)) == (1, "WAITING_PAYMENT")
    pauses = [round(shop.next_wait(order).total_seconds()) for _ in range(3)]
    assert pauses == pytest.approx([3, 5, 10], abs=1)
    assert (cancels(shop, order), shop.state(order)) == (4, "CANCELLED")


def test_a_payment_that_does_not_close_after_its_order_was_paid_is_not_polled_in_a_loop(shop: Shop) -> None:
    """Case 33, with an acquirer that is slow to close the second payment."""
    order = shop.order()
    first = shop.payment(order)
    shop.acquirer.end(first.id, PaymentState.FAILED, "declines")
    shop.deliver_webhook(first)
    second = shop.pay_again(order)
    shop.acquirer.capture(first.id)
    shop.deliver_webhook(first)
    shop.acquirer.misbehave("cancel", *["lose_request"] * 4)
    for _ in range(4):
        shop.sweep()
    assert shop.acquirer.calls.count(("cancel", second.id)) == 1
    for _ in range(6):
        shop.turn(seconds=31)
    assert shop.acquirer.payments[second.id].state == PaymentState.CANCELLED
    assert shop.payment(order).state == "CANCELLED"


# --- the payment alone ---


def test_cancelling_the_payment_keeps_the_order_and_offers_another_way_to_pay(shop: Shop) -> None:
    """Case 18."""
    order = shop.order()
    end_order.cancel_payment(order.id)
    assert (shop.payment(order).state, shop.state(order)) == ("CANCELLED", "FAILED")
    status = shop.order_status(order)
    assert status.key == "cancelled_there"
    assert {"pay", "other_method"} <= status.can
    assert shop.can_sell() == UNITS - 1
    assert shop.pay_again(order, "otherpay").state == "OPEN"


def test_cancelling_the_payment_that_was_just_paid_leaves_it_paid(shop: Shop) -> None:
    order = shop.order()
    shop.acquirer.capture(shop.payment(order).id)
    end_order.cancel_payment(order.id)
    assert shop.state(order) == "PAID"
