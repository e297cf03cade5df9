"""Next automatic steps: decided from due rows, and each one happens at its time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from shop.core import clock
from shop.core.db import db, transaction
from shop.core.money import Money
from shop.core.outbox import OutboxRow
from shop.explain import due_rows
from shop.explain.next_step import (
    DueEvent,
    DueMail,
    DuePayment,
    DueRefund,
    DueRows,
    DueWebhook,
    Step,
    steps,
)
from shop.explain.order_rows import OrderRows
from shop.orders.models import Order
from shop.orders.states import OrderState
from shop.payments.providers.types import PaymentState, RefundState
from shop.payments.records.models import WebhookEventRow
from shop.payments.records.types import RefundDestination, RefundKind
from shop.payments.refunds import requests
from shop.payments.webhooks import inbox
from tests.shop_fixtures import PEN, Shop

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
HALF = NOON + timedelta(minutes=30)
SOON = NOON + timedelta(seconds=10)


def payment(state: PaymentState, due: datetime | None = SOON, **more: datetime) -> DuePayment:
    return DuePayment("P1", "KPay", state, due, **more)


def refund(state: RefundState, to: RefundDestination = RefundDestination.PROVIDER) -> DueRefund:
    return DueRefund("R1", "KPay", "NT$1", state, RefundKind.CUSTOMER, to, SOON)


TABLE: dict[str, tuple[DueRows, list[tuple[datetime, str]]]] = {
    "a payment is open": (
        DueRows(OrderState.WAITING_PAYMENT, HALF, payments=[payment(PaymentState.OPEN)]),
        [(SOON, "Asks KPay again about payment P1"), (HALF, "Closes payment P1 at KPay, then ends the order")],
    ),
    "calls to the provider are paused": (
        DueRows(OrderState.PAID, HALF, payments=[payment(PaymentState.CAPTURED, paused_until=HALF)]),
        [(HALF, "Asks KPay to confirm the capture of payment P1")],
    ),
    "no payment is open": (
        DueRows(OrderState.FAILED, HALF, payments=[payment(PaymentState.FAILED)]),
        [(SOON, "Asks KPay for money that arrived after the end of payment P1"), (HALF, "Expires the order")],
    ),
    "a cancelled order closes its payment first": (
        DueRows(
            OrderState.WAITING_PAYMENT,
            HALF,
            cancel_requested_at=NOON,
            payments=[payment(PaymentState.OPEN, cancel_requested_at=NOON)],
        ),
        [(SOON, "Closes payment P1 at KPay, and asks for its result")],
    ),
    "a cancelled order without a payment": (
        DueRows(OrderState.PENDING, HALF, cancel_requested_at=NOON),
        [(NOON, "Cancels the order")],
    ),
    "money waits for a decision": (DueRows(OrderState.EXPIRED, HALF, review_since=NOON), []),
    "an unpaid order under review does not expire": (DueRows(OrderState.FAILED, HALF, review_since=NOON), []),
    "a checkout was interrupted": (
        DueRows(OrderState.PENDING, HALF, resumes_at=SOON),
        [(SOON, "Continues the checkout, which was interrupted"), (HALF, "Expires the order")],
    ),
    "a refund is to be sent": (
        DueRows(OrderState.PAID, HALF, refunds=[refund(RefundState.REQUESTED)]),
        [(SOON, "Sends refund R1 of NT$1 to KPay")],
    ),
    "a refund is under way": (
        DueRows(OrderState.PAID, HALF, refunds=[refund(RefundState.UNKNOWN)]),
        [(SOON, "Asks KPay for the result of refund R1 of NT$1")],
    ),
    "a refund that is done is checked once more": (
        DueRows(OrderState.REFUNDED, HALF, refunds=[refund(RefundState.DONE)]),
        [(SOON, "Checks refund R1 of NT$1, which is done, once more at KPay")],
    ),
    "a refund to a bank": (
        DueRows(OrderState.PAID, HALF, refunds=[refund(RefundState.REQUESTED, RefundDestination.BANK)]),
        [(SOON, "Books refund R1 of NT$1")],
    ),
    "a mail is queued": (
        DueRows(OrderState.PAID, HALF, mails=[DueMail("payment_received", SOON)]),
        [(SOON, "Sends the mail “payment received”")],
    ),
    "a webhook is applied later": (
        DueRows(OrderState.PAID, HALF, webhooks=[DueWebhook("evt-1", "KPay", SOON)]),
        [(SOON, "Applies webhook evt-1 of KPay again")],
    ),
    "events wait to be published": (
        DueRows(
            OrderState.PAID,
            HALF,
            events=[
                DueEvent("order.moved", SOON),
                DueEvent("payment.captured", SOON),
                DueEvent("refund.done", HALF, "x"),
            ],
        ),
        [
            (SOON, "Publishes “order: moved, payment: captured”, and prepares its documents and mails"),
            (HALF, "Publishes “refund: done”, and prepares its documents and mails, which failed before"),
        ],
    ),
    "everything is final": (
        DueRows(OrderState.REFUNDED, HALF, payments=[payment(PaymentState.CAPTURED, None)]),
        [],
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_the_steps_of_an_order(case: str) -> None:
    rows, expected = TABLE[case]
    assert [(step.at, step.text) for step in steps(rows)] == expected


# --- each step happens at its time ---


def planned(order: Order) -> list[Step]:
    db.session.rollback()
    return steps(due_rows.of(OrderRows(db.session.get_one(Order, order.id, populate_existing=True))))


def waiting(shop: Shop) -> Order:
    return shop.order((PEN, 1))


def failed(shop: Shop) -> Order:
    """An unpaid order without an open payment, whose queries after the end come later than its own end."""
    order = shop.order((PEN, 1))
    shop.acquirer.end(shop.payment(order).id, "FAILED", "declines")
    shop.deliver_webhook(shop.payment(order))
    shop.turn(minutes=11)
    return order


def paid(shop: Shop) -> Order:
    return shop.paid_order((PEN, 1))


def being_cancelled(shop: Shop) -> Order:
    order = shop.order((PEN, 1))
    shop.acquirer.away = True
    shop.cancel(order)
    shop.acquirer.away = False
    return order


def refund_pending(shop: Shop) -> Order:
    order = shop.paid_order((PEN, 1))
    shop.turn(minutes=2)
    shop.acquirer.misbehave("refund", "lose_answer")
    requests.request(shop.capture(order), Money(100, "TWD"), reason="", by=shop.sam)
    shop.sweep()
    return order


def expired(shop: Shop) -> Order:
    order = shop.order((PEN, 1))
    shop.turn(minutes=31)
    return order


@pytest.mark.parametrize("story", [waiting, failed, paid, being_cancelled, refund_pending, expired])
def test_the_next_step_happens_at_its_time_and_not_before(shop: Shop, story: Callable[[Shop], Order]) -> None:
    order = story(shop)
    shop.sweep()
    [step, *_] = planned(order)
    early = step.at - timedelta(seconds=1)
    shop.turn_to(early)
    assert step in planned(order), "nothing happens before"
    shop.turn_to(step.at)
    assert step not in planned(order), step.text


def test_an_order_ends_at_the_time_of_its_step(shop: Shop) -> None:
    order = failed(shop)
    [step] = [one for one in planned(order) if one.text == "Expires the order"]
    assert step.at == order.pay_by
    shop.turn_to(step.at - timedelta(seconds=1))
    assert shop.state(order) == "FAILED"
    shop.turn_to(step.at)
    assert shop.state(order) == "EXPIRED"
    assert "Expires the order" not in [one.text for one in planned(order)]


def not_applied(shop: Shop) -> Order:
    """An order whose webhook about its payment was stored, and could not be applied yet."""
    order = shop.order((PEN, 1))
    shop.acquirer.capture(shop.payment(order).id)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inbox, "apply_event", lambda *_: 1 / 0)
        shop.deliver_webhook(shop.payment(order), "evt-1")
    with transaction():  # after some attempts
        db.session.execute(db.update(WebhookEventRow).values(due_at=clock.now() + timedelta(minutes=5)))
    return order


def not_published(shop: Shop) -> Order:
    """A paid order whose events could not be published a moment ago, as when Redis was away."""
    order = shop.paid_order((PEN, 1))
    later = {"due_at": clock.now() + timedelta(minutes=5), "error": "RedisAway"}
    with transaction():
        db.session.execute(db.update(OutboxRow).where(OutboxRow.subject == order.number).values(later))
    return order


@pytest.mark.parametrize(
    ("story", "begin"), [(not_applied, "Applies webhook evt-1 of Fakepay"), (not_published, "Publishes “")]
)
def test_webhooks_and_events_are_retried_at_the_time_of_their_step(
    shop: Shop, story: Callable[[Shop], Order], begin: str
) -> None:
    order = story(shop)
    [step] = [one for one in planned(order) if one.text.startswith(begin)]
    shop.turn_to(step.at - timedelta(minutes=1))
    assert step in planned(order), "nothing happens before"
    shop.turn_to(step.at)
    assert not [one for one in planned(order) if one.text.startswith(begin)]
    assert shop.state(order) == "PAID"
