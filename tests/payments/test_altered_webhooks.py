"""Altered webhooks: dry runs of an edited body write nothing, and only a development shop applies one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shop.accounts.rights import Forbidden
from shop.core.actor import Actor
from shop.core.audit import Act
from shop.core.audit_search import Filters, find
from shop.core.db import db
from shop.core.errors import Refusal
from shop.orders.models import Order
from shop.payments.providers.types import Outcome
from shop.payments.records.models import Capture, PaymentUpdateRow, RefusedWebhook, WebhookEventRow
from shop.payments.webhooks import altered
from tests.ops.conftest import visitor_as
from tests.parts.statements import everything
from tests.payments.outside_refunds import refund_there, reported_by_webhook
from tests.shop_fixtures import PRICES, Shop

PRICE = PRICES["TEST-KETTLE"]["TWD"]


def waiting(shop: Shop, trust: str = "signed") -> tuple[Order, str, dict[str, Any]]:
    """An order that waits for payment, and the key and body of a webhook about it that changed nothing."""
    order = shop.order()
    shop.deliver_webhook(shop.payment(order), "evt-1", trust=trust)
    db.session.rollback()
    row = db.session.scalars(db.select(WebhookEventRow)).one()
    body = json.loads(row.body)
    db.session.rollback()
    return order, str(row.id), body


def captured(body: dict[str, Any], amount: int = PRICE) -> str:
    """The body, edited so that it reports a capture."""
    return json.dumps(body | {"state": "CAPTURED", "captures": [["cap-1", amount, "TWD", "2026-01-02T03:04:05+00:00"]]})


@pytest.fixture
def admin(shop: Shop) -> Actor:
    return shop.staff("boss", role="admin")[0]  # type: ignore[arg-type]


def test_a_dry_run_shows_what_an_edited_event_would_change_and_writes_nothing(shop: Shop) -> None:
    order, key, body = waiting(shop)
    before = everything()
    [result] = altered.try_altered(key, captured(body))
    assert (result.outcome, result.payment, result.summary) == ("applied", body["reference"], "payment captured")
    assert "Order: WAITING_PAYMENT → PAID (captured)" in result.changes
    assert any(change.startswith("Capture cap-1 of ") and "pays order" in change for change in result.changes)
    assert everything() == before and shop.state(order) == "WAITING_PAYMENT"
    shop.is_sound()


def test_a_dry_run_names_the_reasons_of_an_event_that_changes_nothing(shop: Shop) -> None:
    shop.paid_order()
    db.session.rollback()
    [row] = db.session.scalars(db.select(WebhookEventRow)).all()
    key, body = str(row.id), json.loads(row.body)
    [known] = altered.try_altered(key, json.dumps(body))
    assert known.outcome == "duplicate" and all("next check at" in change for change in known.changes)
    [backwards] = altered.try_altered(key, json.dumps(body | {"state": "FAILED", "captures": []}))
    assert backwards.outcome in ("stale", "illegal") and backwards.reasons
    assert all("next check at" in change for change in backwards.changes)
    [unknown] = altered.try_altered(key, json.dumps(body | {"reference": "P000000000000N0B0DYS"}))
    [others] = altered.try_altered(key, json.dumps(body | {"merchant": "another"}))
    assert (unknown.outcome, others.outcome) == ("orphan", "foreign")


def test_a_dry_run_of_a_refund_shows_its_changes_too(shop: Shop) -> None:
    order = shop.paid_order()
    refund = refund_there(shop, order, 30)
    headers, body = shop.acquirer.refund_webhook(refund, "evt-r")
    db.session.rollback()
    key, before = str(db.session.scalars(db.select(WebhookEventRow.id)).one()), everything()
    [result] = altered.try_altered(key, body.decode())
    assert result.outcome == "applied" and any("Journal refund" in change for change in result.changes)
    assert everything() == before
    reported_by_webhook(shop, refund, "evt-r")
    [again] = altered.try_altered(key, body.decode())
    assert (again.outcome, again.changes) == ("duplicate", ())
    shop.is_sound()


@pytest.mark.parametrize("trust", ["unsigned", "replayable", "hint"])
def test_an_unverified_body_never_becomes_a_verified_one(shop: Shop, admin: Actor, trust: str) -> None:
    """Not even one that claims to be signed."""
    order, key, body = waiting(shop, trust)
    edited = json.dumps(json.loads(captured(body)) | {"trust": "signed"})
    assert [(one.outcome, one.changes) for one in altered.try_altered(key, edited)] == [("hint", ())]
    with pytest.raises(Refusal) as refusal:
        altered.apply_altered(key, edited, by=admin, reason="try")
    assert (refusal.value.code, shop.state(order), shop.count(Capture)) == ("nothing_applied", "WAITING_PAYMENT", 0)


def test_a_refused_webhook_is_neither_tried_nor_applied(shop: Shop, admin: Actor) -> None:
    order = shop.order()
    headers, body = shop.acquirer.webhook(shop.payment(order).id, "evt-1")
    shop.receive({"x-signature": "bad"}, body)
    key = f"refused-{db.session.scalars(db.select(RefusedWebhook.id)).one()}"
    for call in (
        lambda: altered.try_altered(key, captured(json.loads(body))),
        lambda: altered.apply_altered(key, captured(json.loads(body)), by=admin, reason="try"),
    ):
        with pytest.raises(Refusal) as refusal:
            call()  # type: ignore[no-untyped-call]
        assert refusal.value.code == "webhook_refused"
    assert shop.state(order) == "WAITING_PAYMENT"


def test_an_edited_event_is_applied_as_staff_in_development_and_audited(shop: Shop, admin: Actor) -> None:
    order, key, body = waiting(shop)
    stored = db.session.get_one(WebhookEventRow, int(key)).body
    assert altered.apply_altered(key, captured(body), by=admin, reason="a demo") == Outcome.APPLIED
    assert (shop.state(order), shop.captures(order)) == ("PAID", ["pays_order"])
    update = db.session.scalars(db.select(PaymentUpdateRow).order_by(PaymentUpdateRow.id.desc())).first()
    assert update and (update.source, update.webhook_event_id) == ("staff", None)
    [entry] = find(Filters(acts=[Act.EDITED_WEBHOOK_APPLIED])).rows
    assert (entry.actor, entry.subject_id, entry.reason) == (str(admin), key, "a demo")
    assert entry.before and entry.after and entry.before["body_hash"] != entry.after["body_hash"]
    db.session.rollback()
    row = db.session.get_one(WebhookEventRow, int(key), populate_existing=True)
    assert (row.body, shop.count(WebhookEventRow)) == (stored, 1)
    with pytest.raises(Refusal, match="The outcome of the edited event is: duplicate"):
        altered.apply_altered(key, captured(body), by=admin, reason="again")
    shop.is_sound()


def test_an_edited_event_is_not_applied_outside_of_development(shop: Shop, admin: Actor) -> None:
    order, key, body = waiting(shop)
    shop.app.config["SETTLED_ENV"] = "production"
    with pytest.raises(Refusal) as refusal:
        altered.apply_altered(key, captured(body), by=admin, reason="a demo")
    assert (refusal.value.code, refusal.value.status) == ("development_only", 403)
    assert (shop.state(order), shop.count(Capture)) == ("WAITING_PAYMENT", 0)


def test_an_edited_event_needs_the_permission_and_a_reason(shop: Shop, admin: Actor) -> None:
    order, key, body = waiting(shop)
    with pytest.raises(Forbidden):
        altered.apply_altered(key, captured(body), by=shop.sam, reason="a demo")
    with pytest.raises(Refusal, match="Enter a reason"):
        altered.apply_altered(key, captured(body), by=admin, reason=" ")
    assert shop.state(order) == "WAITING_PAYMENT"


@pytest.mark.parametrize("body", ["", "{", "[]", "null", "\x00", '{"id": 1}', "[" * 5000, "é\ud800", "x" * 70_000])
def test_a_body_that_cannot_be_read_is_refused(shop: Shop, body: str) -> None:
    _, key, _ = waiting(shop)
    with pytest.raises(Refusal) as refusal:
        altered.try_altered(key, body)
    assert (refusal.value.code, refusal.value.status) == ("bad_body", 422)


# --- pages ---


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_page_tries_an_edited_body_and_keeps_it(shop: Shop) -> None:
    order, key, body = waiting(shop)
    support = visitor_as(shop, "support")
    assert ">Try altered</button>" in support.get(f"/ops/webhooks/{key}").text
    assert "evt-1" in support.get(f"/ops/webhooks/{key}/altered").text
    answer = support.post(f"/ops/webhooks/{key}/altered", {"body": captured(body)})
    assert answer.status_code == 200 and "Result of the dry run" in answer.text and "→ PAID" in answer.text
    assert "cap-1" in answer.text and ">Apply</button>" not in answer.text
    wrong = support.post(f"/ops/webhooks/{key}/altered", {"body": '{"id":'})
    assert wrong.status_code == 422 and "cannot be read as a webhook of fakepay" in wrong.text
    assert support.post(f"/ops/webhooks/{key}/altered/apply", {"body": captured(body)}).status_code == 403
    assert support.get("/ops/webhooks/4711/altered").status_code == 404
    assert shop.state(order) == "WAITING_PAYMENT"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_admin_of_a_development_shop_applies_an_edited_event_from_the_page(shop: Shop) -> None:
    order, key, body = waiting(shop)
    admin, path = visitor_as(shop, "admin"), f"/ops/webhooks/{key}/altered"
    admin.get(path)
    assert ">Apply</button>" in admin.post(path, {"body": captured(body)}).text
    again = admin.post(f"{path}/apply", {"body": captured(body), "reason": ""})
    assert again.status_code == 422 and "Enter a reason." in again.text
    assert admin.post(f"{path}/apply", {"body": captured(body), "reason": "a demo"}).status_code == 303
    assert shop.state(order) == "PAID"
    assert "a demo" in admin.get(f"/ops/webhooks/{key}").text


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_page_of_another_shop_offers_no_application(shop: Shop) -> None:
    _, key, body = waiting(shop)
    admin, path = visitor_as(shop, "admin"), f"/ops/webhooks/{key}/altered"
    shop.app.config.update(SETTLED_ENV="production", STAFF_SECOND_FACTOR="optional")
    admin.get(path)
    assert ">Apply</button>" not in admin.post(path, {"body": captured(body)}).text
    assert admin.post(f"{path}/apply", {"body": captured(body), "reason": "a demo"}).status_code == 403
