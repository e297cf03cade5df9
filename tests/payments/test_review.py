"""Wrong amounts wait for staff: they accept or refund them, and the order continues."""

from __future__ import annotations

import pytest

from shop.checkout import end_order
from shop.core.db import transaction
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.inventory import stock
from shop.ledger import book, chart
from shop.orders.models import Order
from shop.payments.refunds import requests
from shop.payments.updates.apply import accept
from tests.payments.outside_refunds import late_capture
from tests.race_fixtures import Race
from tests.shop_fixtures import KETTLE, PRICES, Shop

PRICE = PRICES[KETTLE]["TWD"]


def _wrong(shop: Shop, difference: int = -100, currency: str = "TWD", **more: int) -> Order:
    """An order with a capture of another amount."""
    order = shop.order(**more)  # type: ignore[arg-type]
    due = order.to_pay.amount
    shop.acquirer.capture(shop.payment(order).id, money=Money(due + difference, currency))
    shop.deliver_webhook(shop.payment(order))
    assert shop.order_status(order).key == "review"
    return order


@pytest.mark.parametrize("difference", [-100, 100])
def test_staff_accept_another_amount_and_the_difference_is_booked(shop: Shop, difference: int) -> None:
    order = _wrong(shop, difference)
    accept(shop.capture(order), by=shop.sam, note="close enough")
    assert shop.state(order) == "PAID"
    assert shop.captures(order) == ["pays_order"]
    assert shop.order_status(order).key == "paid"
    assert shop.order_status(order).order.accepted == Money(PRICE + difference, "TWD")
    assert book.balance(chart.SALES, "TWD") == Money(-PRICE, "TWD")
    assert book.balance(chart.DIFFERENCES, "TWD") == Money(-difference, "TWD")
    assert book.balance(chart.UNALLOCATED_FUNDS, "TWD") == Money(0, "TWD")


def test_an_accepted_order_is_refunded_when_the_accepted_amount_is_refunded(shop: Shop) -> None:
    order = _wrong(shop, -100)
    accept(shop.capture(order), by=shop.sam)
    requests.request_all(order.id, reason="", by=shop.sam)
    shop.sweep()
    assert shop.state(order) == "REFUNDED"


def test_accepting_takes_credit_into_account(shop: Shop) -> None:
    order = _wrong(shop, -100, customer=shop.customer(credit=50000), credit=50000)
    accept(shop.capture(order), by=shop.sam)
    assert shop.order_status(order).order.accepted == Money(PRICE - 100, "TWD")
    assert book.balance(chart.SALES, "TWD") == Money(-PRICE, "TWD")


def test_of_eight_concurrent_acceptances_one_succeeds(shop: Shop, race: Race) -> None:
    order = _wrong(shop)
    capture = shop.capture(order)
    results = race(lambda number: accept(capture, by=shop.colleague(f"person{number}")))
    assert results.count(None) == 1
    assert {r.code for r in results if isinstance(r, Refusal)} == {"not_to_accept"}
    assert shop.moves(order).count("PAID") == 1


def test_of_a_concurrent_acceptance_and_refund_only_one_succeeds(shop: Shop, race: Race) -> None:
    order = _wrong(shop)
    capture = shop.capture(order)
    money = Money(PRICE - 100, "TWD")

    def do(number: int) -> str:
        if number % 2:
            accept(capture, by=shop.sam)
            return "accepted"
        requests.request(capture, money, reason="", by=shop.kim)
        return "refunded"

    results = race(do)
    shop.sweep()
    done = {r for r in results if isinstance(r, str)}
    if "accepted" in done:
        assert shop.state(order) in ("PAID", "REFUNDED"), "what was accepted may be refunded as an order's"
    else:
        assert shop.state(order) == "WAITING_PAYMENT"
    assert len([r for r in results if r == "refunded"]) <= 1


def test_another_currency_can_only_be_refunded(shop: Shop) -> None:
    order = _wrong(shop, 0, "JPY")
    with pytest.raises(Refusal) as refused:
        accept(shop.capture(order), by=shop.sam)
    assert refused.value.code == "not_to_accept"


