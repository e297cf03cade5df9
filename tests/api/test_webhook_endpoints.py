"""Endpoints, deliveries and events by the API, and bodies of all types that fit the schemas of the document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from shop.accounts.permissions import Role
from shop.api import document as openapi
from shop.core import clock
from shop.core.money import Money
from shop.outgoing_webhooks import lanes
from shop.outgoing_webhooks.kinds import EventType
from shop.payments.disputes import disputes
from shop.payments.refunds import requests
from tests.api.conftest import Program, signed_in
from tests.outgoing_webhooks.conftest import Answer, Receiver, receiver
from tests.payments.test_disputes import fact
from tests.shop_fixtures import PEN, Shop
from tools.docs.routes import shop_app

__all__ = ["receiver"]


@pytest.fixture
def admin(shop: Shop) -> Program:
    shop.app.config["RATE_LIMITS"] = False
    return signed_in(shop, Role.ADMIN)


def swept(shop: Shop) -> None:
    shop.sweep()
    lanes.of_process().wait(30)


def added(admin: Program, server: Receiver, *types: str) -> dict[str, Any]:
    body = {"url": server.url, "event_types": list(types) or [str(each) for each in EventType]}
    answer = admin.post("/webhook-endpoints", body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"].endswith(f"/webhook-endpoints/{answer.json['id']}")
    return dict(answer.json)


def test_an_endpoint_is_added_changed_rotated_and_deleted(admin: Program, receiver: Receiver) -> None:
    endpoint = added(admin, receiver)
    path = f"/webhook-endpoints/{endpoint['id']}"
    shown = admin.get(path).json
    assert "secret" not in shown and shown["is_enabled"] and endpoint["secret"].startswith("whsec_")
    assert admin.get("/webhook-endpoints").json == {"items": [shown], "total": 1}
    changed = admin.call("PATCH", path, {"description": "Till", "event_types": ["order.paid"], "is_enabled": False})
    assert changed.json["description"] == "Till" and changed.json["disabled_because"] == "staff"
    assert admin.call("PATCH", path, {"is_enabled": True}).json["is_enabled"]
    rotated = admin.post(f"{path}/rotate-secret", {"rotations": 0})
    assert rotated.json["secret"] not in ("", endpoint["secret"]) and rotated.json["rotations"] == 1
    assert admin.post(f"{path}/rotate-secret", {"rotations": 0}).json["code"] == "secret_changed"
    assert admin.call("DELETE", path).status_code == 204
    assert admin.get(path).json["code"] == "unknown_endpoint"


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        ({"url": "http://10.0.0.1/", "event_types": ["order.paid"]}, 422, "bad_url", "/url"),
        ({"url": "", "event_types": ["order.paid"]}, 422, "invalid", "/url"),
        ({"url": "https://example.com/", "event_types": []}, 422, "invalid", "/event_types"),
        ({"url": "https://example.com/", "event_types": ["order.lost"]}, 422, "invalid", "/event_types/0"),
        ({"url": "https://example.com/", "event_types": ["order.paid"], "x": 1}, 422, "invalid", "/x"),
    ],
)
def test_an_endpoint_that_cannot_be_used_is_a_problem_with_its_field(
    admin: Program, body: dict[str, Any], status: int, code: str, pointer: str
) -> None:
    answer = admin.post("/webhook-endpoints", body)
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert answer.json["errors"][0]["pointer"] == pointer


def test_deliveries_are_listed_with_attempts_and_sent_again(shop: Shop, admin: Program, receiver: Receiver) -> None:
    path = f"/webhook-endpoints/{added(admin, receiver, 'order.paid')['id']}"
    receiver.answers = [Answer(500, b"down")]
    test = admin.post(f"{path}/test")
    assert (test.status_code, test.json["type"]) == (202, "endpoint.test")
    swept(shop)
    shop.paid_order((PEN, 1))
    swept(shop)
    first = admin.get(f"{path}/deliveries?limit=1").json
    assert first["total"] == 2 and first["items"][0]["type"] == "order.paid"
    rest = admin.get(f"{path}/deliveries?limit=1&cursor={first['next_cursor']}").json
    assert [one["id"] for one in rest["items"]] == [test.json["id"]]
    assert admin.get(f"{path}/deliveries?state=QUEUED").json["total"] == 1
    shown = admin.get(f"{path}/deliveries/{test.json['id']}").json
    assert shown["log"][0]["status"] == 500 and shown["log"][0]["answer"] == "down"
    again = admin.post(f"{path}/deliveries/{first['items'][0]['id']}/resend")
    assert (again.status_code, again.json["state"]) == (202, "QUEUED")
    assert admin.post(f"{path}/deliveries/{first['items'][0]['id']}/resend").json["code"] == "delivery_queued"
    swept(shop)
    assert receiver.ids.count(first["items"][0]["event_id"]) == 2
    for wrong in ("state=LOST", "cursor=x", "limit=0", "page=x"):
        assert admin.get(f"{path}/deliveries?{wrong}").status_code == 422, wrong
    assert admin.get(f"{path}/deliveries/99").json["code"] == "unknown_delivery"


def test_all_that_failed_is_sent_again_and_a_new_endpoint_gets_what_it_has_missed(
    shop: Shop, admin: Program, receiver: Receiver
) -> None:
    since = {"since": clock.now().isoformat().replace("+00:00", "Z")}
    shop.paid_order((PEN, 1))
    swept(shop)
    path = f"/webhook-endpoints/{added(admin, receiver, 'order.created', 'order.paid')['id']}"
    assert admin.post(f"{path}/backfill", since).json == {"queued": 2, "is_complete": True}
    assert admin.post(f"{path}/backfill", since).json["queued"] == 0, "a repetition queues nothing twice"
    receiver.usual = Answer(410, b"closed")
    swept(shop)
    assert admin.post(f"{path}/resend-failed", since).json["code"] == "endpoint_disabled"
    admin.call("PATCH", path, {"is_enabled": True})
    receiver.usual = Answer(204)
    failed = admin.get(f"{path}/deliveries?state=FAILED").json["total"]
    again = admin.post(f"{path}/resend-failed", since)
    assert (again.status_code, again.json["queued"]) == (202, failed) and failed
    assert admin.post(f"{path}/resend-failed", since).json["queued"] == 0
    swept(shop)
    assert sorted(set(receiver.types)) == ["order.created", "order.paid"]
    for wrong, code in (({}, "missing"), ({"since": "yesterday"}, "invalid"), ({"since": 5}, "invalid")):
        answer = admin.post(f"{path}/backfill", wrong)
        assert [(one["pointer"], one["code"]) for one in answer.json["errors"]] == [("/since", code)]
    early = admin.post(f"{path}/backfill", {"since": "2020-01-01T00:00:00Z"})
    assert (early.status_code, early.json["code"], early.json["errors"][0]["pointer"]) == (
        422,
        "too_long_ago",
        "/since",
    )


def test_calls_that_queue_many_deliveries_have_a_low_limit(shop: Shop, receiver: Receiver) -> None:
    admin = signed_in(shop, Role.ADMIN)
    path = f"/webhook-endpoints/{added(admin, receiver)['id']}/backfill"
    answer = admin.post(path, {"since": clock.now().isoformat()})
    assert answer.status_code == 202 and answer.headers["RateLimit-Policy"] == '"bulk";q=10;w=60'


def test_events_since_a_time_have_the_bodies_of_the_webhooks(shop: Shop, admin: Program, receiver: Receiver) -> None:
    added(admin, receiver)
    since = clock.now().isoformat().replace("+00:00", "Z")
    shop.paid_order((PEN, 1))
    swept(shop)
    first = admin.get(f"/events?since={since}&limit=2").json
    rest = admin.get(f"/events?since={since}&limit=2&cursor={first['next_cursor']}").json
    assert first["items"] + rest["items"] == [hook.json for hook in receiver.hooks] and "next_cursor" not in rest
    paid = admin.get(f"/events?since={since}&type=order.paid").json["items"]
    assert [event["type"] for event in paid] == ["order.paid"]
    for wrong in (
        "",
        "?since=x",
        "?since=2026-12-01",
        "?since=2026-12-01T00:00:00",
        "?since=0001-01-01T00:00:00%2B14:00",
    ):
        answer = admin.get(f"/events{wrong}")
        assert (answer.status_code, answer.json["code"]) == (422, "invalid"), wrong


def _refunded(shop: Shop) -> None:
    order = shop.paid_order((PEN, 1))
    requests.request(shop.capture(order), Money(100, "TWD"), reason="", by=shop.sam)
    shop.turn(minutes=1)


def _disputed(shop: Shop) -> None:
    order = shop.paid_order((PEN, 1))
    for state in ("OPEN", "LOST"):
        disputes.apply("fakepay", fact(shop, order, state), "webhook")


@pytest.mark.parametrize(
    ("happens", "types"),
    [
        (_refunded, {"order.created", "payment.captured", "order.paid", "refund.succeeded"}),
        (_disputed, {"order.created", "payment.captured", "order.paid", "dispute.opened", "dispute.closed"}),
        (lambda shop: shop.cancel(shop.order((PEN, 1))), {"order.created", "order.cancelled"}),
    ],
)
def test_bodies_fit_the_webhooks_of_the_document(
    shop: Shop, admin: Program, receiver: Receiver, happens: Callable[[Shop], None], types: set[str]
) -> None:
    added(admin, receiver)
    happens(shop)
    swept(shop)
    assert types <= set(receiver.types)
    webhooks = openapi.of(shop_app())["webhooks"]
    for hook in receiver.hooks:
        content = webhooks[hook.json["type"]]["post"]["requestBody"]["content"]["application/json"]
        assert [error.message for error in Draft202012Validator(content["schema"]).iter_errors(hook.json)] == []


def test_every_type_of_event_is_in_the_document() -> None:
    assert set(openapi.of(shop_app())["webhooks"]) == {*EventType, "endpoint.test"}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_cursor_that_no_list_has_given_is_no_error(shop: Shop, admin: Program, receiver: Receiver) -> None:
    path = f"/webhook-endpoints/{added(admin, receiver)['id']}/deliveries"
    assert admin.get(f"{path}?cursor=1000-999999999999999999").json["items"] == []
