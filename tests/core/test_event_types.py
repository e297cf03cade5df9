"""Typed events: every kind has a schema, and data that does not fit it is refused."""

from __future__ import annotations

from dataclasses import fields

import pytest

from shop.core.event_types import TYPES, EventKind, OrderMoved, PaymentMoved, SettlementDisagrees, typed
from shop.payments.providers.types import PaymentState


def test_every_kind_has_a_type_with_keys_in_snake_case() -> None:
    assert set(TYPES) == set(EventKind)
    names = {one.name for kind in TYPES.values() for one in fields(kind)}
    assert {name for name in names if not name.islower()} == set()


def test_kinds_that_are_no_change_of_a_payments_state_have_their_own_types() -> None:
    of_states = {kind for kind, type_ in TYPES.items() if type_ is PaymentMoved}
    assert of_states == {f"payment.{s.lower()}" for s in PaymentState if s not in ("CREATED", "CAPTURED")}


def test_a_payload_has_its_schema_version_and_leaves_out_what_is_optional_and_none() -> None:
    moved = OrderMoved("PENDING", "PAID", "captured", payment="P1")
    assert moved.payload() == {
        "schema_version": 1,
        "source": "PENDING",
        "target": "PAID",
        "because": "captured",
        "payment": "P1",
    }
    payload = SettlementDisagrees("kpay", "2026-01-01", "unknown", "line", None, 5, "TWD").payload()
    assert (payload["ours"], payload["theirs"]) == (None, 5)


@pytest.mark.parametrize(
    ("kind", "data", "error"),
    [
        ("order.noted", {}, ValueError),
        ("order.placed", {}, TypeError),
        ("order.placed", {"target": "PENDING", "colour": "red"}, TypeError),
    ],
)
def test_an_unknown_kind_or_field_is_refused(kind: str, data: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error):
        typed(kind, data)
