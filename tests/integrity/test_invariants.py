"""`flask check`: each corrupted row is found by the invariant that it violates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from flask import Flask

from shop.core import clock
from shop.core.db import db
from shop.core.money import Money
from shop.core.outbox import OutboxRow
from shop.integrity import invariants
from shop.integrity.invariants import promptness
from shop.integrity.invariants.scope import EVERYTHING
from shop.orders.models import Order
from shop.payments.records.models import Payment, WebhookEventRow
from shop.payments.refunds import requests
from shop.pricing import change
from tests.integrity.broken import broken
from tests.real_acquirer_fixtures import TOKEN, RealAcquirer
from tests.returns.conftest import received, refund_in_full, requested
from tests.shop_fixtures import PEN, Shop

CORRUPTIONS = {
    "a unit more is reserved": ("UPDATE stock SET reserved = reserved + 1 WHERE sku = 'TEST-KETTLE'", "2 stock"),
    "a unit has vanished": ("UPDATE stock SET on_hand = on_hand - 1 WHERE sku = 'TEST-KETTLE'", "2 stock"),
    "a receipt was forgotten": ("DELETE FROM stock_movements WHERE sku = 'TEST-KETTLE'", "2 stock"),
    "stock of a waiting order was released": (
        "UPDATE reservations SET state = 'RELEASED' WHERE state = 'HELD'",
        "2 reservations",
    ),
    "what was paid is still held": ("UPDATE reservations SET state = 'HELD' WHERE state = 'SOLD'", "2 reservations"),
    "more was ordered than is held": ("UPDATE order_lines SET quantity = quantity + 1", "2 reservations"),
    "a unit that was not bought was taken out": ("UPDATE order_lines SET withdrawn = quantity + 1", "2 shipments"),
    "a state of the fulfilment without packages": ("UPDATE orders SET fulfilment = 'SHIPPED'", "2 shipments"),
    "a paid order that nothing paid": ("UPDATE orders SET paid_by = NULL WHERE state = 'PAID'", "3 paid"),
    "paid by another amount": ("UPDATE captures SET amount = amount - 1", "3 paid"),
    "paid in another currency": ("UPDATE captures SET currency = 'JPY'", "3 paid"),
    "two captures that both pay": (
        "INSERT INTO captures (provider, capture_id, payment_id, amount, currency, captured_at, received_at, source,"
        " allocation, refunded_amount) SELECT provider, 'another', payment_id, amount, currency, captured_at,"
        " received_at, source, allocation, 0 FROM captures ORDER BY id LIMIT 1",
        "3 paid",
    ),
    "an event is missing": ("DELETE FROM order_events WHERE seq = 2", "6 history"),
    "the last event is missing": (
        "DELETE FROM order_events WHERE seq = (SELECT MAX(seq) FROM order_events)",
        "6 history",
    ),
    "a state that nobody moved to": ("UPDATE orders SET state = 'FAILED' WHERE state = 'WAITING_PAYMENT'", "6 history"),
    "a move that the table does not know": (
        "UPDATE order_events SET target = 'REFUNDED' WHERE target = 'PAID'",
        "6 history",
    ),
    "a side of a journal is off": ("UPDATE ledger_entries SET amount = amount + 1 WHERE line = 0", "6 ledger"),
    "the ledger has another amount": ("UPDATE ledger_entries SET amount = amount * 2", "6 ledger"),
    "a move that does not begin where the last one ended": (
        "UPDATE order_events SET source = 'FAILED' WHERE target = 'PAID'",
        "6 history",
    ),
    "a line has another amount": ("UPDATE order_lines SET unit_amount = unit_amount + 100", "3 totals"),
    "a total has no lines": ("DELETE FROM order_lines", "3 totals"),
    "included tax is added": ("UPDATE order_lines SET is_included = FALSE WHERE kind = 'tax'", "3 totals"),
    "delivery is not in the division": ("UPDATE orders SET delivery_amount = 0", "3 shares"),
    "more delivery than the line says": ("UPDATE orders SET delivery_amount = 99900", "3 totals"),
    "tax went to sales": ("UPDATE ledger_entries SET account = 'sales' WHERE account = 'tax_payable'", "3 shares"),
    "a refund kept its tax": (
        "UPDATE ledger_entries SET account = 'refunds' WHERE account = 'tax_payable' AND amount > 0",
        "3 shares",
    ),
    "a use of a code is not counted": ("UPDATE discount_codes SET uses = uses - 1", "3 codes"),
    "a budget forgot a discount": ("UPDATE discount_values SET spent = spent - 1 WHERE currency = 'TWD'", "3 codes"),
    "an order lost its use of a code": ("DELETE FROM discount_uses", "3 codes"),
    "a waiting order released its code": ("UPDATE discount_uses SET state = 'RELEASED'", "3 codes"),
    "a number is missing": ("UPDATE document_years SET last = last + 1", "3 documents"),
    "a line of a receipt differs": (
        "UPDATE document_lines SET unit_amount = unit_amount + 1",
        "3 documents",
    ),
    "a receipt has another tax": ("UPDATE documents SET tax_amount = tax_amount + 1", "3 documents"),
    "a credit note has other tax than the ledger": (
        "UPDATE documents SET tax_amount = tax_amount + 100 WHERE kind = 'credit_note'",
        "3 credit notes",
    ),
    "more units are returned than were bought": ("UPDATE order_return_lines SET quantity = 99", "3 returns"),
    "a restocked unit has no movement": (
        "UPDATE stock_movements SET form_id = NULL WHERE kind = 'return'",
        "3 returns",
    ),
    "a return has another amount than its lines": ("UPDATE order_return_lines SET amount = amount + 100", "3 returns"),
    "a refund of a return was forgotten": ("DELETE FROM order_return_refunds", "3 returns"),
    "a product is not found": ("DELETE FROM search_entries WHERE sku = 'TEST-PEN'", "9 search"),
    "a product is found by what it was": ("UPDATE products SET version = version + 1", "9 search"),
    "an event was forgotten": ("UPDATE outbox SET published_at = NULL, due_at = NULL", "5 accepted work"),
    "a webhook was forgotten": ("UPDATE webhook_events SET done_at = NULL, due_at = NULL", "5 accepted work"),
}


@pytest.fixture
def lived_in(app: Flask) -> Iterator[Shop]:
    """A shop with a waiting order, a paid one, and one that is refunded in part, all with charges. It may end in any
    state.
    """
    with app.app_context():
        shop = Shop(app)
        change.set_tax("TW", "VAT", 5000, is_included=True)
        express = {"TWD": Money(12000, "TWD")}
        change.set_delivery("express", "Express", express, free_from={}, countries=(), position=0)
        change.set_code(change.NewCode("TEN", percent=10, once_per_email=False))
        shop.order((PEN, 1), code="TEN")
        refunded = shop.paid_order((PEN, 3))
        requested(shop, refunded, {PEN: 1})
        refund_in_full(shop, received(shop, refunded, {PEN: 1}))
        requests.request(shop.capture(refunded), Money(20000, "TWD"), reason="", by=shop.sam)
        shop.sweep()
        paid = shop.order((PEN, 2), code="TEN")
        shop.acquirer.capture(shop.payment(paid).id)
        shop.deliver_webhook(shop.payment(paid))
        shop.sweep()
        yield shop


def test_a_shop_with_ordinary_activity_violates_no_invariant(lived_in: Shop) -> None:
    assert broken() == set()
    assert all(finding.statement for finding in invariants.check(with_acquirers=False))


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_every_corruption_is_found_by_the_invariant_that_it_violates(lived_in: Shop, corruption: str) -> None:
    statement, name = CORRUPTIONS[corruption]
    assert db.session.execute(db.text(statement)).rowcount, "the data was not changed"  # type: ignore[attr-defined]
    db.session.commit()
    assert name in broken()


def test_an_overdue_order_is_found_unless_its_acquirer_is_unavailable_or_it_is_under_review(lived_in: Shop) -> None:
    lived_in.wait(minutes=31, seconds=1)
    assert "4 time" in broken()
    waiting = db.session.scalars(db.select(Order).where(Order.state == "WAITING_PAYMENT")).one()
    payment = lived_in.payment(waiting)
    db.session.get_one(Payment, payment.id).unavailable_since = clock.now()
    db.session.commit()
    assert "4 time" not in broken()
    db.session.get_one(Payment, payment.id).unavailable_since = None
    db.session.get_one(Order, waiting.id).review_since = clock.now()
    db.session.commit()
    assert "4 time" not in broken()


def test_overdue_work_is_found(lived_in: Shop) -> None:
    lived_in.wait(seconds=95)
    assert "5 accepted work" not in broken(), "the payment has only just become due"
    lived_in.wait(seconds=95)
    assert "5 accepted work" in broken()
    lived_in.sweep()
    assert "5 accepted work" not in broken()


def test_the_command_prints_each_violation_and_exits_with_1(
    lived_in: Shop, make_acquirer: Callable[..., RealAcquirer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`flask check` queries the acquirer too: here its totals, because fakepay is declared to be mocked by it."""
    monkeypatch.setitem(invariants.check_at_rest.__kwdefaults__, "patience", 0.0)  # no payment is under way here
    acquirer = make_acquirer()
    lived_in.app.config.update(ACQUIRER_URL=acquirer.url, CONTROL_TOKEN=TOKEN, FAKEPAY_MOCKED=True)
    fine = run_check(lived_in)
    db.session.execute(db.text("UPDATE stock SET on_hand = on_hand + 1"))
    db.session.commit()
    wrong = run_check(lived_in)
    acquirer.stop()
    alone = run_check(lived_in)
    assert (fine[0], wrong[0], alone[0]) == (1, 1, 1)
    assert "FAIL 1 money" in fine[1], "the fake acquirer's capture is none that the real one knows of"
    assert "FAIL 2 stock" in wrong[1]
    assert "could not be queried" in alone[1]


