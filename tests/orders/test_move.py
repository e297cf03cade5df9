"""State changes of orders: only along the table, and only once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from shop.core.actor import Actor
from shop.core.db import db, transaction
from shop.core.event_types import PaymentVisited
from shop.orders import events, states
from shop.orders.models import Order, OrderEvent
from shop.orders.move import move
from tests.race_fixtures import Race
from tests.shop_fixtures import bare_order

PAYABLE = {"PENDING", "WAITING_PAYMENT", "FAILED"}
ALLOWED: dict[tuple[str, str], set[str]] = {
    ("WAITING_PAYMENT", "payment_opened"): {"PENDING", "FAILED"},
    ("PAID", "captured"): PAYABLE,
    ("PAID", "nothing_left_to_pay"): {"PENDING"},
    ("FAILED", "opening_refused"): {"PENDING", "WAITING_PAYMENT"},
    ("FAILED", "payment_ended"): {"PENDING", "WAITING_PAYMENT"},
    ("EXPIRED", "time_over"): PAYABLE,
    ("CANCELLED", "cancelled"): PAYABLE,
    ("PAID", "paid_in_time_seen_late"): {"EXPIRED", "CANCELLED"},
    ("PAID", "mismatch_accepted"): PAYABLE | {"EXPIRED", "CANCELLED"},
    ("PARTIALLY_REFUNDED", "refund_done"): {"PAID"},
    ("REFUNDED", "refund_done"): {"PAID", "PARTIALLY_REFUNDED"},
    ("PAID", "refund_failed_later"): {"PARTIALLY_REFUNDED", "REFUNDED"},
    ("PARTIALLY_REFUNDED", "refund_failed_later"): {"REFUNDED"},
}
"""The specified table, written down independently."""


@pytest.fixture
def inside(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def try_to_move(order_id: int, target: str, because: str, **more: object) -> bool:
    with transaction():
        return move(order_id, target, because, actor=Actor.customer(), **more)  # type: ignore[arg-type]


def state_of(order_id: int) -> str:
    db.session.rollback()
    return db.session.scalars(db.select(Order.state).where(Order.id == order_id)).one()


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize("source", states.STATES)
def test_every_transition_in_the_table_is_made_and_every_other_is_refused(source: str) -> None:
    for (target, because), sources in ALLOWED.items():
        order_id = bare_order(source)
        made = try_to_move(order_id, target, because)
        assert made is (source in sources), (source, target, because)
        assert state_of(order_id) == (target if made else source)
        assert [e.target for e in events.since(order_id, 0)] == ([target] if made else [])


def test_the_table_has_no_other_reasons_than_these() -> None:
    assert {(m.target, m.because) for m in states.TRANSITIONS} == set(ALLOWED)


@pytest.mark.parametrize("source", states.STATES)
@pytest.mark.parametrize("target", states.STATES)
def test_legal_means_that_some_reason_leads_there(source: str, target: str) -> None:
    assert states.is_legal(source, target) is any(t == target and source in s for (t, _), s in ALLOWED.items())


@pytest.mark.usefixtures("inside")
def test_a_transition_that_is_not_in_the_table_raises_and_changes_nothing() -> None:
    order_id = bare_order("PENDING")
    with pytest.raises(KeyError, match="no move to PENDING because of regret"):
        try_to_move(order_id, "PENDING", "regret")
    assert state_of(order_id) == "PENDING"


@pytest.mark.usefixtures("inside")
def test_a_transition_of_an_unknown_order_raises() -> None:
    assert try_to_move(987654, "PAID", "captured") is False


@pytest.mark.usefixtures("inside")
def test_a_false_condition_stops_the_transition() -> None:
    order_id = bare_order("FAILED")
    assert try_to_move(order_id, "EXPIRED", "time_over", unless=Order.total_amount == 1) is False
    assert try_to_move(order_id, "EXPIRED", "time_over", unless=Order.total_amount == 2) is True


@pytest.mark.usefixtures("inside")
def test_the_end_has_its_time_and_a_correction_keeps_it() -> None:
    order_id = bare_order("FAILED")
    try_to_move(order_id, "EXPIRED", "time_over")
    ended_at = db.session.get_one(Order, order_id).ended_at
    assert ended_at
    try_to_move(order_id, "PAID", "paid_in_time_seen_late")
    assert db.session.get_one(Order, order_id, populate_existing=True).ended_at == ended_at


def test_of_eight_concurrent_transitions_one_wins_and_the_history_has_one_row(app: Flask, race: Race) -> None:
    with app.app_context():
        for _ in range(5):
            order_id = bare_order("WAITING_PAYMENT")
            assert sorted(race(lambda _, order=order_id: try_to_move(order, "PAID", "captured"))) == [False] * 7 + [
                True
            ]
            assert [e.target for e in events.since(order_id, 0)] == ["PAID"]


def test_paid_expired_and_cancelled_at_once_end_in_exactly_one_of_them(app: Flask, race: Race) -> None:
    """Case 16, between orders: the loser has no effect."""
    wishes = (("PAID", "captured"), ("EXPIRED", "time_over"), ("CANCELLED", "cancelled"), ("FAILED", "payment_ended"))
    with app.app_context():
        for _ in range(5):
            order_id = bare_order("WAITING_PAYMENT")
            made = race(lambda number, order=order_id: try_to_move(order, *wishes[number % 4]))
            chain = [e.target for e in events.since(order_id, 0)]
            assert made.count(True) == len(chain)
            assert chain[-1] == state_of(order_id)
            assert len([target for target in chain if target in states.ENDED]) == 1


def test_events_that_are_written_at_once_are_numbered_without_gaps(app: Flask, race: Race) -> None:
    def write(number: int) -> int:
        with transaction():
            return events.record(order_id, PaymentVisited(str(number)), actor=Actor.customer())

    with app.app_context():
        order_id = bare_order("PENDING")
        assert sorted(race(write)) == list(range(1, 9))
        db.session.rollback()
        seqs = db.session.scalars(db.select(OrderEvent.seq).where(OrderEvent.order_id == order_id))
        assert sorted(seqs) == list(range(1, 9))
        assert events.last_seq(order_id) == 8
