"""Concurrent webhooks: each has the effect that it would have alone."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from shop.core import ids, logs
from shop.core.db import db, table
from shop.core.money import Money
from shop.inventory.models import Reservation
from shop.orders.models import Order
from shop.payments.providers.types import PaymentState
from shop.payments.records.models import Payment, WebhookEventRow
from shop.payments.updates import decide, decision
from shop.payments.updates.snapshot import PaymentUpdate, Snapshot
from shop.payments.webhooks import inbox
from tests.parts.counters import counted
from tests.parts.waiting import until
from tests.race_fixtures import Race
from tests.shop_fixtures import KETTLE, PEN, Shop

Webhook = tuple[dict[str, str], bytes]
AtOnce = Callable[..., list[Any]]
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def at_once(shop: Shop) -> AtOnce:
    """`at_once(*webhooks)`: post all at the same moment, each in its own thread; their responses."""

    def come(*webhooks: Webhook) -> list[Any]:
        results: list[Any] = [None] * len(webhooks)
        together = threading.Barrier(len(webhooks))

        def call(number: int) -> None:
            with shop.app.app_context():
                logs.unbind()
                logs.bind(request=f"request-{number}")
                together.wait(30)
                results[number] = shop.receive(*webhooks[number])

        threads = [threading.Thread(target=call, args=(number,)) for number in range(len(webhooks))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        return results

    return come


def orders(shop: Shop, count: int, **how: Any) -> list[Order]:
    """Orders of one pen and one kettle each, paid at the acquirer without a webhook."""
    made = [shop.order((PEN, 1), (KETTLE, 1), **how) for _ in range(count)]
    for order in made:
        shop.acquirer.capture(shop.payment(order).id)
    return made


def webhook(shop: Shop, order: Order, event: str = "", **changed: Any) -> Webhook:
    payment = shop.payment(order)
    return shop.acquirer.webhook(payment.id, event or f"evt-{payment.id}", **changed)


def paid_once(shop: Shop, *made: Order) -> None:
    for order in made:
        assert shop.moves(order) == ["PENDING", "WAITING_PAYMENT", "PAID"]
        assert shop.captures(order) == ["pays_order"]
        assert shop.outcomes(shop.payment(order)) == ["applied", "applied"], "opened, captured"


def test_webhooks_about_several_orders_pay_each_of_them_once(shop: Shop, at_once: AtOnce) -> None:
    made = orders(shop, 5)
    assert at_once(*(webhook(shop, order) for order in made)) == [(200, "applied")] * 5
    paid_once(shop, *made)
    db.session.rollback()
    stored = db.session.scalars(db.select(WebhookEventRow)).all()
    assert [(row.outcome, row.tries, row.due_at) for row in stored] == [("applied", 1, None)] * 5
    assert shop.can_sell(PEN) == shop.can_sell(KETTLE) == 5


def test_events_of_an_order_that_was_paid_at_the_same_moment_as_others_are_numbered_without_a_gap(
    shop: Shop, at_once: AtOnce
) -> None:
    made = orders(shop, 3)
    at_once(*(webhook(shop, order) for order in made))
    for order in made:
        numbers = db.session.execute(
            text("SELECT seq FROM order_events WHERE order_id = :order ORDER BY seq"), {"order": order.id}
        ).scalars()
        last = db.session.execute(text("SELECT event_seq FROM orders WHERE id = :order"), {"order": order.id}).scalar()
        assert list(numbers) == list(range(1, (last or 0) + 1))


def test_a_repeated_event_and_another_one_about_the_same_capture_pay_once(shop: Shop, at_once: AtOnce) -> None:
    first, second = orders(shop, 2)
    sent = [webhook(shop, first), webhook(shop, second), webhook(shop, first), webhook(shop, first, "evt-other")]
    results = at_once(*sent)
    assert results[1] == (200, "applied")
    assert sorted([results[0], *results[2:]]) == [(200, "applied"), (200, "duplicate"), (200, "duplicate")]
    for order in (first, second):
        assert shop.moves(order) == ["PENDING", "WAITING_PAYMENT", "PAID"]
        assert shop.captures(order) == ["pays_order"]
    assert sorted(db.session.scalars(db.select(WebhookEventRow.repeats))) == [0, 0, 1]


def test_a_repeated_event_and_another_body_under_its_id_are_recognised_among_others(
    shop: Shop, at_once: AtOnce
) -> None:
    known, *made = orders(shop, 3)
    had = webhook(shop, known, "evt-had")
    assert shop.receive(*had) == (200, "applied")
    stolen = webhook(shop, made[0], "evt-had")
    sent = [had, *(webhook(shop, order) for order in made)]
    assert at_once(*sent) == [(200, "duplicate"), (200, "applied"), (200, "applied")]
    assert shop.receive(*stolen) == (409, "key_reused")
    paid_once(shop, known, *made)


def test_of_two_orders_under_one_event_id_one_is_paid_and_the_other_webhook_is_rejected(
    shop: Shop, at_once: AtOnce
) -> None:
    made = orders(shop, 2)
    results = at_once(*(webhook(shop, order, "evt-same") for order in made))
    assert sorted(results) == [(200, "applied"), (409, "key_reused")]
    assert sorted(shop.state(order) for order in made) == ["PAID", "WAITING_PAYMENT"]


def wrong_amount(shop: Shop, order: Order) -> None:
    shop.acquirer.payments[shop.payment(order).id].captures.clear()
    shop.acquirer.capture(shop.payment(order).id, money=Money(1, "TWD"))


def ended(shop: Shop, order: Order) -> None:
    shop.acquirer.payments[shop.payment(order).id].state = PaymentState.EXPIRED
    shop.wait(minutes=31)
    shop.sweep()


@pytest.mark.parametrize(
    ("happens", "state", "allocation"),
    [(wrong_amount, "WAITING_PAYMENT", "mismatch"), (ended, "EXPIRED", "late")],
    ids=["wrong amount", "late"],
)
def test_an_unusual_capture_gets_its_allocation_and_delays_no_other(
    shop: Shop, at_once: AtOnce, happens: Callable[[Shop, Order], None], state: str, allocation: str
) -> None:
    odd = shop.order((PEN, 1))
    if happens is ended:
        ended(shop, odd)
        shop.acquirer.payments[shop.payment(odd).id].state = PaymentState.CAPTURED
    shop.acquirer.capture(shop.payment(odd).id)
    if happens is wrong_amount:
        wrong_amount(shop, odd)
    made = orders(shop, 2)
    sent = [webhook(shop, made[0]), webhook(shop, odd), webhook(shop, made[1])]
    assert at_once(*sent) == [
        (200, "applied"),
        (200, "mismatch" if allocation == "mismatch" else "applied"),
        (200, "applied"),
    ]
    assert (shop.state(odd), shop.captures(odd)) == (state, [allocation])
    paid_once(shop, *made)


def test_store_credit_is_spent_and_an_order_with_a_second_payment_is_paid_by_the_one_that_has_the_money(
    shop: Shop, at_once: AtOnce
) -> None:
    customer = shop.customer(credit=5000)
    with_credit = shop.order((PEN, 1), customer=customer, credit=5000)
    again = shop.order((PEN, 1))
    shop.acquirer.end(shop.payment(again).id, PaymentState.FAILED, "declines")
    shop.deliver_webhook(shop.payment(again))
    shop.pay_again(again)
    [plain] = orders(shop, 1)
    for order in (with_credit, again):
        shop.acquirer.capture(shop.payment(order).id)
    sent = [webhook(shop, order) for order in (with_credit, again, plain)]
    assert at_once(*sent) == [(200, "applied")] * 3
    assert [shop.state(order) for order in (with_credit, again, plain)] == ["PAID"] * 3
    assert shop.credit(customer) == 0


def test_orphans_wait_and_foreign_webhooks_end_among_others(shop: Shop, at_once: AtOnce) -> None:
    made = orders(shop, 2)
    there = shop.acquirer.payments[shop.payment(made[0]).id]
    nobodys = ids.payment_id()
    shop.acquirer.payments[nobodys] = replace(there, reference=nobodys)
    unknown = shop.acquirer.webhook(nobodys, "evt-unknown")
    foreign = webhook(shop, made[0], "evt-foreign", merchant="somebody-else")
    results = at_once(webhook(shop, made[1]), unknown, foreign)
    assert results == [(200, "applied"), (200, "orphan"), (200, "foreign")]
    assert (shop.state(made[0]), shop.state(made[1])) == ("WAITING_PAYMENT", "PAID")


def test_one_that_cannot_be_applied_is_kept_for_the_sweep_and_the_others_are_paid(
    shop: Shop, at_once: AtOnce, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = orders(shop, 3)
    poisoned, right = shop.payment(made[1]).id, decide.decide

    def broken(seen: Snapshot, update: PaymentUpdate, *arguments: Any) -> decision.Decision:
        if update.payment_id == poisoned:
            raise RuntimeError("a mistake of ours")
        return right(seen, update, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(decide, "decide", broken)
        assert [status for status, _ in at_once(*(webhook(shop, order) for order in made))] == [200, 200, 200]
    assert [shop.state(order) for order in made] == ["PAID", "WAITING_PAYMENT", "PAID"]
    shop.turn(seconds=10)
    paid_once(shop, *made)


def test_a_failing_database_fails_each_webhook_and_nothing_is_half_done(
    shop: Shop, at_once: AtOnce, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = orders(shop, 3)

    def away(*_: Any, **__: Any) -> Any:
        raise OperationalError("INSERT", None, Exception("the server closed the connection"))

    sent = [webhook(shop, order) for order in made]
    with monkeypatch.context() as patch:
        patch.setattr(inbox, "apply_event", away)
        assert [status for status, _ in at_once(*sent)] == [503] * 3
    assert (shop.count(WebhookEventRow), [shop.state(order) for order in made]) == (0, ["WAITING_PAYMENT"] * 3)
    assert at_once(*sent) == [(200, "applied")] * 3
    paid_once(shop, *made)


@on_postgresql
def test_a_locked_order_does_not_delay_webhooks_of_others(shop: Shop, at_once: AtOnce) -> None:
    locked, *made = orders(shop, 3)
    payment, sent = shop.payment(locked).id, [webhook(shop, order) for order in (locked, *made)]
    results: list[Any] = []
    with db.engine.connect() as other, other.begin():
        other.execute(db.select(table(Payment)).where(table(Payment).c.id == payment).with_for_update())
        caller = threading.Thread(target=lambda: results.extend(at_once(*sent)))
        caller.start()
        until(lambda: [shop.state(order) for order in made] == ["PAID", "PAID"], what="the others to be paid")
        assert shop.state(locked) == "WAITING_PAYMENT"
    caller.join(60)
    assert results == [(200, "applied")] * 3
    paid_once(shop, locked, *made)


def test_each_line_of_the_log_has_the_ids_of_its_own_request(
    shop: Shop, at_once: AtOnce, capsys: pytest.CaptureFixture[str]
) -> None:
    made = orders(shop, 3)
    shop.app.config["LOG_FORMAT"] = "json"
    logs.configure("json")
    try:
        at_once(*(webhook(shop, order) for order in made))
    finally:
        logs.configure("text")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    requests = {line["payment"]: line["request"] for line in lines if line["event"] == "payment.update"}
    moved = {line["order"]: line["request"] for line in lines if line["event"] == "order.moved"}
    assert requests == {shop.payment(order).id: f"request-{number}" for number, order in enumerate(made)}
    assert moved == {order.id: f"request-{number}" for number, order in enumerate(made)}


def test_many_webhooks_at_once_sell_each_unit_once_without_deadlock(shop: Shop, race: Race) -> None:
    again = counted("settled_transactions_retried", reason="40P01")
    for _ in range(4):
        for sku in (PEN, KETTLE):
            shop.restock(sku)
        made = [shop.order(*lines) for lines in [((PEN, 1), (KETTLE, 1)), ((KETTLE, 1), (PEN, 1))] * 4]
        for order in made:
            shop.acquirer.capture(shop.payment(order).id)
        sent = [webhook(shop, order) for order in made]
        assert race(lambda n, sent=sent: shop.receive(*sent[n])) == [(200, "applied")] * 8
        paid_once(shop, *made)
        held = db.session.scalars(db.select(Reservation.state).where(Reservation.order_id.in_([o.id for o in made])))
        assert set(held) == {"SOLD"}
    assert counted("settled_transactions_retried", reason="40P01") == again
