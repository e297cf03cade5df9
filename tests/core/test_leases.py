"""Leases of due work: one process claims a row, and only the holder ends or postpones it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from flask import Flask

from shop.alerts import store
from shop.alerts.models import ChatMessage
from shop.alerts.states import MessageKind
from shop.core import clock, leases
from shop.core.db import db, transaction
from shop.core.leases import Lease
from shop.mail.states import MailState
from tests.shop_fixtures import Shop

FOR = timedelta(minutes=5)


@pytest.fixture
def message(shop: Shop) -> Iterator[int]:
    """The id of a row that is due."""
    with transaction():
        alert = store.raise_alert(store.Cause("OPS_PROVIDER_UNAVAILABLE", "kpay", "episode 1", "watch", {}, {}))
    shop.sweep()
    with transaction():
        row = ChatMessage(
            alert_id=alert,
            kind=MessageKind.RAISED,
            text="x",
            state=MailState.QUEUED,
            created_at=clock.now(),
            next_attempt_at=clock.now(),
        )
        db.session.add(row)
        db.session.flush()
        number = row.id
    yield number


def claim(message: int) -> Lease | None:
    with transaction():
        return leases.claim(ChatMessage.next_attempt_at, ChatMessage.id == message, until=clock.now() + FOR, attempts=1)


def held(message: int) -> Lease:
    lease = claim(message)
    assert lease is not None
    return lease


def end(lease: Lease) -> bool:
    with transaction():
        return lease.end(state=MailState.SENT)


def postpone(lease: Lease, until: datetime) -> bool:
    with transaction():
        return lease.postpone(until, error="busy")


def row(message: int) -> ChatMessage:
    db.session.rollback()
    return db.session.get_one(ChatMessage, message)


def test_a_claimed_row_is_due_for_another_process_only_after_the_lease(message: int) -> None:
    lease = held(message)
    assert (row(message).next_attempt_at, row(message).attempts) == (lease.until, 1)
    assert claim(message) is None
    clock.advance(timedelta(minutes=4, seconds=59))
    assert claim(message) is None
    clock.advance(timedelta(seconds=1))
    assert claim(message) is not None


def test_a_lease_that_another_process_has_taken_over_ends_and_postpones_nothing(message: int) -> None:
    first = held(message)
    clock.advance(timedelta(minutes=6))
    second = held(message)
    taken = row(message).next_attempt_at
    assert not end(first) and not postpone(first, clock.now() + timedelta(days=1))
    with transaction():
        assert first.renew(FOR) is None
    assert (row(message).next_attempt_at, row(message).state, row(message).error) == (taken, MailState.QUEUED, None)
    assert end(second)
    assert (row(message).next_attempt_at, row(message).state) == (None, MailState.SENT)


def test_the_holder_ends_its_work_once(message: int) -> None:
    lease = held(message)
    assert end(lease) and not end(lease) and not postpone(lease, clock.now())
    assert claim(message) is None and row(message).state == MailState.SENT


def test_a_postponed_row_is_due_again_at_its_new_time(message: int) -> None:
    lease = held(message)
    assert postpone(lease, clock.now() + timedelta(hours=1)) and row(message).error == "busy"
    assert not end(lease), "it was given back"
    assert claim(message) is None
    clock.advance(timedelta(hours=1))
    assert end(held(message))


def test_a_renewed_lease_replaces_the_one_before(message: int) -> None:
    first = held(message)
    clock.advance(timedelta(minutes=4))
    with transaction():
        renewed = first.renew(FOR, attempts=2)
    assert renewed is not None and row(message).attempts == 2
    clock.advance(timedelta(minutes=2))
    assert claim(message) is None and not end(first) and end(renewed)


def test_a_last_attempt_has_no_end_and_its_holder_still_writes_the_result(message: int) -> None:
    with transaction():
        due = ChatMessage.next_attempt_at
        lease = leases.claim(due, ChatMessage.id == message, until=None, state=MailState.FAILED)
    assert lease is not None
    clock.advance(timedelta(days=30))
    assert claim(message) is None
    with transaction():
        assert lease.change(None, error="HTTP 404")
    assert row(message).error == "HTTP 404"


def test_one_of_many_processes_claims_a_due_row(app: Flask, message: int) -> None:
    together, claimed = threading.Barrier(4), []

    def work() -> None:
        with app.app_context():
            together.wait(10)
            claimed.append(claim(message))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert len(claimed) == 4 and sum(one is not None for one in claimed) == 1
