"""Events that are sent again: the id and the body stay the same, whatever has happened since."""

from __future__ import annotations

from datetime import timedelta

import pytest
import standardwebhooks
from sqlalchemy import select

from shop.accounts.permissions import Role
from shop.accounts.rights import Forbidden
from shop.core import audit_search, clock
from shop.core.audit import Act
from shop.core.audit_search import Filters
from shop.core.db import db
from shop.core.errors import BadInput, Refusal
from shop.jobs import retention
from shop.outgoing_webhooks import deliver, endpoints, queries, resend
from shop.outgoing_webhooks.kinds import DeliveryState, EventType
from shop.outgoing_webhooks.models import DeliveryAttempt, OutgoingEvent, WebhookDelivery, WebhookEndpoint
from tests.outgoing_webhooks.conftest import PAID, Answer, Hooking, Receiver
from tests.shop_fixtures import PEN


def test_a_resent_event_has_the_same_id_and_the_same_bytes(hooking: Hooking, receiver: Receiver) -> None:
    endpoint = hooking.endpoint(receiver, [EventType.ORDER_CREATED])
    order = hooking.shop.order((PEN, 1))
    hooking.sweep()
    hooking.shop.cancel(order)
    hooking.turn(minutes=10)
    resend.resend(endpoint, hooking.delivery().id, by=hooking.admin)
    hooking.sweep()
    first, second = receiver.hooks
    assert first.id == second.id and first.body == second.body
    assert second.json["data"]["order"]["state"] == "PENDING", "as it was, not as it is"
    standardwebhooks.Webhook(hooking.secrets[endpoint]).verify(second.body, second.headers)
    assert hooking.deliveries() == [(DeliveryState.DELIVERED, 1)] and len(hooking.attempts()) == 2


def test_a_queued_delivery_is_not_resent_and_a_disabled_endpoint_gets_nothing(
    hooking: Hooking, receiver: Receiver
) -> None:
    endpoint = hooking.endpoint(receiver, PAID)
    receiver.usual = Answer(500)
    hooking.shop.paid_order((PEN, 1))
    hooking.sweep()
    delivery = hooking.delivery().id
    for act, code in (
        (lambda: resend.resend(endpoint, delivery, by=hooking.admin), "delivery_queued"),
        (lambda: resend.resend(endpoint, delivery + 9, by=hooking.admin), "unknown_delivery"),
        (lambda: resend.resend("W0", delivery, by=hooking.admin), "unknown_endpoint"),
    ):
        with pytest.raises(Refusal) as refused:
            act()
        assert refused.value.code == code
    endpoints.disable(endpoint, by=hooking.admin)
    with pytest.raises(Refusal) as refused:
        resend.resend(endpoint, delivery, by=hooking.admin)
    assert refused.value.code == "endpoint_disabled"


def test_what_failed_since_a_time_is_sent_again(hooking: Hooking, receiver: Receiver) -> None:
    endpoint = hooking.endpoint(receiver, PAID)
    receiver.usual = Answer(410)
    hooking.shop.paid_order((PEN, 1))
    hooking.sweep()
    endpoints.enable(endpoint, by=hooking.admin)
    receiver.usual = Answer(204)
    assert resend.resend_failed(endpoint, clock.now(), by=hooking.admin) == 0, "it happened before"
    assert resend.resend_failed(endpoint, clock.now() - timedelta(hours=1), by=hooking.admin) == 1
    hooking.sweep()
    assert len(set(receiver.ids)) == 1 and hooking.deliveries() == [(DeliveryState.DELIVERED, 1)]


def test_a_backfill_sends_each_event_that_an_endpoint_did_not_get_once(hooking: Hooking, receiver: Receiver) -> None:
    hooking.shop.paid_order((PEN, 1))
    hooking.sweep()
    endpoint = hooking.endpoint(receiver, [EventType.ORDER_CREATED, EventType.ORDER_PAID])
    begun = clock.now() - timedelta(days=1)
    listed = [event.event_id for event in queries.events(begun)]
    assert resend.backfill(endpoint, begun, by=hooking.admin) == 2
    assert resend.backfill(endpoint, begun, by=hooking.admin) == 0
    hooking.sweep()
    assert receiver.types == ["order.created", "order.paid"]
    assert receiver.ids == [listed[0], listed[2]]
    with pytest.raises(BadInput) as refused:
        resend.backfill(endpoint, clock.now() - timedelta(days=32), by=hooking.admin)
    assert refused.value.code == "too_long_ago"