def run_check(shop: Shop) -> tuple[int, str]:
    db.session.rollback()
    done = shop.app.test_cli_runner().invoke(args=["check"])
    return done.exit_code, done.output


def test_a_webhook_that_is_not_retried_is_found(lived_in: Shop) -> None:
    lived_in.deliver_webhook("P000000000000N0B0DYS")
    row = db.session.scalars(db.select(WebhookEventRow).where(WebhookEventRow.outcome == "orphan")).one()
    row.due_at = clock.now() - timedelta(minutes=2)
    db.session.commit()
    assert "5 accepted work" in broken()


@pytest.mark.parametrize(("minutes", "overdue_seconds", "is_found"), [(3, 0, False), (3, 120, True), (7, 0, True)])
def test_events_that_fail_are_a_violation_when_no_clock_retries_them_or_no_alert_was_raised_in_time(
    lived_in: Shop, minutes: int, overdue_seconds: int, is_found: bool
) -> None:
    created_at = clock.now()
    lived_in.wait(minutes=minutes)
    due_at = clock.now() - timedelta(seconds=overdue_seconds)
    db.session.execute(
        db.update(OutboxRow).values(published_at=None, error="no Redis", created_at=created_at, due_at=due_at)
    )
    db.session.commit()
    found = [row for row in promptness.accepted_work_is_done(EVERYTHING) if row["what"] == "outbox"]
    assert bool(found) == is_found
