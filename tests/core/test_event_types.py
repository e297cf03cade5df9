"""Typed events: every kind has a class, and a payload leaves out optional fields that are None."""

from __future__ import annotations

from shop.core.event_types import (
    DisputeChanged,
    EventKind,
    OrderMoved,
    PaymentCaptured,
    PaymentMoved,
    RefundChanged,
    RefundNotBooked,
    SettlementDisagrees,
)
from shop.payments.providers.types import PaymentState, RefundState
from shop.payments.records import dispute_states, refund_states, states
from tests.parts.event_classes import kinds_without_a_class, of_base


def test_every_kind_has_a_class() -> None:
    assert kinds_without_a_class(EventKind) == []


def test_a_kind_without_a_class_is_seen() -> None:
    assert kinds_without_a_class([EventKind.ORDER_PLACED, "order.noted"]) == ["order.noted"]


def test_every_state_has_the_event_of_its_kind() -> None:
    moved = {**states.EVENTS, **states.END_EVENTS}
    assert set(moved) == set(PaymentState) - {PaymentState.CREATED, PaymentState.CAPTURED}
    assert set(states.END_EVENTS) == states.ENDED_WITHOUT_MONEY
    for subject, by_state in (
        ("payment", moved),
        ("refund", refund_states.EVENTS),
        ("dispute", dispute_states.EVENTS),
    ):
        assert {state: str(event.KIND) for state, event in by_state.items()} == {
            state: f"{subject}.{state.lower()}" for state in by_state
        }
    assert set(refund_states.EVENTS) == set(RefundState)
    assert set(dispute_states.EVENTS) == set(dispute_states.TRANSITIONS)


def test_classes_of_a_state_are_used_for_a_state() -> None:
    assert of_base(PaymentMoved) == {*states.EVENTS.values(), *states.END_EVENTS.values()}
    assert of_base(RefundChanged) == {*refund_states.EVENTS.values(), RefundNotBooked}
    assert of_base(DisputeChanged) == set(dispute_states.EVENTS.values())


def test_a_payload_has_its_schema_version_and_leaves_out_what_is_optional_and_none() -> None:
    moved = OrderMoved("PENDING", "PAID", "captured", payment="P1")
    assert moved.payload() == {
        "schema_version": 1,
        "source": "PENDING",
        "target": "PAID",
        "because": "captured",
        "payment": "P1",
    }
    assert PaymentCaptured("P1", 5, "TWD", "late").payload()["schema_version"] == 2
    payload = SettlementDisagrees("kpay", "2026-01-01", "unknown", "line", None, 5, "TWD").payload()
    assert (payload["ours"], payload["theirs"]) == (None, 5)
