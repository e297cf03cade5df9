"""Outbox events: written in the transaction of their cause, published afterwards at least once, never lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import current_app

from shop.core import outbox, redis
from shop.core.db import db, transaction
from shop.core.event_types import OrderReviewEnded, PaymentVisited
from shop.core.outbox import OutboxRow
from shop.jobs import effects
from shop.orders.models import Order
from tests.parts.redis_server import RedisServer
from tests.race_fixtures import Race
from tests.shop_fixtures import PEN, Shop

Event = dict[str, Any]


def stream(name: str) -> list[Event]:
    """The events on a stream, oldest first."""
    found = []
    for _, fields in redis.client().xrange(name):
        event = {key.decode(): value.decode() for key, value in fields.items()}
        found.append(event | {"id": int(event["id"]), "payload": json.loads(event["payload"])})
    return found


def paid(shop: Shop) -> Order:
    order = shop.order((PEN, 1))
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    return order


def relay() -> int:
    return outbox.relay(effects.follow)


def test_events_of_an_order_are_published_on_two_streams_numbered_without_gaps(shop: Shop) -> None:
    order = paid(shop)
    relay()
    orders, payments = stream("orders.events.v1"), stream("payments.events.v1")
    assert [(e["kind"], e["payload"].get("source"), e["payload"].get("target")) for e in orders] == [
        ("order.placed", None, "PENDING"),
        ("order.moved", "PENDING", "WAITING_PAYMENT"),
        ("order.moved", "WAITING_PAYMENT", "PAID"),
    ]
    assert {e["kind"] for e in payments} >= {"payment.open", "payment.captured"}
    numbers = sorted(e["payload"]["seq"] for e in orders + payments)
    assert numbers == list(range(1, len(numbers) + 1))
    for event in orders + payments:
        assert (event["subject"], event["payload"]["order_no"]) == (order.number, order.number)
    because = [e["payload"].get("because") for e in orders]
    assert because == [None, "payment_opened", "captured"]


def test_no_event_contains_the_order_token_or_the_customers_address(shop: Shop) -> None:
    order = paid(shop)
    relay()
    published = json.dumps(stream("orders.events.v1") + stream("payments.events.v1"))
    for hidden in (order.token, order.email, order.line1, order.checkout_key):
        assert hidden not in published


def test_an_event_that_is_rolled_back_is_never_published(shop: Shop) -> None:
    with pytest.raises(RuntimeError, match="no after all"), transaction():
        outbox.emit(OrderReviewEnded(), "nobody")
        raise RuntimeError("no after all")
    assert relay() == 0


def test_without_redis_events_wait_and_are_published_when_it_is_back(shop: Shop, own_redis: RedisServer) -> None:
    """Case 25."""
    current_app.config["REDIS_URL"] = own_redis.url
    current_app.extensions["settled_redis"].client = None
    own_redis.kill()
    paid(shop)
    assert relay() == 0
    rows = db.session.scalars(db.select(OutboxRow)).all()
    assert rows
    assert all(row.published_at is None and row.due_at and row.error for row in rows)
    own_redis.start()
    current_app.extensions["settled_redis"].away_until = 0.0
    shop.wait(seconds=6)
    assert relay() == len(rows)
    assert [e["id"] for e in stream("orders.events.v1")] == sorted(e["id"] for e in stream("orders.events.v1"))
    assert len(stream("orders.events.v1")) + len(stream("payments.events.v1")) == len(rows)


def test_an_effect_that_fails_keeps_its_event_and_lets_the_others_pass(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed: list[Event] = []

    def poisoned(payload: Event) -> None:
        if payload["order_no"] == first.number:
            raise RuntimeError("a mistake of ours")
        followed.append(payload)

    first, second = paid(shop), paid(shop)
    monkeypatch.setitem(effects.EFFECTS, "payment.captured", (poisoned,))
    relay()
    assert [payload["order_no"] for payload in followed] == [second.number]
    (left,) = db.session.scalars(db.select(OutboxRow).where(OutboxRow.published_at.is_(None))).all()
    assert (left.kind, left.subject, left.tries) == ("payment.captured", first.number, 1)
    assert "a mistake of ours" in str(left.error)
    monkeypatch.setitem(effects.EFFECTS, "payment.captured", (followed.append,))
    shop.turn(seconds=6)
    assert [payload["order_no"] for payload in followed] == [second.number, first.number]


def test_killed_between_publishing_and_recording_it_the_event_is_published_again_under_its_own_id(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: Any) -> str:
        publish(*_)
        raise Killed

    paid(shop)
    publish = outbox._to_streams
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "_to_streams", die)
        with pytest.raises(Killed):
            relay()
    before = [event["id"] for event in stream("orders.events.v1")]
    assert relay() == 0, "claimed, until the lease is over"
    shop.wait(seconds=31)
    relay()
    assert [event["id"] for event in stream("orders.events.v1")] == before * 2


def test_eight_relays_at_once_do_each_effect_once(shop: Shop, race: Race, monkeypatch: pytest.MonkeyPatch) -> None:
    followed: list[str] = []
    monkeypatch.setitem(effects.EFFECTS, "payment.captured", (lambda payload: followed.append(payload["order_no"]),))
    numbers = [paid(shop).number for _ in range(4)]
    race(lambda _: relay())
    assert sorted(followed) == sorted(numbers)


def test_many_events_are_published_in_batches_and_none_is_lost(shop: Shop) -> None:
    with transaction():
        for number in range(450):
            outbox.emit(PaymentVisited(str(number)), "many")
    assert [relay(), relay(), relay(), relay()] == [200, 200, 50, 0]
    assert [int(event["payload"]["payment"]) for event in stream("orders.events.v1")] == list(range(450))
