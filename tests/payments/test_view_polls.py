"""Poll schedule of a payment whose order's page is viewed: `view_changes` predicts what `make_due` does."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

import pytest
import time_machine

from shop.core import clock
from shop.core.db import db, transaction
from shop.payments.polling import poll
from shop.payments.providers.types import PaymentState
from shop.payments.records import states
from shop.payments.records.models import Payment
from tests.shop_fixtures import Shop

SECONDS = (None, -30, -1, 1, 30)
"""Polled, due and viewed so many seconds from now; None is never."""


def moved(at: datetime, seconds: int | None) -> datetime | None:
    return None if seconds is None else at + timedelta(seconds=seconds)


@pytest.mark.full
def test_a_view_makes_due_what_was_not_just_polled_and_is_predicted_to_change_nothing_else(shop: Shop) -> None:
    order = shop.order()
    payment_id = shop.payment(order).id
    with time_machine.travel(clock.wall(), tick=False):
        at = clock.now()
        for state, requested, due, watched in itertools.product(states.STATES, SECONDS, SECONDS, SECONDS):
            with transaction():
                payment = db.session.get_one(Payment, payment_id)
                payment.state, payment.polled_at = state, moved(at, requested)
                payment.next_check_at, payment.watched_until = moved(at, due), moved(at, watched)
            payment = shop.payment(order)
            predicted = poll.view_changes(payment, at)
            before = (payment.next_check_at, payment.watched_until)
            poll.make_due(order.id, "view")
            payment = shop.payment(order)
            after = (payment.next_check_at, payment.watched_until)
            case = (state, requested, due, watched)
            assert (after != before) == predicted, case
            rested = requested is None or requested <= -2
            expected = due
            if state in (PaymentState.OPEN, PaymentState.AUTHORIZED, PaymentState.UNKNOWN) and due is not None:
                expected = min(due, 0 if rested else 2)
            assert payment.next_check_at == moved(at, expected), case
            if state in states.STILL_OPEN:
                assert payment.watched_until == moved(at, 45 if watched is None or watched < 22.5 else watched), case
    with transaction():
        payment = db.session.get_one(Payment, payment_id)
        payment.state, payment.polled_at, payment.next_check_at = PaymentState.OPEN, None, at
