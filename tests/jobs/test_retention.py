"""Expired rows are deleted, in small batches, and nothing else is; the invariants hold afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from shop.accounts.models import SignInFailures
from shop.alerts.models import Alert
from shop.checkout import cart
from shop.checkout.models import Cart, CartLine, Saga
from shop.core import clock
from shop.core.db import Base, db, transaction
from shop.core.heartbeat import Heartbeat
from shop.core.outbox import OutboxRow
from shop.inventory import stock
from shop.jobs import kept_tables, retention, retention_rules, work
from shop.ledger.models import Journal
from shop.orders.models import ERASED, Order, OrderEvent, OrderOrigin
from shop.payments.disputes import disputes
from shop.payments.providers.interface import DisputeFact
from shop.payments.providers.types import DisputeKind, DisputeState
from shop.payments.records.models import Capture, PaymentUpdateRow, RefusedWebhook, WebhookEventRow
from shop.payments.refunds import requests
from shop.payments.webhooks import hints
from shop.pricing import change
from shop.pricing.models import DiscountUse
from tests.race_fixtures import Race
from tests.shop_fixtures import KETTLE, PEN, Shop

UNKNOWN_REFERENCE = "P000000000000N0B0DYS"


def rule(rows: str) -> int:
    """The number of a rule, by its rows."""
    return next(number for number, each in enumerate(retention_rules.RULES) if rows in each.name)


def count(shop: Shop, *tables: type[Base]) -> list[int]:
    return [shop.count(table) for table in tables]


def lived(shop: Shop) -> list[Order]:
    """A shop with a history: paid, refused, cancelled and abandoned orders, and webhooks with invalid signatures."""
    with transaction():
        stock.receive(PEN, 500)
    paid = [shop.paid_order((PEN, 1)) for _ in range(4)]
    cancelled, forgotten = shop.order((PEN, 2)), shop.order((PEN, 3))
    shop.cancel(cancelled)
    shop.deliver_webhook(UNKNOWN_REFERENCE, trust="unsigned")
    shop.deliver_webhook(shop.payment(paid[0]), trust="unsigned")
    shop.receive({}, b"forged")
    shop.cart((PEN, 1))
    cart.create()
    for _ in range(3):
        shop.turn(minutes=31)
    shop.turn(days=1, hours=1)
    shop.turn(days=1, hours=1)
    return [*paid, cancelled, forgotten]


# --- the table ---


def test_every_table_has_a_rule_or_a_reason_to_be_kept() -> None:
    ruled = {retention.table(each.model).name for each in retention_rules.RULES if not each.erases}
    kept = [each.table for each in kept_tables.KEPT]
    assert len(kept) == len(set(kept)) and not ruled & set(kept)
    assert ruled | set(kept) | set(kept_tables.REMOVED_WITH) == set(db.metadata.tables)
    assert set(kept_tables.REMOVED_WITH.values()) <= ruled


def test_a_rule_walks_along_a_key_of_one_column() -> None:
    assert [each.name for each in retention_rules.RULES if len(retention.table(each.model).primary_key) != 1] == []


# --- a shop with a history ---


def test_nothing_is_removed_before_its_time_and_the_invariants_hold_after_it(shop: Shop) -> None:
    orders = lived(shop)
    everything = (
        CartLine,
        WebhookEventRow,
        RefusedWebhook,
        PaymentUpdateRow,
        OutboxRow,
        OrderEvent,
        Saga,
        Order,
        OrderOrigin,
    )
    before = count(shop, *everything)
    removed = retention.sweep()
    assert {name for name, rows in removed.items() if rows} == {"carts: empty carts of visitors without orders"}
    assert count(shop, *everything) == before
    shop.is_sound()

    shop.wait(days=401)
    shop.sweep()
    new = shop.paid_order((PEN, 1))
    live = shop.order((PEN, 1))
    shop.sweep()
    kept_events, kept_updates = count(shop, OrderEvent, PaymentUpdateRow)
    removed = retention.sweep()
    assert count(shop, CartLine, RefusedWebhook) == [0, 1], "of numbered rows the newest one stays"
    assert [row.order_id for row in db.session.scalars(select(Saga))] == [new.id, live.id]
    assert count(shop, OrderOrigin) == [2]
    assert {row.created_at > clock.now() - timedelta(days=90) for row in db.session.scalars(select(OutboxRow))} == {
        True
    }
    assert [row.trust for row in db.session.scalars(select(WebhookEventRow))] == ["signed"]
    assert count(shop, Order, OrderEvent) == [len(orders) + 2, kept_events]
    assert (
        shop.count(PaymentUpdateRow)
        == kept_updates - removed["payment_updates: updates that changed nothing (duplicate, stale, hint)"]
    )
    shop.is_sound()
    assert [shop.state(order) for order in orders] == ["PAID"] * 4 + ["CANCELLED", "EXPIRED"]
    assert sum(retention.sweep().values()) == 0
    shop.turn(minutes=31)


def test_what_is_not_done_is_not_removed_however_old_it_is(shop: Shop) -> None:
    order = shop.order((PEN, 1))
    with transaction():
        for row in db.session.scalars(select(OutboxRow)):
            row.created_at = clock.now() - timedelta(days=1000)
        inbox = {"provider": "fakepay", "body_hash": "x", "body": b"{}", "headers": {}, "trust": "signed"}
        old = clock.now() - timedelta(days=1000)
        for number in range(2):
            db.session.add(WebhookEventRow(dedupe_key=f"{number}", received_at=old, due_at=clock.now(), **inbox))
    outbox, notices = count(shop, OutboxRow, WebhookEventRow)
    retention.sweep()
    assert count(shop, OutboxRow, WebhookEventRow) == [outbox, notices] and outbox > 1
    assert shop.count(Saga) == 1
    with transaction():
        db.session.execute(db.delete(WebhookEventRow))
        for row in db.session.scalars(select(OutboxRow)):
            row.created_at = clock.now()
    shop.cancel(order)
    shop.sweep()


# --- personal data of guests ---


def personal(order: Order) -> set[str | None]:
    db.session.rollback()
    kept = db.session.get_one(Order, order.id)
    return {kept.name, kept.email, kept.line1, kept.line2, kept.city, kept.region, kept.postcode, kept.phone} | {
        kept.form_digest
    }


def test_names_and_addresses_of_old_guest_orders_are_erased_and_their_money_stays(shop: Shop) -> None:
    paid, refunded, cancelled = shop.paid_order((PEN, 2)), shop.paid_order((PEN, 1)), shop.order((PEN, 1))
    customers = shop.order((PEN, 1), customer=shop.customer())
    shop.cancel(cancelled)
    shop.cancel(customers)
    requests.request_all(refunded.id, reason="", by=shop.sam)
    shop.sweep()
    orders = [paid, refunded, cancelled]
    journals = shop.count(Journal)
    before = [(shop.state(order), order.total_amount, order.number) for order in orders]
    shop.wait(days=729)
    shop.turn(minutes=1)
    retention.sweep()
    assert not any(ERASED in personal(order) for order in orders), "a day too early"
    shop.wait(days=2)
    recent = shop.paid_order((PEN, 1))
    shop.app.extensions.pop("settled_retention", None)
    work.sweep()
    assert [personal(order) for order in orders] == [{ERASED, None}] * 3
    assert not {ERASED, None} & (personal(customers) | personal(recent))
    assert [(shop.state(order), order.total_amount, order.number) for order in orders] == before
    assert shop.count(Journal) > journals, "the ledger continues"
    for order in orders:
        assert shop.app.test_client().get(f"/orders/{order.token}").status_code == 404
    assert sum(retention.sweep().values()) == 0, "once"
    shop.is_sound()


def test_the_hashes_of_a_guests_address_are_erased_with_its_data(shop: Shop) -> None:
    change.set_code(change.NewCode("TEN", percent=10))
    shop.paid_order((PEN, 2), code="TEN")
    customers = shop.paid_order((PEN, 1), code="TEN", customer=shop.customer(), email="bob@example.com")
    shop.wait(days=731)
    shop.turn(minutes=1)
    retention.sweep()
    db.session.rollback()
    kept = db.session.scalars(select(DiscountUse.order_id).where(DiscountUse.email_digest.is_not(None)))
    assert kept.all() == [customers.id]


def test_personal_data_stays_while_a_refund_is_under_way_or_a_dispute_is_open(shop: Shop) -> None:
    refunded, disputed = shop.paid_order((PEN, 1)), shop.paid_order((PEN, 1))
    shop.acquirer.misbehave("refund", "wait")
    requests.request_all(refunded.id, reason="", by=shop.sam)
    shop.sweep()
    charged = db.session.scalars(select(Capture).where(Capture.payment_id == shop.payment(disputed).id)).one()
    fact = DisputeFact("dp_1", charged.capture_id, DisputeKind.INQUIRY, DisputeState.OPEN, charged.money, clock.now())
    disputes.apply(charged.provider, fact, "webhook")
    shop.wait(days=731)
    retention.sweep()
    assert ERASED not in personal(refunded) | personal(disputed)
    disputes.apply(charged.provider, replace(fact, state=DisputeState.WON), "webhook")
    retention.sweep()
    assert ERASED not in personal(refunded) and personal(disputed) == {ERASED, None}
    shop.acquirer.refund_becomes(shop.refunds(refunded)[0].id, "DONE")
    shop.turn(days=1)
    assert shop.state(refunded) == "REFUNDED"


def test_no_rule_overwrites_anything_but_personal_data() -> None:
    """A status or an amount has one writer, and it is not the retention."""
    erased = {name for each in retention_rules.RULES for name in each.erases}
    assert erased == {*retention_rules._PERSONAL, "form_digest", "text"} and "phone" in erased


# --- batches ---


def test_the_clock_removes_in_batches_and_rests_after_a_pass(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "WINDOW", 3)
    number = rule("carts that have not changed")
    for _ in range(8):
        shop.cart((PEN, 1))
    shop.wait(days=31)
    fresh = shop.cart((KETTLE, 1))
    shop.app.extensions.pop("settled_retention", None)
    removed = []
    while number in retention.due():
        removed.append(retention.step(number))
    assert sum(removed) == 8 and max(removed) <= 3 and len(removed) == 4
    assert [row.id for row in db.session.scalars(select(Cart))] == [fresh] and shop.count(CartLine) == 1
    assert number not in retention.due()


def test_the_clock_carries_it_out(shop: Shop) -> None:
    shop.cart((PEN, 1))
    shop.wait(days=31)
    shop.app.extensions.pop("settled_retention", None)
    work.sweep()
    assert count(shop, Cart, CartLine) == [0, 0]


def test_a_row_that_has_changed_since_it_was_looked_at_stays(shop: Shop) -> None:
    cart_id = shop.cart((PEN, 1))
    shop.wait(days=31)
    of_carts = retention_rules.RULES[rule("carts that have not changed")]
    _, over = retention._window(of_carts, None, clock.now())
    assert over == [cart_id]
    cart.add(cart_id, KETTLE, 1)
    assert retention._remove(of_carts, over, clock.now()) == 0
    assert cart.load(cart_id).units == 2


def test_eight_processes_that_delete_and_change_the_same_carts_at_once_do_not_interfere(shop: Shop, race: Race) -> None:
    carts = [shop.cart((PEN, 1)) for _ in range(40)]
    shop.wait(days=31)

    def do(number: int) -> None:
        if number % 2:
            retention.sweep()
            return
        for cart_id in carts[number::8]:
            if cart.load(cart_id).id:
                try:
                    cart.add(cart_id, KETTLE, 1)
                except Exception as error:  # noqa: BLE001 - it was removed just now
                    assert getattr(error, "code", "") == "unknown_cart", error

    assert race(do) == [None] * 8
    db.session.rollback()
    left = db.session.scalars(select(Cart.id)).all()
    assert {cart.load(cart_id).count for cart_id in left} <= {2}
    assert shop.count(CartLine) == 2 * len(left)


# --- numbers ---


def test_no_number_of_an_event_is_given_twice_after_old_events_were_removed(shop: Shop) -> None:
    shop.paid_order((PEN, 1))
    shop.turn(minutes=2)
    newest = db.session.scalar(select(db.func.max(OutboxRow.id)))
    db.session.rollback()
    shop.wait(days=91)
    retention.sweep()
    assert list(db.session.scalars(select(OutboxRow.id))) == [newest]
    db.session.rollback()
    order = shop.order((PEN, 1))
    assert newest and min(db.session.scalars(select(OutboxRow.id).where(OutboxRow.id != newest))) > newest
    shop.cancel(order)
    shop.sweep()


def test_floods_of_forged_webhooks_are_alerts_with_names_of_their_own_after_old_alerts_were_removed(shop: Shop) -> None:
    def forge() -> None:
        shop.receive({}, b"forged")
        shop.turn(seconds=11)
        shop.turn(minutes=11)

    forge()
    forge()
    shop.wait(days=401)
    retention.sweep()
    forge()
    forge()
    causes = list(db.session.scalars(select(Alert.cause).where(Alert.rule == "OPS_BAD_SIGNATURE").order_by(Alert.id)))
    assert len(causes) == len(set(causes)) >= 3


# --- hints ---


def test_of_a_hint_about_nothing_of_ours_one_kilobyte_is_kept(shop: Shop) -> None:
    long = "x" * 60_000
    assert shop.deliver_webhook(UNKNOWN_REFERENCE, "evt-1", trust="unsigned", note=long) == (200, "hint")
    row = db.session.scalars(select(WebhookEventRow)).one()
    assert (len(row.body), row.due_at, row.outcome) == (hints.KEPT_BYTES, None, "hint")
    assert row.done_at is not None
    assert shop.deliver_webhook(UNKNOWN_REFERENCE, "evt-1", trust="unsigned", note=long)[1] == "duplicate"
    assert shop.deliver_webhook(UNKNOWN_REFERENCE, "evt-1", trust="unsigned", note=long + "y")[1] == "key_reused"


def test_of_a_hint_about_a_payment_of_ours_one_kilobyte_is_kept_once_it_was_applied(shop: Shop) -> None:
    order = shop.order((PEN, 1))
    shop.deliver_webhook(shop.payment(order), trust="unsigned", note="x" * 60_000)
    shop.turn(seconds=31)
    row = db.session.scalars(select(WebhookEventRow)).one()
    assert (len(row.body), row.due_at) == (hints.KEPT_BYTES, None)


def test_a_signed_webhook_is_kept_whole(shop: Shop) -> None:
    order = shop.order((PEN, 1))
    shop.deliver_webhook(shop.payment(order), note="x" * 50_000)
    assert len(db.session.scalars(select(WebhookEventRow)).one().body) > 50_000


# --- other rules ---


def test_an_empty_cart_of_a_visitor_with_an_order_is_kept(shop: Shop) -> None:
    cart_id = shop.cart((PEN, 1))
    order = shop.place(cart_id)
    empty = cart.create()
    shop.wait(days=3)
    retention.sweep()
    assert (cart.load(cart_id).id, cart.load(empty).id) == (cart_id, "")
    shop.sweep()
    assert shop.state(order) == "EXPIRED"


def test_heartbeats_and_wrong_passwords_end_by_the_wall_clock(shop: Shop) -> None:
    at = clock.wall()
    with transaction():
        db.session.execute(db.delete(Heartbeat))
        db.session.add_all([Heartbeat(name="gone", at=at - timedelta(days=8)), Heartbeat(name="here", at=at)])
        db.session.add(SignInFailures(account="old", failures=3, at=at - timedelta(days=2)))
        db.session.add(SignInFailures(account="new", failures=3, at=at))
    shop.wait(days=30)
    retention.sweep()
    assert list(db.session.scalars(select(Heartbeat.name))) == ["here"]
    assert list(db.session.scalars(select(SignInFailures.account))) == ["new"]
