"""Decisions about outgoing webhooks: pauses, last attempts, and endpoints that are disabled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.core.event_types import EventKind
from shop.orders.states import OrderState, Reason
from shop.outgoing_webhooks import decide
from shop.outgoing_webhooks.decide import Progress, Result, after
from shop.outgoing_webhooks.kinds import DeliveryState, DisabledBecause, EventType

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
REFUSED = Result(5, 500, "", "The answer was HTTP 500.")


def test_pauses_grow_from_seconds_to_ten_hours() -> None:
    seconds = [decide.pause(tries).total_seconds() for tries in range(1, 9)]
    assert seconds == [5, 30, 120, 600, 3600, 10800, 36000, 36000]


@given(tries=st.integers(1, 30), jitter=st.floats(0, 1), hours=st.floats(0, 71))
def test_a_failed_delivery_is_tried_again_later_and_within_three_days(tries: int, jitter: float, hours: float) -> None:
    begun = NOW - timedelta(hours=hours)
    change = after(REFUSED, Progress(tries, begun, begun), NOW, jitter)
    assert change.state is DeliveryState.QUEUED and change.next_attempt_at and change.disable is None
    assert NOW < change.next_attempt_at <= begun + decide.KEEP_TRYING
    assert change.next_attempt_at - NOW <= decide.pause(tries) * (1 + decide.JITTER)


def test_a_retry_after_prolongs_the_pause_to_an_hour_at_most() -> None:
    for wait, got in ((timedelta(seconds=1), 5), (timedelta(minutes=20), 1200), (timedelta(days=9), 3600)):
        answer = Result(5, 503, "", "The answer was HTTP 503.", wait)
        change = after(answer, Progress(1, NOW), NOW, 0)
        assert change.next_attempt_at == NOW + timedelta(seconds=got)


def test_the_last_attempt_fails_for_good_and_disables_an_endpoint_without_a_success() -> None:
    begun = NOW - decide.KEEP_TRYING
    lone = after(REFUSED, Progress(14, begun, NOW - timedelta(hours=1)), NOW, 0)
    assert (lone.state, lone.next_attempt_at, lone.disable) == (DeliveryState.FAILED, None, None)
    all_fail = after(REFUSED, Progress(14, begun, begun + timedelta(seconds=10)), NOW, 0)
    assert (all_fail.state, all_fail.disable) == (DeliveryState.FAILED, DisabledBecause.FAILING)


def test_410_disables_at_once_and_a_success_never_does() -> None:
    assert after(Result(5, 410, "", "x"), Progress(1, NOW), NOW, 0).disable is DisabledBecause.GONE
    long_ago = Progress(1, NOW - timedelta(days=9), NOW - timedelta(days=9))
    success = after(Result(5, 200), long_ago, NOW, 0)
    assert (success.state, success.disable) == (DeliveryState.DELIVERED, None)


def test_an_endpoint_without_answers_rests_for_a_minute_at_most() -> None:
    assert [decide.rest(number).total_seconds() for number in (0, 1, 2, 5, 6, 500)] == [0, 2, 4, 32, 60, 60]


@pytest.mark.parametrize("event_type", list(EventType))
def test_each_type_has_an_event(event_type: EventType) -> None:
    assert event_type in {*decide.BY_KIND.values(), *decide.BY_TARGET.values()}


def test_an_order_that_is_paid_again_after_a_failed_refund_is_not_announced_again() -> None:
    moved = {"target": OrderState.PAID, "because": Reason.CAPTURED}
    assert decide.public_type(EventKind.ORDER_MOVED, moved) is EventType.ORDER_PAID
    moved["because"] = Reason.REFUND_FAILED_LATER
    assert decide.public_type(EventKind.ORDER_MOVED, moved) is None
    assert decide.public_type(EventKind.PAYMENT_VISITED, {}) is None
