"""Text and actions of the order page in every status of an order."""

from __future__ import annotations

import pytest

from shop.checkout import end_order, saga
from shop.checkout.order_status import CAN
from shop.core import clock
from shop.core.money import Money
from shop.orders.models import Order
from shop.payments.initiation import initiate
from shop.payments.polling import poll
from shop.payments.refunds import requests
from shop.payments.updates.apply import accept
from tests.checkout.stories import Story, cancelled, ended, expired, opened_with
from tests.shop_fixtures import Shop


def left_half_done(shop: Shop) -> Order:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saga, "start", lambda *_: None)
        return shop.order()


def visited(shop: Shop) -> Order:
    order = shop.order()
    initiate.visited(shop.payment(order).id)
    return order


def declined(shop: Shop) -> Order:
    order = visited(shop)
    shop.acquirer.decline(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    return order


def returned(shop: Shop) -> Order:
    order = visited(shop)
    poll.make_due(order.id, "return")
    return order


def returned_long_ago(shop: Shop) -> Order:
    order = returned(shop)
    shop.acquirer.away = True
    shop.wait(seconds=61)
    return order


def captured(*moneys: Money) -> Story:
    def story(shop: Shop) -> Order:
        order = shop.order()
        for money in moneys:
            shop.acquirer.capture(shop.payment(order).id, money=money)
        shop.deliver_webhook(shop.payment(order))
        return order

    return story


def cancelled_while_away(shop: Shop) -> Order:
    order = shop.order()
    shop.acquirer.away = True
    shop.cancel(order)
    return order


def out_of_time(shop: Shop) -> Order:
    order = shop.order()
    shop.wait(minutes=31)
    return order


def paid_too_late(shop: Shop) -> Order:
    order = expired(shop)
    shop.acquirer.capture(shop.payment(order).id, at=clock.now())
    shop.deliver_webhook(shop.payment(order))
    return order


PRICE = Money(120000, "TWD")
STORIES: dict[str, tuple[Story, set[str]]] = {
    "preparing": (left_half_done, set()),
    "choose": (opened_with("refuse"), {"pay", "other_method", "cancel_order"}),
    "unavailable": (opened_with("unreachable"), {"pay", "other_method", "cancel_order"}),
    "waiting": (lambda shop: shop.order(), {"pay", "other_method", "cancel_order"}),
    "finish_in_tab": (visited, {"resume", "cancel_payment"}),
    "declined": (declined, {"resume", "other_method", "cancel_order"}),
    "confirming": (returned, set()),
    "still_waiting": (returned_long_ago, {"check"}),
    "failed": (ended("FAILED", "declines"), {"pay", "other_method", "cancel_order"}),
    "session_ended": (ended("EXPIRED", "time"), {"pay", "other_method", "cancel_order"}),
    "cancelled_there": (ended("CANCELLED", "customer"), {"pay", "other_method", "cancel_order"}),
    "paid": (captured(PRICE), set()),
    "review": (captured(Money(1, "TWD")), set()),
    "twice": (captured(PRICE, PRICE), set()),
    "closing": (cancelled_while_away, set()),
    "cancelled": (cancelled, {"order_again"}),
    "expiring": (out_of_time, set()),
    "expired": (expired, {"order_again"}),
    "late": (paid_too_late, set()),
}


@pytest.mark.parametrize("key", STORIES)
def test_every_status_has_its_own_text_and_actions(shop: Shop, key: str) -> None:
    """Cases 1 and 18: while the state is unknown no payment can be started; allowed actions are offered."""
    story, offers = STORIES[key]
    status = shop.order_status(story(shop))
    assert status.key == key
    assert status.can - {"receipt"} == offers
    shop.acquirer.away = False
    for _ in range(3):
        shop.turn(seconds=31)


def test_every_status_without_store_codes_and_refunds_is_reached() -> None:
    later = {"store_code", "refund_pending", "partly_refunded", "refunded"}
    assert set(STORIES) >= {key for key in CAN if key not in later}


def test_the_back_button_shows_the_open_payment_with_resume_and_cancel_and_cancel_keeps_the_order(shop: Shop) -> None:
    """Case 18."""
    order = visited(shop)
    first = shop.payment(order)
    assert shop.pay_again(order).id == first.id, "resume is the same payment"
    end_order.cancel_payment(order.id)
    assert shop.order_status(order).key == "cancelled_there"
    assert shop.can_sell() == 9


def test_the_status_shows_whether_the_order_can_still_change(shop: Shop) -> None:
    waiting, over = shop.order(), cancelled(shop)
    assert (shop.order_status(waiting).pending, shop.order_status(waiting).final) == (True, False)
    assert (shop.order_status(over).pending, shop.order_status(over).final) == (False, True)


def refunded(shop: Shop, order: Order, to: str = "provider") -> None:
    requests.request_all(order.id, reason="", by=shop.sam, to=to)
    shop.turn(minutes=2)


def test_a_late_capture_is_not_mentioned_once_another_capture_has_paid(shop: Shop) -> None:
    """A payment made in time becomes known after late money was refunded; and staff accept a later capture."""
    order = shop.order()
    in_time = clock.now()
    shop.turn(minutes=31)
    for money, at in ((PRICE, clock.now()), (PRICE, in_time)):
        shop.acquirer.capture(shop.payment(order).id, money=money, at=at)
        shop.deliver_webhook(shop.payment(order))
        shop.turn(minutes=2)
    assert (shop.state(order), shop.order_status(order).key) == ("PAID", "paid")

    order = paid_too_late(shop)
    shop.acquirer.capture(shop.payment(order).id, money=Money(119900, "TWD"))
    shop.deliver_webhook(shop.payment(order))
    accept(shop.capture(order), by=shop.sam)
    shop.turn(minutes=2)
    assert (shop.state(order), shop.order_status(order).key) == ("PAID", "paid")


def test_after_a_full_refund_the_page_names_no_payment_of_the_order(shop: Shop) -> None:
    order = captured(PRICE, PRICE)(shop)
    refunded(shop, order)
    assert (shop.state(order), shop.order_status(order).key) == ("REFUNDED", "refunded")
