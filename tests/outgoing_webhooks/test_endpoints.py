"""Endpoints: what can be registered, secrets that are shown once and stored encrypted, and limits."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from shop.core.db import db
from shop.core.errors import Refusal
from shop.outgoing_webhooks import deliver, endpoints
from shop.outgoing_webhooks.kinds import EventType
from tests.outgoing_webhooks.conftest import PAID, Hooking, Receiver
from tests.race_fixtures import Race
from tests.shop_fixtures import PEN

URL = "https://example.com/hooks"


def refused(hooking: Hooking, url: str = URL, types: object = PAID, description: str = "") -> str:
    """The code with which an endpoint is refused."""
    with pytest.raises(Refusal) as refusal:
        endpoints.create(url, description, types, by=hooking.admin)  # type: ignore[arg-type]
    return refusal.value.code


def test_an_endpoint_that_cannot_be_used_is_refused(hooking: Hooking) -> None:
    assert refused(hooking, "https://ada:secret@example.com/") == "bad_url"
    assert refused(hooking, "http://10.0.0.1/") == "bad_url"
    assert refused(hooking, types=["order.created", "order.lost"]) == "bad_event_types"
    assert refused(hooking, types=[]) == "bad_event_types"
    assert refused(hooking, description="x" * 201) == "bad_description"
    assert refused(hooking, description="a\x00b") == "bad_description"
    hooking.shop.app.config["SETTLED_ENV"] = "production"
    assert refused(hooking, "http://example.com/") == "bad_url"
    assert refused(hooking, "https://example.com:22/") == "bad_url"
    assert db.session.scalar(text("SELECT count(*) FROM webhook_endpoints")) == 0
    hooking.shop.app.config["SETTLED_ENV"] = "development"


def test_an_address_has_one_endpoint_until_it_is_deleted(hooking: Hooking) -> None:
    first, _ = endpoints.create(URL, "", PAID, by=hooking.admin)
    assert refused(hooking) == "endpoint_exists"
    endpoints.delete(first, by=hooking.admin)
    second, _ = endpoints.create(URL, "", PAID, by=hooking.admin)
    assert second != first


def test_a_shop_has_a_limited_number_of_endpoints_however_many_are_added_at_once(
    hooking: Hooking, race: Race, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "MOST", 3)
    admin = hooking.admin
    results = race(lambda number: endpoints.create(f"{URL}/{number}", "", PAID, by=admin))
    assert sum(isinstance(result, tuple) for result in results) == 3
    assert {result.code for result in results if isinstance(result, Refusal)} == {"too_many_endpoints"}


def test_secrets_are_stored_encrypted(hooking: Hooking) -> None:
    endpoint, secret = endpoints.create(URL, "", PAID, by=hooking.admin)
    assert secret.startswith("whsec_")
    newer = endpoints.rotate(endpoint, by=hooking.admin, seen=0)
    rows = str(db.session.execute(text("SELECT secret, former_secret FROM webhook_endpoints")).all())
    audit = str(db.session.execute(text('SELECT "before", "after" FROM audit_log')).all())
    for each in (secret, newer):
        assert each not in rows + audit and each.removeprefix("whsec_") not in rows + audit


def test_a_rotation_form_that_is_sent_twice_rotates_once(hooking: Hooking) -> None:
    endpoint, secret = endpoints.create(URL, "", PAID, by=hooking.admin)
    newer = endpoints.rotate(endpoint, by=hooking.admin, seen=0)
    with pytest.raises(Refusal) as refusal:
        endpoints.rotate(endpoint, by=hooking.admin, seen=0)
    assert refusal.value.code == "secret_changed"
    stored = hooking.stored(endpoint)
    assert stored.former_until is not None
    assert endpoints.signing_secrets(stored, stored.created_at) == (newer, secret)


def test_a_secret_whose_key_is_lost_is_a_failure_in_words(
    hooking: Hooking, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = hooking.endpoint(receiver, PAID)
    hooking.shop.paid_order((PEN, 1))
    hooking.publish()
    with monkeypatch.context() as patch:
        patch.setitem(hooking.shop.app.config, "SECRET_KEY", "another key " * 4)
        deliver.run(endpoint)
    assert "cannot be decrypted" in (hooking.delivery().error or "") and receiver.hooks == []


def test_a_changed_endpoint_gets_its_new_types_at_its_new_address(
    hooking: Hooking, receiver: Receiver, other: Receiver
) -> None:
    endpoint = hooking.endpoint(receiver, PAID)
    endpoints.change(endpoint, other.url, "Moved", [EventType.ORDER_CREATED], by=hooking.admin)
    hooking.shop.paid_order((PEN, 1))
    hooking.sweep()
    assert receiver.hooks == [] and other.types == ["order.created"]
