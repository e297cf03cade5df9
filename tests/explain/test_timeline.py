"""Timeline of an order."""

from __future__ import annotations

from shop.core.db import db, transaction
from shop.core.money import Money
from shop.explain import timeline
from shop.explain.order_rows import OrderRows
from shop.explain.timeline import Entry, Kind
from shop.ops.formats import tone
from shop.orders.models import Order
from shop.payments.records.models import WebhookEventRow
from shop.payments.refunds import requests
from tests.shop_fixtures import PEN, Shop


def entries(order: Order, *kinds: Kind) -> list[Entry]:
    db.session.rollback()
    return timeline.of(OrderRows(db.session.get_one(Order, order.id, populate_existing=True)), kinds)


def test_a_timeline_has_what_happened_from_every_table_the_newest_first(shop: Shop) -> None:
    order = shop.paid_order((PEN, 1))
    requests.request(shop.capture(order), Money(300, "TWD"), reason="broken", by=shop.sam)
    shop.sweep()
    found = entries(order)
    assert [entry.received for entry in found] == sorted((entry.received for entry in found), reverse=True)
    seen = {(entry.kind, entry.what, entry.outcome) for entry in found}
    assert {
        (Kind.ORDER, "order: placed", ""),
        (Kind.ORDER, "waiting payment → paid, captured", ""),
        (Kind.PAYMENT, "payment: captured", ""),
        (Kind.QUERY, "Fakepay reported open", "applied"),
        (Kind.WEBHOOK, "Fakepay reported captured", "applied"),
        (Kind.REFUND, "refund: requested", ""),
        (Kind.MAIL, "payment received", "SENT"),
        (Kind.STAFF, "refund: requested", ""),
    } <= seen


def test_an_entry_names_its_actor_its_values_and_the_body_of_a_webhook(shop: Shop) -> None:
    order = shop.paid_order((PEN, 1))
    requests.request(shop.capture(order), Money(300, "TWD"), reason="broken", by=shop.sam)
    [act] = entries(order, Kind.STAFF)
    assert act.actor == "sam@example.com" and ("reason", "broken") in act.details
    [webhook] = entries(order, Kind.WEBHOOK)
    assert webhook.raw.startswith("{") and dict(webhook.details)["payment"] == shop.payment(order).id
    with transaction():
        db.session.scalars(db.select(WebhookEventRow)).one().body = b'{"secret": "hush", "kept": 1}'
    [webhook] = entries(order, Kind.WEBHOOK)
    assert "hush" not in webhook.raw and "kept" in webhook.raw
    captured = [entry for entry in entries(order, Kind.PAYMENT) if entry.what == "payment: captured"]
    assert dict(captured[0].details)["amount"] == "NT$90"


def test_a_timeline_can_be_limited_to_some_sources(shop: Shop) -> None:
    order = shop.paid_order((PEN, 1))
    assert {entry.kind for entry in entries(order, Kind.WEBHOOK, Kind.ORDER)} == {Kind.WEBHOOK, Kind.ORDER}
    assert entries(order, Kind.DISPUTE) == []


def test_a_report_that_came_again_is_repeated_and_no_duplicate_payment(shop: Shop) -> None:
    order = shop.paid_order((PEN, 1))
    shop.deliver_webhook(shop.payment(order), "again")
    outcomes = {entry.outcome for entry in entries(order, Kind.QUERY, Kind.WEBHOOK)}
    assert "repeated" in outcomes and "duplicate" not in outcomes and tone("repeated") == "calm"
