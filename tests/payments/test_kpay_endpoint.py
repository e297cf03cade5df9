"""KPay webhooks at the shop's endpoint: invalid ones get a 4xx without effect, valid ones are applied."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from flask import Flask
from flask.testing import FlaskClient

from shop.core.db import db
from shop.payments.providers import registry
from shop.payments.records.models import RefusedWebhook, WebhookEventRow
from shop.payments.webhooks import inbox
from tests.payments.kpay_helpers import (
    OLD_SECRET,
    SECRET,
    SETTINGS,
    a_capture,
    a_payment,
    an_event,
    kpay,
    signed,
)
from tests.shop_fixtures import Shop


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    """The shop's webhook endpoint, with KPay's test settings."""
    app.config.update(SETTINGS)
    with app.app_context():
        registry.all_providers()["kpay"] = kpay(lambda request: httpx.Response(201, json=there(request)))
    return app.test_client()


def there(request: httpx.Request) -> dict[str, Any]:
    """KPay opens every payment."""
    reference = json.loads(request.content)["reference"]
    return a_payment(reference=reference, id=f"pay_{reference}", checkout_url="http://kpay.example/pay")


def test_bad_webhooks_of_every_kind_get_a_4xx_and_change_nothing(shop: Shop, client: FlaskClient) -> None:
    """Case 21."""
    order = shop.order(provider="kpay")
    reference = shop.payment(order).id
    body = an_event(reference=reference, id=f"pay_{reference}")
    good = signed(body)
    attempts: list[tuple[dict[str, str], bytes, set[int]]] = [
        ({}, body, {401}),
        (signed(body, secret=OLD_SECRET), body, {401}),
        (signed(body, at=datetime.now(UTC) - timedelta(minutes=6)), body, {401}),
        (good, body[:-20], {401}),
        (good, body.replace(b"120000", b"120001"), {401}),
        (good, b"\xff\xfe" + body, {401}),
        (good, b"x" * 10_000_000, {413}),
        (good, b"x" * 65_537, {413}),
        (good | {"content-type": "application/x-www-form-urlencoded"}, b"id=evt_1&type=payment.captured", {401}),
        (signed(b"id=evt_1", "evt_1") | {"content-type": "text/plain"}, b"id=evt_1", {400}),
    ]
    for headers, sent, expected in attempts:
        answer = client.post("/webhooks/kpay", headers=headers, data=sent)
        assert answer.status_code in expected, (answer.status_code, sent[:40])
    assert client.get("/webhooks/kpay").status_code == 405
    assert client.post("/webhooks/nopay", headers=good, data=body).status_code == 404
    assert (shop.state(order), shop.captures(order), shop.count(WebhookEventRow)) == ("WAITING_PAYMENT", [], 0)
    assert shop.count(RefusedWebhook) == 8
    assert client.post("/webhooks/kpay", headers=good, data=body).status_code == 200
    assert shop.state(order) == "PAID"


def test_a_webhook_replayed_within_its_time_is_acknowledged_and_changes_nothing(
    shop: Shop, client: FlaskClient
) -> None:
    """Case 21."""
    order = shop.order(provider="kpay")
    body = an_event(reference=shop.payment(order).id, id=f"pay_{shop.payment(order).id}")
    answers = [client.post("/webhooks/kpay", headers=signed(body), data=body) for _ in range(3)]
    assert [(a.status_code, a.text) for a in answers] == [(200, "applied"), (200, "duplicate"), (200, "duplicate")]
    assert shop.captures(order) == ["pays_order"]


def test_an_event_of_an_unknown_kind_is_acknowledged_and_finished(shop: Shop, client: FlaskClient) -> None:
    """Case 8."""
    body = json.dumps({"id": "evt_1", "type": "balance.available", "merchant": "demo", "data": {}}).encode()
    answer = client.post("/webhooks/kpay", headers=signed(body), data=body)
    assert (answer.status_code, answer.text) == (200, "hint")
    db.session.rollback()
    assert db.session.scalars(db.select(WebhookEventRow)).one().due_at is None


@pytest.mark.parametrize("amount", [1, 119999, 120001, 2**31, 10**12])
def test_a_capture_of_any_other_amount_is_booked_and_reviewed(shop: Shop, client: FlaskClient, amount: int) -> None:
    """Case 22, up to the recorded state."""
    order = shop.order(provider="kpay")
    reference = shop.payment(order).id
    body = an_event(reference=reference, id=f"pay_{reference}", captures=[a_capture(amount=amount)])
    assert client.post("/webhooks/kpay", headers=signed(body), data=body).text == "mismatch"
    assert (shop.state(order), shop.captures(order)) == ("WAITING_PAYMENT", ["mismatch"])
    assert shop.order_status(order).key == "review"


@pytest.mark.parametrize("amount", [0, -1, -120000])
def test_a_capture_of_zero_is_rejected_and_nothing_is_booked(shop: Shop, client: FlaskClient, amount: int) -> None:
    order = shop.order(provider="kpay")
    reference = shop.payment(order).id
    body = an_event(reference=reference, id=f"pay_{reference}", captures=[a_capture(amount=amount)])
    assert client.post("/webhooks/kpay", headers=signed(body), data=body).status_code == 400
    assert (shop.state(order), shop.captures(order), shop.count(WebhookEventRow)) == ("WAITING_PAYMENT", [], 0)


def test_a_webhook_that_was_stored_is_applied_although_its_secret_has_changed_since(
    shop: Shop, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = shop.order(provider="kpay")
    body = an_event(reference=shop.payment(order).id, id=f"pay_{shop.payment(order).id}")

    def broken(*_: Any, **__: Any) -> str:
        raise RuntimeError("a mistake of ours")

    with monkeypatch.context() as patch:
        patch.setattr(inbox, "apply_event", broken)
        patch.setattr(inbox, "apply_update", broken)
        assert client.post("/webhooks/kpay", headers=signed(body), data=body).status_code == 200
    registry.all_providers()["kpay"] = kpay(KPAY_WEBHOOK_SECRET=OLD_SECRET)
    shop.turn(seconds=6)
    assert shop.state(order) == "PAID"


def test_no_secret_and_no_signature_is_ever_written_to_the_log(
    shop: Shop, client: FlaskClient, capfd: pytest.CaptureFixture[str]
) -> None:
    body = an_event(reference=shop.payment(shop.order(provider="kpay")).id)
    for secret in (SECRET, OLD_SECRET):
        client.post("/webhooks/kpay", headers=signed(body, secret=secret), data=body)
    message = "".join(capfd.readouterr())
    assert "inbox.refused" in message
    for hidden in (SECRET, SETTINGS["KPAY_API_KEY"], signed(body)["webhook-signature"].partition(",")[2]):
        assert hidden not in message
