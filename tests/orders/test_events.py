"""Order events: numbered 1..n, and a reader that resumes after a number gets each later event once."""

from __future__ import annotations

import threading

from flask import Flask

from shop.core.actor import Actor
from shop.core.db import db, transaction
from shop.core.event_types import PaymentVisited
from shop.orders import events
from tests.race_fixtures import Race
from tests.shop_fixtures import Shop, bare_order


def test_a_reader_that_was_cut_off_catches_up_and_sees_every_event_once(shop: Shop) -> None:
    """Case 27."""
    order = shop.order()
    payment = shop.payment(order)
    before = events.last_seq(order.id)
    shop.acquirer.decline(payment.id)
    shop.deliver_webhook(payment)
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    missed = events.since(order.id, before)
    assert [event.seq for event in missed] == list(range(before + 1, before + len(missed) + 1))
    assert {event.kind for event in missed} >= {"payment.declined", "payment.captured", "order.moved"}
    assert events.since(order.id, events.last_seq(order.id)) == []


def test_while_eight_write_a_reader_sees_every_event_once_and_in_order(app: Flask, race: Race) -> None:
    """Case 27: no number becomes visible before a smaller one that is uncommitted."""
    seen: list[int] = []
    done = threading.Event()

    def read(order_id: int) -> None:
        with app.app_context():
            while True:
                finished = done.is_set()
                seen.extend(event.seq for event in events.since(order_id, seen[-1] if seen else 0))
                db.session.rollback()
                if finished:
                    return

    def write(number: int) -> None:
        for _ in range(5):
            with transaction():
                events.record(order_id, PaymentVisited(str(number)), actor=Actor.customer())

    with app.app_context():
        order_id = bare_order("PENDING")
        reader = threading.Thread(target=read, args=(order_id,))
        reader.start()
        assert race(write) == [None] * 8
        done.set()
        reader.join(20)
    assert seen == list(range(1, 41))