def test_events_are_listed_in_pages_without_test_events(hooking: Hooking, receiver: Receiver) -> None:
    resend.test(hooking.endpoint(receiver), by=hooking.admin)
    hooking.shop.paid_order((PEN, 1))
    hooking.sweep()
    since = clock.now() - timedelta(hours=1)
    first = queries.events(since, limit=2)
    rest = queries.events(since, after=(first[-1].occurred_at, first[-1].id), limit=2)
    assert [each.type for each in first + rest] == ["order.created", "payment.captured", "order.paid"]


def test_a_test_event_reaches_an_endpoint_of_any_types(hooking: Hooking, receiver: Receiver) -> None:
    endpoint = hooking.endpoint(receiver, PAID)
    resend.test(endpoint, by=hooking.admin)
    hooking.sweep()
    assert receiver.types == ["endpoint.test"]
    standardwebhooks.Webhook(hooking.secrets[endpoint]).verify(receiver.hooks[0].body, receiver.hooks[0].headers)
    for _ in range(resend.TESTS_WAITING):
        resend.test(endpoint, by=hooking.admin)
    with pytest.raises(Refusal) as refused:
        resend.test(endpoint, by=hooking.admin)
    assert refused.value.code == "tests_wait"


def test_only_admins_act_on_endpoints_and_each_act_is_recorded(hooking: Hooking, receiver: Receiver) -> None:
    finance = hooking.shop.colleague("fin", Role.FINANCE)
    with pytest.raises(Forbidden):
        endpoints.create(receiver.url, "", PAID, by=finance)
    endpoint = hooking.endpoint(receiver, PAID)
    for act in (endpoints.rotate, endpoints.disable, endpoints.enable, resend.test, endpoints.delete):
        with pytest.raises(Forbidden):
            act(endpoint, by=finance)
        act(endpoint, by=hooking.admin)
    acts = {entry.act for entry in audit_search.find(Filters(subject_id=endpoint), limit=20).rows}
    assert acts == {
        *(Act.ENDPOINT_CREATED, Act.ENDPOINT_SECRET_ROTATED, Act.ENDPOINT_DISABLED, Act.ENDPOINT_ENABLED),
        *(Act.ENDPOINT_TESTED, Act.ENDPOINT_DELETED),
    }


def test_events_are_deleted_with_their_deliveries_after_thirty_days(hooking: Hooking, receiver: Receiver) -> None:
    endpoint = hooking.endpoint(receiver, PAID)
    hooking.shop.paid_order((PEN, 1))
    hooking.sweep()
    hooking.turn(days=29)
    retention.sweep()
    assert len(hooking.deliveries()) == 1
    endpoints.delete(endpoint, by=hooking.admin)
    hooking.turn(days=31)
    hooking.shop.paid_order((PEN, 1))  # the newest row of a numbered table is kept
    hooking.sweep()
    retention.sweep()
    assert hooking.deliveries() == [] and hooking.attempts() == []
    assert {event.type for event in db.session.scalars(select(OutgoingEvent))} >= {"order.paid"}
    retention.sweep()
    assert db.session.scalar(select(WebhookEndpoint.id)) is None


def test_a_queued_delivery_keeps_its_event(hooking: Hooking, receiver: Receiver) -> None:
    endpoint = hooking.endpoint(receiver, PAID)
    hooking.shop.paid_order((PEN, 1))
    hooking.sweep()
    hooking.shop.wait(days=31)
    resend.resend(endpoint, hooking.delivery().id, by=hooking.admin)
    hooking.shop.paid_order((PEN, 1))
    hooking.publish()
    retention.sweep()
    assert hooking.shop.count(WebhookDelivery) == 2
    assert deliver.run(endpoint) == 2
    assert hooking.shop.count(DeliveryAttempt) == 3
    hooking.sweep()
