"""Explanations of orders: one sentence for every state and everything that leads to it."""

from __future__ import annotations

import re

import pytest

from shop.core.actor import Actor
from shop.core.db import db
from shop.core.money import Money
from shop.explain.order_rows import OrderRows
from shop.explain.why import SENTENCES, why
from shop.orders import events, states
from shop.orders.models import Order
from shop.payments.providers.interface import CaptureFact, Facts
from shop.payments.records.models import Capture, Payment
from shop.payments.records.types import RefundDestination
from shop.payments.refunds import apply as refund_updates
from shop.payments.refunds import requests
from shop.payments.updates.apply import accept, apply
from shop.payments.updates.snapshot import PaymentUpdate
from tests.checkout.stories import Story, cancelled, ended, expired, opened_with
from tests.shop_fixtures import Shop

PRICE = "NT$1,200"
REPORTED = r"Fakepay's webhook evt_1 at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC said that capture cap-P\w+-1"
WHEN = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"


def sentence(shop: Shop, order: Order) -> str:
    db.session.rollback()
    return why(OrderRows(db.session.get_one(Order, order.id, populate_existing=True)))


def capture_of(order: Order) -> Capture:
    db.session.rollback()
    return db.session.scalars(db.select(Capture).join(Payment).where(Payment.order_id == order.id)).one()


def paid(shop: Shop, event: str = "evt_1") -> Order:
    order = shop.order()
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order), event)
    return order


def refund(shop: Shop, order: Order, amount: int, to: str = "provider") -> None:
    requests.request(capture_of(order).id, Money(amount, "TWD"), reason="", by=shop.sam, to=to)
    shop.sweep()


# --- ways into each state ---


def polled(shop: Shop) -> Order:
    order = shop.order()
    shop.acquirer.capture(shop.payment(order).id)
    shop.turn_to(shop.payment(order).next_check_at)
    return order


def reported_by_the_file(shop: Shop) -> Order:
    order = shop.order()
    payment = shop.payment(order)
    (fact,) = shop.acquirer.capture(payment.id).captures
    captured = Facts("CAPTURED", (CaptureFact(fact.id, fact.money, fact.at),))
    apply(PaymentUpdate(payment.id, captured, "settlement file"))
    return order


def covered(shop: Shop) -> Order:
    return shop.order(customer=shop.customer(credit=120000), credit=120000)


def partly_covered(shop: Shop) -> Order:
    order = shop.order(customer=shop.customer(credit=20000), credit=20000)
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order), "evt_1")
    return order


def revived(shop: Shop) -> Order:
    order = shop.order()
    shop.wait(minutes=20)
    shop.acquirer.misbehave("query", *["forget_money"] * 3)
    shop.acquirer.capture(shop.payment(order).id)
    shop.acquirer.misbehave("cancel", "lose_request")
    shop.turn(minutes=11)
    assert shop.state(order) == "EXPIRED"
    shop.deliver_webhook(shop.payment(order), "evt_1")
    return order


def accepted(shop: Shop) -> Order:
    order = shop.order()
    shop.acquirer.capture(shop.payment(order).id, money=Money(119000, "TWD"))
    shop.deliver_webhook(shop.payment(order), "evt_1")
    accept(capture_of(order).id, by=shop.sam, note="a friend of the house")
    return order


def under_review(shop: Shop) -> Order:
    order = shop.order()
    shop.acquirer.capture(shop.payment(order).id, money=Money(119000, "TWD"))
    shop.deliver_webhook(shop.payment(order))
    return order


def partly_refunded(shop: Shop) -> Order:
    order = paid(shop)
    refund(shop, order, 20000)
    return order


def refunded(shop: Shop) -> Order:
    order = partly_refunded(shop)
    refund(shop, order, 100000)
    return order


def refunded_to_credit(shop: Shop) -> Order:
    order = shop.order(customer=shop.customer())
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    refund(shop, order, 120000, RefundDestination.STORE_CREDIT)
    return order


def failed_later(shop: Shop) -> Order:
    """Both refunds failed later; the last move is back to PAID."""
    order = refunded(shop)
    for name in shop.acquirer.refunds:
        refund_updates.result(name, "REJECTED", Actor.of_source("webhook"))
    return order


def one_of_two_failed_later(shop: Shop) -> Order:
    order = refunded(shop)
    refund_updates.result(next(iter(shop.acquirer.refunds)), "REJECTED", Actor.of_source("settlement file"))
    return order


