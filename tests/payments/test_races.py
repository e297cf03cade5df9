"""Eight concurrent callers, on both databases: a capture is booked once, a payment is opened once, a query is made
once.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from shop.checkout import end_order
from shop.core import clock, outbox
from shop.core.db import db, transaction
from shop.core.errors import Refusal
from shop.core.event_types import Stream
from shop.jobs import effects
from shop.payments.polling import poll
from shop.payments.providers.types import PaymentState
from shop.payments.records.models import Capture, Payment, PaymentUpdateRow, WebhookEventRow
from tests.parts.statements import statements
from tests.race_fixtures import Race
from tests.shop_fixtures import KETTLE, PEN, PRICES, Shop

ROUNDS = 4
LOCK = re.compile(r"UPDATE (store_credits|stock)\b|FROM (store_credits|stock)\b.*FOR UPDATE", re.S)


def failures(results: list[Any]) -> list[Exception]:
    return [r for r in results if isinstance(r, Exception) and not isinstance(r, Refusal)]


def paid_once(shop: Shop, order: Any) -> None:
    assert shop.moves(order) == ["PENDING", "WAITING_PAYMENT", "PAID"]
    assert shop.captures(order) == ["pays_order"]


# --- webhooks ---


def test_the_same_webhook_eight_times_at_once_is_stored_and_applied_once(shop: Shop, race: Race) -> None:
    """Case 20, in parallel."""
    for _ in range(ROUNDS):
        order = shop.order((PEN, 1))
        payment = shop.payment(order)
        shop.acquirer.capture(payment.id)
        webhook = shop.acquirer.webhook(payment.id, f"evt-{payment.id}")
        results = race(lambda _, webhook=webhook: shop.receive(*webhook))
        assert Counter(results) == {(200, "applied"): 1, (200, "duplicate"): 7}
        paid_once(shop, order)
        assert shop.outcomes(payment).count("applied") == 2, "opened, captured"


def test_eight_different_webhooks_about_one_capture_book_it_once(shop: Shop, race: Race) -> None:
    for _ in range(ROUNDS):
        order = shop.order((PEN, 1))
        payment = shop.payment(order)
        shop.acquirer.capture(payment.id)
        webhooks = [shop.acquirer.webhook(payment.id, f"evt-{payment.id}-{n}") for n in range(8)]
        results = race(lambda n, webhooks=webhooks: shop.receive(*webhooks[n]))
        assert Counter(results) == {(200, "applied"): 1, (200, "duplicate"): 7}
        paid_once(shop, order)


def test_two_captures_at_once_pay_once_and_the_other_is_a_duplicate(shop: Shop, race: Race) -> None:
    for _ in range(ROUNDS):
        order = shop.order((PEN, 1))
        payment = shop.payment(order)
        one = shop.acquirer.capture(payment.id)
        first = shop.acquirer.webhook(payment.id, f"evt-{payment.id}-1")
        one.captures.clear()
        shop.acquirer.capture(payment.id)
        one.captures[0] = type(one.captures[0])(f"other-{payment.id}", one.money, clock.now())
        second = shop.acquirer.webhook(payment.id, f"evt-{payment.id}-2")
        results = race(lambda n, sent=(first, second): shop.receive(*sent[n % 2]))
        assert not failures(results)
        assert sorted(shop.captures(order)) == ["duplicate", "pays_order"]
        assert shop.moves(order).count("PAID") == 1


def test_two_payments_of_one_order_captured_at_once_pay_it_once(shop: Shop, race: Race) -> None:
    """Case 33, both at the same instant."""
    for _ in range(ROUNDS):
        order = shop.order((PEN, 1))
        first = shop.payment(order)
        shop.acquirer.end(first.id, PaymentState.FAILED, "declines")
        shop.deliver_webhook(first)
        second = shop.pay_again(order)
        for payment in (first, second):
            shop.acquirer.capture(payment.id)
        sent = [shop.acquirer.webhook(p.id, f"evt-{p.id}") for p in (first, second)]
        assert not failures(race(lambda n, sent=sent: shop.receive(*sent[n % 2])))
        assert sorted(shop.captures(order)) == ["duplicate", "pays_order"]
        assert shop.moves(order).count("PAID") == 1


def test_one_event_id_with_eight_bodies_at_once_keeps_one_and_refuses_seven(shop: Shop, race: Race) -> None:
    order = shop.order((PEN, 1))
    payment = shop.payment(order)
    results = race(lambda n: shop.deliver_webhook(payment, "evt-same", note=n))
    assert Counter(status for status, _ in results) == {200: 1, 409: 7}
    assert shop.count(WebhookEventRow) == 1


def test_a_stored_webhook_that_two_clocks_apply_at_once_is_applied_once(shop: Shop, race: Race) -> None:
    for _ in range(ROUNDS):
        order = shop.order((PEN, 1))
        payment = shop.payment(order)
        shop.acquirer.capture(payment.id)
        shop.deliver_webhook(payment)
        with transaction():
            row = db.session.scalars(db.select(WebhookEventRow).order_by(WebhookEventRow.id.desc()).limit(1)).one()
            row.done_at, row.outcome, row.due_at, row_id = None, None, clock.now(), row.id
        assert not failures(race(lambda _, row_id=row_id: shop.apply(row_id)))
        paid_once(shop, order)


# --- polling ---


def test_eight_clocks_that_find_one_payment_due_poll_it_once(shop: Shop, race: Race) -> None:
    for _ in range(ROUNDS):
        order = shop.order((PEN, 1))
        payment = shop.payment(order)
        shop.make_due(payment)
        requested = shop.acquirer.calls.count(("query", payment.id))
        assert not failures(race(lambda _, due=payment.id: poll.check(due)))
        assert shop.acquirer.calls.count(("query", payment.id)) == requested + 1


def test_webhook_and_poll_at_once_confirm_each_other(shop: Shop, race: Race) -> None:
    """Case 2."""
    for _ in range(ROUNDS):
        order = shop.order((PEN, 1))
        payment = shop.payment(order)
        shop.acquirer.capture(payment.id)
        webhook = shop.acquirer.webhook(payment.id, f"evt-{payment.id}")
        shop.make_due(payment)
        results = race(lambda n, w=webhook, p=payment.id: shop.receive(*w) if n % 2 else poll.check(p))
        assert not failures(results)
        paid_once(shop, order)


# --- opening ---


def test_eight_presses_on_pay_open_one_payment_with_one_reference(shop: Shop, race: Race) -> None:
    """Case 3."""
    for _ in range(ROUNDS):
        shop.acquirer.misbehave("start", "refuse")
        order = shop.order((PEN, 1))
        results = race(lambda _, order=order: shop.pay_again(order).id)
        assert not failures(results)
        opened = [p for p in shop.payments(order) if p.is_open]
        assert {r for r in results if isinstance(r, str)} == {opened[0].id}
        assert [p for p in shop.acquirer.payments if p in {q.id for q in shop.payments(order)}] == [opened[0].id]


def test_eight_presses_on_two_methods_never_have_two_open_payments(shop: Shop, race: Race) -> None:
    """Case 17, pressed at once."""
    for _ in range(ROUNDS):
        order = shop.order((PEN, 1))
        results = race(lambda n, order=order: shop.pay_again(order, ("fakepay", "otherpay")[n % 2]).id)
        assert not failures(results)
        shop.sweep()
        ours = {p.id: p for p in shop.payments(order)}
        there = [r for ref, r in shop.acquirer.payments.items() if ref in ours and r.state == PaymentState.OPEN]
        assert len(there) <= 1
        assert [r.reference for r in there] == [p.id for p in ours.values() if p.is_open]


# --- ending ---


def test_cancel_and_capture_at_once_end_paid_or_cancelled_with_late_money_and_never_neither(
    shop: Shop, race: Race
) -> None:
    """Case 16."""
    seen = Counter[str]()
    for _ in range(2 * ROUNDS):
        order = shop.order((PEN, 1))
        payment = shop.payment(order)
        shop.acquirer.capture(payment.id)
        webhook = shop.acquirer.webhook(payment.id, f"evt-{payment.id}")
        shop.acquirer.misbehave("query", "forget_money")
        results = race(lambda n, o=order, w=webhook: shop.receive(*w) if n == 7 else shop.cancel(o), callers=8)
        assert not failures(results)
        shop.sweep()
        seen[shop.state(order)] += 1
        assert (shop.state(order), shop.captures(order)) in (("PAID", ["pays_order"]), ("CANCELLED", ["late"]))
    assert sum(seen.values()) == 2 * ROUNDS


def test_expiry_and_capture_at_once_end_paid_or_expired_with_late_money(shop: Shop, race: Race) -> None:
    """Case 11, at the very instant."""
    for _ in range(ROUNDS):
        order = shop.order((PEN, 1))
        payment = shop.payment(order)
        shop.wait(minutes=30)
        shop.acquirer.capture(payment.id)
        webhook = shop.acquirer.webhook(payment.id, f"evt-{payment.id}")
        results = race(lambda n, o=order, w=webhook: shop.receive(*w) if n % 2 else end_order.finish(o.id))
        assert not failures(results)
        shop.sweep()
        assert (shop.state(order), shop.captures(order)) in (("PAID", ["pays_order"]), ("EXPIRED", ["late"]))


def test_eight_updates_about_a_capture_in_time_revive_an_order_once(shop: Shop, race: Race) -> None:
    """Its stock is reserved again once; if some of it has been sold meanwhile, none of it is."""
    for sold, ends in ((0, ("PAID", ["pays_order"])), (9, ("EXPIRED", ["late"]))):
        shop.restock(PEN)
        shop.restock(KETTLE)
        order = shop.order((PEN, 2), (KETTLE, 1))
        payment, in_time = shop.payment(order), clock.now()
        shop.turn(minutes=31)
        assert shop.state(order) == "EXPIRED"
        if sold:
            shop.order((PEN, sold))
        left = (shop.can_sell(PEN), shop.can_sell(KETTLE))
        shop.acquirer.capture(payment.id, at=in_time)
        webhooks = [shop.acquirer.webhook(payment.id, f"evt-{payment.id}-{n}") for n in range(8)]
        assert not failures(race(lambda n, w=webhooks: shop.receive(*w[n])))
        assert (shop.state(order), shop.captures(order)) == ends
        taken = (0, 0) if sold else (2, 1)
        assert (shop.can_sell(PEN), shop.can_sell(KETTLE)) == (left[0] - taken[0], left[1] - taken[1])


def test_two_clocks_that_expire_one_order_release_its_stock_once(shop: Shop, race: Race) -> None:
    for _ in range(ROUNDS):
        order = shop.order((PEN, 3))
        shop.wait(minutes=30)
        assert not failures(race(lambda _, o=order: end_order.finish(o.id)))
        shop.sweep()
        assert shop.moves(order) == ["PENDING", "WAITING_PAYMENT", "EXPIRED"]
        assert shop.can_sell(PEN) == 10


# --- lock order ---


def test_all_transactions_of_a_customer_who_races_with_themselves_lock_store_credit_before_stock(shop: Shop) -> None:
    """Otherwise the payment of one order and the placing of another wait for each other."""
    ada = shop.customer(credit=4 * PRICES[KETTLE]["TWD"])

    def locked(work: Callable[[], Any]) -> list[str]:
        with statements() as sent:
            work()
        found = [match[1] or match[2] for match in map(LOCK.search, sent) if match]
        return list(dict.fromkeys(found))

    def place() -> Any:
        return shop.order(customer=ada, credit=100)

    def pay(order: Any, at: Any = None) -> Any:
        shop.acquirer.capture(shop.payment(order).id, at=at)
        return shop.deliver_webhook(shop.payment(order))

    paid, cancelled, in_time = place(), place(), clock.now()
    shop.wait(seconds=1)
    works = (
        place,
        lambda: shop.order(customer=ada, credit=PRICES[KETTLE]["TWD"]),
        lambda: pay(paid),
        lambda: shop.cancel(cancelled),
        lambda: pay(cancelled, in_time + timedelta(milliseconds=1)),
    )
    assert [locked(work) for work in works] == [["store_credits", "stock"]] * len(works)
    assert (shop.state(paid), shop.state(cancelled)) == ("PAID", "PAID")


# --- publishing ---


def test_two_clocks_that_relay_the_outbox_publish_every_event_once(shop: Shop, race: Race) -> None:
    for _ in range(5):
        shop.order((PEN, 1))
    waiting = outbox.waiting()
    published = race(lambda _: outbox.relay(effects.follow))
    assert not failures(published)
    assert sum(published) == waiting
    ids = shop.published(Stream.ORDERS) + shop.published(Stream.PAYMENTS)
    assert len(ids) == len(set(ids)) == waiting


def test_races_leave_no_row_behind(shop: Shop, race: Race) -> None:
    order = shop.order((PEN, 1))
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id)
    race(lambda _: shop.deliver_webhook(payment, "evt-1"))
    shop.turn(seconds=31)
    shop.turn(seconds=31)
    assert shop.payment(order).next_check_at is None
    for table, count in ((Capture, 1), (WebhookEventRow, 1), (Payment, 1), (PaymentUpdateRow, 2)):
        assert shop.count(table) == count, table
    assert db.session.scalars(db.select(WebhookEventRow.repeats)).one() == 7