def test_after_the_refund_of_a_mismatch_the_customer_has_at_least_ten_minutes_to_pay(shop: Shop) -> None:
    order = _wrong(shop)
    shop.turn(minutes=40)
    assert shop.state(order) == "WAITING_PAYMENT", "while people look, time stands still"
    with pytest.raises(Refusal):
        shop.cancel(order)
    requests.request(shop.capture(order), Money(PRICE - 100, "TWD"), reason="wrong amount", by=shop.sam)
    shop.sweep()
    status = shop.order_status(order)
    assert status.key == "choose"
    assert "pay" in status.can
    assert (status.order.pay_by - status.now).total_seconds() >= 595
    again = shop.pay_again(order)
    shop.acquirer.capture(again.id)
    shop.deliver_webhook(again)
    assert shop.state(order) == "PAID"


def test_during_a_review_no_other_payment_stays_open(shop: Shop) -> None:
    order = shop.order()
    first = shop.payment(order)
    end_order.cancel_payment(order.id)
    second = shop.pay_again(order, "otherpay")
    shop.acquirer.capture(first.id, money=Money(PRICE - 100, "TWD"))
    shop.deliver_webhook(first)
    assert shop.order_status(order).key == "review"
    shop.turn(minutes=1)
    assert [p.state for p in shop.payments(order)] == ["CAPTURED", "CANCELLED"]
    assert shop.acquirer.payments[second.id].state == "CANCELLED"
    requests.request(shop.capture(order), Money(PRICE - 100, "TWD"), reason="", by=shop.sam)
    shop.sweep()
    assert "pay" in shop.order_status(order).can
    again = shop.pay_again(order)
    shop.acquirer.capture(again.id)
    shop.deliver_webhook(again)
    assert shop.state(order) == "PAID"
    shop.is_sound()


def test_after_a_review_an_order_that_is_not_paid_expires(shop: Shop) -> None:
    order = _wrong(shop)
    shop.turn(minutes=40)
    requests.request(shop.capture(order), Money(PRICE - 100, "TWD"), reason="", by=shop.sam)
    shop.sweep()
    shop.turn(minutes=11)
    assert shop.state(order) == "EXPIRED"
    assert shop.can_sell() == 10


def test_a_partial_refund_of_a_mismatch_does_not_end_the_review(shop: Shop) -> None:
    order = _wrong(shop)
    requests.request(shop.capture(order), Money(1000, "TWD"), reason="", by=shop.sam)
    shop.sweep()
    assert shop.order_status(order).key == "review"
    with pytest.raises(Refusal):
        accept(shop.capture(order), by=shop.sam)


def test_a_mismatch_for_an_expired_order_can_be_accepted_only_while_its_stock_is_available(shop: Shop) -> None:
    orders = [shop.order(), shop.order()]
    payments = [shop.payment(order) for order in orders]
    shop.turn(minutes=31)
    for payment in payments:
        shop.acquirer.capture(payment.id, money=Money(PRICE - 100, "TWD"))
        shop.deliver_webhook(payment)
    accept(shop.capture(orders[0]), by=shop.sam)
    assert shop.state(orders[0]) == "PAID"
    with transaction():
        stock.receive(KETTLE, -shop.can_sell(), "adjustment")
    with pytest.raises(Refusal) as refused:
        accept(shop.capture(orders[1]), by=shop.sam)
    assert refused.value.code == "nothing_to_hold"
    requests.request(shop.capture(orders[1]), Money(PRICE - 100, "TWD"), reason="", by=shop.sam)
    shop.sweep()
    assert shop.state(orders[1]) == "EXPIRED"
    assert shop.order_status(orders[1]).key == "expired"


def test_a_rejected_automatic_refund_waits_for_staff_until_another_one_is_done(shop: Shop) -> None:
    order = late_capture(shop, "refuse")
    shop.sweep()
    assert [r.state for r in shop.refunds(order)] == ["REJECTED"]
    assert shop.order_status(order).key == "review"
    requests.request(shop.capture(order), order.total, reason="by hand", by=shop.sam)
    shop.sweep()
    assert shop.order_status(order).key == "late"
    assert shop.order_status(order).order.review_since is None
