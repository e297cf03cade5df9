"""Deliveries to real receivers: each event arrives signed and once, and a receiver that fails loses none."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
import standardwebhooks
from sqlalchemy import select, text

from shop.alerts.models import Alert
from shop.core import clock
from shop.core.audit_models import AuditEntry
from shop.core.db import db, transaction
from shop.outgoing_webhooks import decide, deliver, endpoints, lanes, send
from shop.outgoing_webhooks.kinds import DeliveryState, DisabledBecause, EventType
from tests.checkout.test_crashes import Killed
from tests.outgoing_webhooks.conftest import PAID, Answer, Hooking, Receiver
from tests.race_fixtures import Race
from tests.shop_fixtures import PEN

ONCE = [(DeliveryState.DELIVERED, 1)]


def test_the_events_of_an_order_arrive_once_signed_and_in_order(hooking: Hooking, receiver: Receiver) -> None:
    endpoint = hooking.endpoint(receiver)
    order = hooking.shop.paid_order((PEN, 2))
    hooking.sweep()
    hooking.turn(minutes=5)
    assert receiver.types == ["order.created", "payment.captured", "order.paid"]
    assert receiver.connections == 1
    for hook in receiver.hooks:
        standardwebhooks.Webhook(hooking.secrets[endpoint]).verify(hook.body, hook.headers)
        assert hook.id == hook.json["id"] and hook.json["data"]["order"]["number"] == order.number
        assert hook.headers["content-type"] == "application/json"
    captured = receiver.hooks[1].json["data"]["payment"]
    assert captured["amount"] == {"amount": order.total_amount, "currency": "TWD"}
    assert order.token not in receiver.hooks[0].body.decode() and order.email not in receiver.hooks[0].body.decode()


def test_an_event_that_is_published_again_is_not_delivered_again(hooking: Hooking, receiver: Receiver) -> None:
    hooking.endpoint(receiver)
    hooking.shop.order((PEN, 1))
    hooking.sweep()
    with transaction():
        db.session.execute(text("UPDATE outbox SET due_at = created_at, published_at = NULL"))
    hooking.sweep()
    assert receiver.types == ["order.created"] and hooking.deliveries() == ONCE


def test_an_endpoint_gets_the_types_that_it_has_chosen(hooking: Hooking, receiver: Receiver, other: Receiver) -> None:
    hooking.endpoint(receiver, PAID)
    hooking.endpoint(other, [EventType.ORDER_CANCELLED])
    hooking.shop.paid_order((PEN, 1))
    hooking.shop.cancel(hooking.shop.order((PEN, 1)))
    hooking.sweep()
    assert receiver.types == ["order.paid"] and other.types == ["order.cancelled"]


def test_a_body_states_the_order_at_the_time_of_the_event(hooking: Hooking, receiver: Receiver) -> None:
    hooking.endpoint(receiver)
    hooking.shop.paid_order((PEN, 1))  # paid before the first event is published
    hooking.sweep()
    states = [hook.json["data"]["order"]["state"] for hook in receiver.hooks]
    assert states == ["PENDING", "WAITING_PAYMENT", "PAID"]


def test_a_receiver_that_fails_gets_the_same_bytes_later(hooking: Hooking, receiver: Receiver) -> None:
    hooking.endpoint(receiver, PAID)
    receiver.answers = [Answer(500, b"no \x00 database"), Answer(503), Answer(404)]
    hooking.shop.paid_order((PEN, 1))
    hooking.sweep()
    for seconds in (6, 36, 144):
        hooking.turn(seconds=seconds)
    assert hooking.deliveries() == [(DeliveryState.DELIVERED, 4)]
    assert len(set(receiver.ids)) == 1 and len({hook.body for hook in receiver.hooks}) == 1
    log = [(one.status, one.error) for one in hooking.attempts()]
    assert log[0] == (500, "The answer was HTTP 500.") and log[3] == (204, None)
    assert hooking.attempts()[0].answer == "no \N{REPLACEMENT CHARACTER} database"


def test_an_answer_that_is_lost_is_an_attempt_that_failed(hooking: Hooking, receiver: Receiver) -> None:
    hooking.endpoint(receiver, PAID)
    receiver.answers = [Answer(0)]
    hooking.shop.paid_order((PEN, 1))
    hooking.sweep()
    assert [one.error for one in hooking.attempts()] == ["The connection ended without a valid answer."]
    hooking.turn(seconds=6)
    assert len(receiver.ids) == 2 and len(set(receiver.ids)) == 1
    assert hooking.deliveries() == [(DeliveryState.DELIVERED, 2)]


def test_a_receiver_that_is_away_is_named_in_words(hooking: Hooking, receiver: Receiver) -> None:
    hooking.endpoint(receiver, PAID)
    receiver.stop()
    hooking.shop.paid_order((PEN, 1))
    hooking.sweep()
    assert [(one.status, one.error) for one in hooking.attempts()] == [(None, "The connection was refused.")]


def test_a_slow_receiver_delays_no_other_one(
    hooking: Hooking, receiver: Receiver, other: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "PATIENCE", 0.2)
    released = threading.Event()
    receiver.usual = Answer(wait=lambda: released.wait(20))
    hooking.endpoint(receiver, PAID)
    hooking.endpoint(other, PAID)
    hooking.shop.paid_order((PEN, 1))
    hooking.shop.sweep()
    assert other.types == ["order.paid"]
    hooking.shop.paid_order((PEN, 1))
    hooking.shop.sweep()
    assert len(other.hooks) == 2 and len(receiver.hooks) == 1, "the slow one is still at its first event"
    released.set()
    lanes.of_process().wait(20)
    hooking.sweep()
    assert len(receiver.hooks) == 2 and {state for state, _ in hooking.deliveries()} == {DeliveryState.DELIVERED}


def test_an_attempt_ends_after_its_seconds(
    hooking: Hooking, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send, "BOUNDS", replace(send.BOUNDS, seconds=0.3))
    released = threading.Event()
    receiver.answers = [Answer(wait=lambda: released.wait(20))]
    hooking.endpoint(receiver, PAID)
    hooking.shop.paid_order((PEN, 1))
    hooking.sweep()
    released.set()
    [attempt] = hooking.attempts()
    assert attempt.error == "No complete answer within 0 seconds." and attempt.ms < 5000


def test_an_answer_is_read_to_a_limit_and_stored_in_part(hooking: Hooking, receiver: Receiver) -> None:
    hooking.endpoint(receiver, PAID)
    receiver.answers = [Answer(200, b"x" * 3_000_000)]
    hooking.shop.paid_order((PEN, 1))
    hooking.sweep()
    assert hooking.deliveries() == ONCE and hooking.attempts()[0].answer == "x" * send.SHOWN


def test_a_redirect_is_not_followed(hooking: Hooking, receiver: Receiver, other: Receiver) -> None:
    hooking.endpoint(receiver, PAID)
    receiver.answers = [Answer(307, headers={"location": other.url})]
    hooking.shop.paid_order((PEN, 1))
    hooking.sweep()
    assert other.hooks == []
    assert hooking.attempts()[0].error == "The answer was HTTP 307. Redirects are not followed."


def test_workers_that_race_send_a_delivery_once(hooking: Hooking, receiver: Receiver, race: Race) -> None:
    endpoint = hooking.endpoint(receiver, PAID)
    hooking.shop.paid_order((PEN, 1))
    hooking.publish()
    results = race(lambda _: deliver.run(endpoint))
    assert sum(results) == 1 and receiver.types == ["order.paid"] and hooking.deliveries() == ONCE


def test_a_worker_that_dies_after_sending_sends_again_with_the_same_id(
    hooking: Hooking, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = hooking.endpoint(receiver, PAID)
    hooking.shop.paid_order((PEN, 1))

    def die(*_: object) -> None:
        raise Killed

    hooking.publish()
    with monkeypatch.context() as patch, suppress(Killed):
        patch.setattr(deliver, "_record", die)
        patch.setattr(deliver, "_leave_lane", die)
        deliver.run(endpoint)
    hooking.sweep()
    assert len(receiver.hooks) == 1, "the lease has not ended"
    hooking.turn(seconds=deliver.LEASE.total_seconds() + 1)
    assert len(receiver.hooks) == 2 and len(set(receiver.ids)) == 1
    assert hooking.deliveries() == [(DeliveryState.DELIVERED, 2)]


def test_both_secrets_sign_for_a_day_after_a_rotation(hooking: Hooking, receiver: Receiver) -> None:
    endpoint = hooking.endpoint(receiver, PAID)
    former, present = hooking.secrets[endpoint], endpoints.rotate(endpoint, by=hooking.admin)
    hooking.shop.paid_order((PEN, 1))
    hooking.sweep()
    hooking.shop.wait(hours=24, minutes=1)
    hooking.shop.paid_order((PEN, 1))
    hooking.sweep()
    first, second = receiver.hooks
    for secret in (former, present):
        standardwebhooks.Webhook(secret).verify(first.body, first.headers)
    standardwebhooks.Webhook(present).verify(second.body, second.headers)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(former).verify(second.body, second.headers)
    assert hooking.stored(endpoint).former_secret is None


def test_an_endpoint_that_fails_for_three_days_is_disabled_with_an_alert_and_an_audit_entry(
    hooking: Hooking, receiver: Receiver
) -> None:
    endpoint = hooking.endpoint(receiver, PAID)
    receiver.usual = Answer(500)
    hooking.shop.paid_order((PEN, 1))
    hooking.sweep()
    while (due := hooking.delivery().next_attempt_at) is not None:
        assert hooking.stored(endpoint).disabled_at is None
        hooking.shop.wait(seconds=max(0.0, (due - clock.now()).total_seconds()))
        hooking.sweep()
    first, last = hooking.attempts()[0].at, hooking.attempts()[-1].at
    assert decide.FAILING_FOR <= last - first <= decide.FAILING_FOR + timedelta(minutes=10)
    assert 12 <= len(receiver.hooks) <= 16
    assert hooking.stored(endpoint).disabled_because is DisabledBecause.FAILING
    assert hooking.deliveries()[0][0] == DeliveryState.FAILED
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.act == "webhook_endpoint.disabled")).one()
    assert (entry.actor, entry.subject_id) == ("automatic", endpoint)
    hooking.turn(minutes=1)
    alert = db.session.scalars(select(Alert).where(Alert.rule == "OPS_ENDPOINT_DISABLED")).one()
    assert alert.state == "NEW" and alert.subject == f"endpoint {endpoint}"
    hooking.shop.paid_order((PEN, 1))
    hooking.turn(minutes=1)
    assert len(hooking.deliveries()) == 1, "a disabled endpoint gets no delivery"
    endpoints.enable(endpoint, by=hooking.admin)
    hooking.turn(minutes=1)
    db.session.refresh(alert)
    assert alert.state == "RESOLVED"


def test_a_success_ends_the_days_of_failure(hooking: Hooking, receiver: Receiver) -> None:
    endpoint = hooking.endpoint(receiver, PAID)
    receiver.answers = [Answer(500)]
    hooking.shop.paid_order((PEN, 1))
    hooking.sweep()
    assert hooking.stored(endpoint).failing_since is not None
    hooking.turn(seconds=6)
    assert hooking.stored(endpoint).failing_since is None


def test_an_endpoint_that_answers_410_is_disabled_at_once(hooking: Hooking, receiver: Receiver) -> None:
    endpoint = hooking.endpoint(receiver)
    receiver.usual = Answer(410)
    hooking.shop.paid_order((PEN, 1))
    hooking.sweep()
    assert hooking.stored(endpoint).disabled_because is DisabledBecause.GONE
    assert len(receiver.hooks) == 1 and {state for state, _ in hooking.deliveries()} == {DeliveryState.FAILED}


def test_a_disabled_or_deleted_endpoint_gets_nothing_that_was_queued(hooking: Hooking, receiver: Receiver) -> None:
    endpoint = hooking.endpoint(receiver, PAID)
    receiver.usual = Answer(500)
    hooking.shop.paid_order((PEN, 1))
    hooking.sweep()
    endpoints.disable(endpoint, by=hooking.admin)
    assert hooking.deliveries() == [(DeliveryState.FAILED, 1)]
    endpoints.delete(endpoint, by=hooking.admin)
    hooking.turn(days=1)
    assert len(receiver.hooks) == 1
    stored = hooking.stored(endpoint)
    assert stored.secret == "" and stored.former_secret is None
