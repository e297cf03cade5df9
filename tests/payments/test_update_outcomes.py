"""Outcome of an update for a payment: the whole table, and independence of the order of arrival."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shop.core import clock
from shop.core.db import db, transaction
from shop.core.money import Money
from shop.orders.models import Order
from shop.payments.providers.interface import CaptureFact, Facts
from shop.payments.records import states
from shop.payments.records.models import Payment
from shop.payments.updates.apply import apply
from shop.payments.updates.snapshot import PaymentUpdate
from tests.fakes import Remote
from tests.shop_fixtures import KETTLE, Shop, bare_order

ENDS = ("FAILED", "CANCELLED", "EXPIRED")
APPLIED: dict[str, set[str]] = {
    "CREATED": {"OPEN", "UNKNOWN", "AUTHORIZED", *ENDS, "CAPTURED"},
    "UNKNOWN": {"OPEN", "AUTHORIZED", *ENDS, "CAPTURED"},
    "OPEN": {"AUTHORIZED", *ENDS, "CAPTURED"},
    "AUTHORIZED": {*ENDS, "CAPTURED"},
    "FAILED": {"CAPTURED"},
    "CANCELLED": {"CAPTURED"},
    "EXPIRED": {"CAPTURED"},
    "CAPTURED": set(),
}
"""The specified table, written down independently."""


def expected(current: str, reported: str) -> str:
    if current == reported:
        return "duplicate"
    if reported in APPLIED[current]:
        return "applied"
    return "illegal" if current in ENDS and reported in ENDS else "stale"


@pytest.fixture
def inside(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def a_payment(state: str) -> str:
    """The id of a payment of one minor unit; for CAPTURED its capture is booked."""
    order_id = bare_order("WAITING_PAYMENT")
    payment_id = f"PAY-{order_id}"
    with transaction():
        own = {"provider": "fakepay", "amount": 1, "currency": "TWD", "created_at": clock.now(), "provider_data": {}}
        db.session.add(Payment(id=payment_id, order_id=order_id, state="OPEN", **own))
    if state == "CAPTURED":
        apply(PaymentUpdate(payment_id, facts("CAPTURED", payment_id), "webhook"))
    with transaction():
        db.session.get_one(Payment, payment_id).state = state
    return payment_id


def facts(state: str, payment_id: str) -> Facts:
    captures = (CaptureFact(f"cap-{payment_id}", Money(1, "TWD"), clock.now()),) if state == "CAPTURED" else ()
    return Facts(state, captures)


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize("current", states.STATES)
def test_every_report_about_every_state_gets_the_outcome_of_the_table(current: str) -> None:
    for reported in states.STATES:
        payment_id = a_payment(current)
        outcome = apply(PaymentUpdate(payment_id, facts(reported, payment_id), "webhook")).outcome
        assert outcome == expected(current, reported), (current, reported)
        after = db.session.get_one(Payment, payment_id, populate_existing=True)
        assert after.state == (reported if outcome == "applied" else current), (current, reported)
        order = db.session.get_one(Order, after.order_id, populate_existing=True)
        assert (order.state == "PAID") is ("CAPTURED" in (current, reported))


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize("current", [state for state in states.STATES if state != "CAPTURED"])
def test_captured_without_a_capture_is_a_hint_and_changes_nothing(current: str) -> None:
    payment_id = a_payment(current)
    assert apply(PaymentUpdate(payment_id, Facts("CAPTURED"), "webhook")).outcome == "hint"
    after = db.session.get_one(Payment, payment_id, populate_existing=True)
    assert after.state == current
    assert after.next_check_at or current in ENDS, "but the acquirer is asked"


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize("current", states.STATES)
def test_a_capture_counts_whatever_state_the_report_names(current: str) -> None:
    payment_id = a_payment(current)
    reported = Facts("FAILED", facts("CAPTURED", payment_id).captures)
    assert apply(PaymentUpdate(payment_id, reported, "poll")).outcome == (
        "duplicate" if current == "CAPTURED" else "applied"
    )
    assert db.session.get_one(Payment, payment_id, populate_existing=True).state == "CAPTURED"


@pytest.mark.usefixtures("inside")
def test_a_report_about_no_payment_of_ours_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(KeyError):
        apply(PaymentUpdate("NO-SUCH-PAYMENT", Facts("OPEN"), "webhook"))


# --- order of arrival ---

STORIES: dict[str, tuple[str, ...]] = {
    "paid": ("opened", "declined", "authorised", "captured"),
    "paid twice": ("opened", "captured", "captured"),
    "given up": ("opened", "declined", "cancelled"),
    "declined thrice": ("opened", "declined", "declined", "failed"),
    "late after failure": ("opened", "failed", "captured"),
}
ENDINGS = {
    "paid": ("PAID", "CAPTURED", ["pays_order"]),
    "paid twice": ("PAID", "CAPTURED", ["duplicate", "pays_order"]),
    "given up": ("FAILED", "CANCELLED", []),
    "declined thrice": ("FAILED", "FAILED", []),
    "late after failure": ("PAID", "CAPTURED", ["pays_order"]),
}
_numbers = itertools.count(1)


def report(shop: Shop, payment_id: str, story: str) -> list[tuple[dict[str, str], bytes]]:
    """The webhooks that the acquirer sends during these events."""
    remote: Remote = shop.acquirer.payments[payment_id]
    happens: dict[str, Any] = {
        "opened": lambda: None,
        "declined": lambda: shop.acquirer.decline(payment_id),
        "authorised": lambda: setattr(remote, "state", "AUTHORIZED"),
        "captured": lambda: shop.acquirer.capture(payment_id),
        "cancelled": lambda: shop.acquirer.end(payment_id, "CANCELLED", "customer"),
        "failed": lambda: shop.acquirer.end(payment_id, "FAILED", "declines"),
    }
    sent = []
    for chapter in STORIES[story]:
        happens[chapter]()
        sent.append(shop.acquirer.webhook(payment_id, f"evt-{next(_numbers)}"))
    return sent


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), story=st.sampled_from(sorted(STORIES)))
def test_webhooks_in_any_order_and_repeated_any_number_of_times_end_in_the_same_state(
    shop: Shop, story: str, data: st.DataObject
) -> None:
    """Case 20."""
    shop.restock()
    order = shop.order((KETTLE, 1))
    payment = shop.payment(order)
    sent = report(shop, payment.id, story)
    again = data.draw(st.lists(st.sampled_from(sent), max_size=4))
    for webhook in data.draw(st.permutations(sent + again)):
        assert shop.receive(*webhook)[0] == 200
        if data.draw(st.booleans()):
            shop.sweep()
    assert (shop.state(order), shop.payment(order).state, sorted(shop.captures(order))) == ENDINGS[story]
    assert shop.moves(order).count("PAID") == ("pays_order" in ENDINGS[story][2])
    shop.cancel(order)


def test_time_alone_makes_nothing_stale(shop: Shop) -> None:
    order = shop.order()
    payment = shop.payment(order)
    shop.deliver_webhook(payment, state="AUTHORIZED")
    shop.acquirer.capture(payment.id, at=clock.now() - timedelta(days=3))
    assert shop.deliver_webhook(payment)[1] == "applied"
    assert shop.state(order) == "PAID"