STORIES: dict[Story, tuple[str, str]] = {
    opened_with("lose_request"): (
        "placed",
        rf"Pending because it was placed at {WHEN} and no payment is open yet",
    ),
    Shop.order: (
        "payment_opened",
        rf"Waiting payment because Fakepay opened payment P\w+ of {PRICE} at {WHEN} and has reported no payment since",
    ),
    opened_with("refuse"): (
        "opening_refused",
        rf"Failed because Fakepay did not open payment P\w+ at {WHEN} \(refused\)",
    ),
    ended("CANCELLED", "customer"): (
        "payment_ended",
        rf"Failed because Fakepay's webhook at {WHEN} said that payment P\w+ ended without a capture "
        r"\(customer\)",
    ),
    paid: (
        "captured",
        f"Paid because {REPORTED} of {PRICE} was made, which is the price",
    ),
    polled: (
        "captured",
        rf"Paid because Fakepay's answer to a query at {WHEN} said that capture cap-P\w+-1 of {PRICE}",
    ),
    reported_by_the_file: (
        "captured",
        rf"Paid because Fakepay's settlement file at {WHEN} said that capture cap-P\w+-1 of {PRICE}",
    ),
    covered: (
        "nothing_left_to_pay",
        rf"Paid because store credit of {PRICE} covered the price at {WHEN}",
    ),
    partly_covered: (
        "captured",
        "of NT$1,000 was made, which is the price less NT$200 of store credit",
    ),
    expired: (
        "time_over",
        rf"Expired because the time to pay ended at {WHEN} without a capture; "
        "a query to Fakepay before that found no capture",
    ),
    cancelled: (
        "cancelled",
        rf"Cancelled because the customer cancelled it at {WHEN}; a query to Fakepay before that found no capture",
    ),
    revived: (
        "paid_in_time_seen_late",
        rf"Paid because {REPORTED} of {PRICE} was made in time, at {WHEN}, although it had been expired since {WHEN}",
    ),
    accepted: (
        "mismatch_accepted",
        rf"Paid because sam@example.com at {WHEN} accepted capture cap-P\w+-1 of NT$1,190 in place of {PRICE} "
        r"\(\"a friend of the house\"\)",
    ),
    under_review: (
        "payment_opened",
        rf"Waiting payment because Fakepay opened payment P\w+ of {PRICE} at {WHEN}\. Fakepay took NT\$\S+ "
        rf"\(capture cap-P\w+-1\) at {WHEN}, which is not the price\. Since {WHEN} "
        "a capture has been waiting for a staff decision",
    ),
    partly_refunded: (
        "refund_done",
        rf"Partially refunded because refund R\w+ of NT$200 was completed at {WHEN}, reported by Fakepay's "
        rf"answer to a query; NT$200 of {PRICE} has been refunded",
    ),
    refunded: (
        "refund_done",
        rf"Refunded because refund R\w+ of NT$1,000 was completed at {WHEN}, .*; "
        f"all of {PRICE} has been refunded",
    ),
    refunded_to_credit: (
        "refund_done",
        rf"Refunded because refund R\w+ of {PRICE} was completed at {WHEN}",
    ),
    failed_later: (
        "refund_failed_later",
        rf"Paid because refund R\w+ of NT$\S+ failed after completion at {WHEN}, reported by Fakepay's webhook; "
        "nothing has been refunded",
    ),
    one_of_two_failed_later: (
        "refund_failed_later",
        rf"Partially refunded because refund R\w+ of NT$\S+ failed after completion at {WHEN}, reported "
        "by Fakepay's settlement file; NT$1,000 of",
    ),
}
"""Scenario: the reason of its last move, and the sentence."""


@pytest.mark.parametrize("story", STORIES, ids=[because for because, _ in STORIES.values()])
def test_the_sentence_names_the_event_its_source_and_its_time(shop: Shop, story: Story) -> None:
    because, pattern = STORIES[story]
    order = story(shop)
    message = sentence(shop, order)
    assert re.search(pattern.replace("NT$", r"NT\$"), message), message
    assert message.endswith(".") and ".." not in message
    assert ([event.because for event in events.since(order.id, 0) if event.target][-1] or "placed") == because


def test_captures_that_pay_nothing_are_explained_beside_the_state(shop: Shop) -> None:
    twice, late = paid(shop), expired(shop)
    for order in (twice, late):
        shop.acquirer.capture(shop.payment(order).id)
        shop.deliver_webhook(shop.payment(order))
    took = rf"\. Fakepay took {re.escape(PRICE)} \(capture cap-P\w+-\d\) at {WHEN}, "
    for refunded in (r"; its refund is under way\.$", r"; it was refunded\.$"):
        for order, because in (twice, "when the order had already been paid"), (late, "when the order had ended"):
            assert re.search(took + because + refunded, sentence(shop, order))
        shop.sweep()


def test_every_reason_of_the_table_and_every_state_has_a_sentence_and_a_test_case() -> None:
    reasons = {move.because for move in states.TRANSITIONS} | {"placed"}
    assert set(SENTENCES) == {because for because, _ in STORIES.values()} == reasons
    named = {pattern.partition(" because")[0] for _, pattern in STORIES.values()}
    assert named >= {state.replace("_", " ").capitalize() for state in states.STATES}
