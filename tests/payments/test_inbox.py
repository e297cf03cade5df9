"""Webhook inbox: verified webhooks are stored and retried, others are refused without effect."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from flask import Flask

from shop import create_app
from shop.alerts.models import Alert
from shop.core import clock
from shop.core.db import db, transaction
from shop.orders.models import Order
from shop.payments.polling import poll
from shop.payments.providers import registry
from shop.payments.providers.types import PaymentState
from shop.payments.records.models import Payment, PaymentUpdateRow, RefusedWebhook, WebhookEventRow
from shop.payments.updates import decide, decision
from shop.payments.updates.snapshot import PaymentUpdate, Snapshot
from shop.payments.webhooks import hints, inbox
from tests.fakes import Acquirer, FakePay
from tests.parts.postgres import PostgresServer
from tests.shop_fixtures import PEN, Shop, environ, migrate


def row(shop: Shop) -> WebhookEventRow:
    """The only stored webhook."""
    db.session.rollback()
    return db.session.scalars(db.select(WebhookEventRow)).one()


def refused() -> list[str]:
    db.session.rollback()
    return list(db.session.scalars(db.select(RefusedWebhook.outcome).order_by(RefusedWebhook.id)))


def paid_there(shop: Shop) -> tuple[Order, Payment]:
    order = shop.order((PEN, 1))
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id)
    return order, payment


# --- refused ---


@pytest.mark.parametrize(
    ("headers", "body", "answer", "outcome"),
    [
        ({}, b"{}", 401, "bad_signature"),
        ({"x-signature": "bad"}, b"{}", 401, "bad_signature"),
        ({"x-signature": "good"}, b"", 400, "malformed"),
        ({"x-signature": "good"}, b"{}", 400, "malformed"),
        ({"x-signature": "good"}, b"[]", 400, "malformed"),
        ({"x-signature": "good"}, b"\xff\xfe\x00", 400, "malformed"),
        ({"x-signature": "good"}, b'{"id": ' + b"[" * 5000, 400, "malformed"),
        (
            {"x-signature": "good"},
            b'{"id":"e","reference":"r","state":"SPENT","captures":[],"decline":null}',
            400,
            "malformed",
        ),
    ],
)
def test_forged_and_malformed_webhooks_are_rejected_and_kept_for_inspection(
    shop: Shop, headers: dict[str, str], body: bytes, answer: int, outcome: str
) -> None:
    """Case 21."""
    assert shop.receive(headers, body) == (answer, outcome)
    assert refused() == [outcome]
    assert shop.count(WebhookEventRow) == 0


def test_of_rejected_webhooks_only_the_newest_are_kept(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "REFUSED_KEPT", 3)
    for number in range(8):
        shop.receive({}, b"%d" % number)
    db.session.rollback()
    assert list(db.session.scalars(db.select(RefusedWebhook.body).order_by(RefusedWebhook.id))) == [b"5", b"6", b"7"]


def test_of_hints_that_prove_nothing_only_the_newest_are_kept(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "KEPT_ROWS", 3)
    payment = shop.payment(shop.order())
    for number in range(8):
        shop.deliver_webhook(payment, f"hint-{number}", trust="unsigned")
        shop.turn(seconds=6)
    shop.deliver_webhook(payment, "signed")
    db.session.rollback()
    kept = db.session.scalars(db.select(WebhookEventRow.dedupe_key).order_by(WebhookEventRow.id))
    assert list(kept) == ["hint-5", "hint-6", "hint-7", "signed"]


def test_of_a_large_rejected_webhook_only_the_beginning_is_kept(shop: Shop) -> None:
    shop.receive({"user-agent": "x" * 5000}, b"y" * 60_000)
    db.session.rollback()
    kept = db.session.scalars(db.select(RefusedWebhook)).one()
    assert (len(kept.body), len(kept.headers["user-agent"])) == (4096, 500)


def test_an_event_id_with_another_body_is_rejected_and_the_first_one_is_kept(shop: Shop) -> None:
    order, payment = paid_there(shop)
    assert shop.deliver_webhook(payment, "evt-1") == (200, "applied")
    assert shop.deliver_webhook(payment, "evt-1", state="FAILED", captures=[]) == (409, "key_reused")
    assert (refused(), shop.state(order)) == (["key_reused"], "PAID")


# --- unknown payments ---


@pytest.mark.full
def test_an_orphan_is_retried_with_growing_pauses_and_given_up_after_a_day(
    shop: Shop,
) -> None:
    """Case 7."""
    assert shop.deliver_webhook("P000000000000N0B0DYS") == (200, "orphan")
    pauses = []
    while (due := row(shop).due_at) is not None:
        pauses.append(round((due - clock.now()).total_seconds()))
        shop.turn_to(due)
    assert pauses[:6] == pytest.approx([5, 10, 30, 60, 300, 1800], abs=2)
    assert min(pauses[6:]) >= 1798
    assert 24 * 3600 <= sum(pauses) <= 24.6 * 3600
    assert (row(shop).outcome, row(shop).done_at is not None) == ("orphan", True)


def test_a_webhook_about_a_payment_at_another_provider_changes_no_order(shop: Shop) -> None:
    order, payment = paid_there(shop)
    headers, body = shop.acquirer.webhook(payment.id, "evt-1")
    assert shop.receive(headers, body, "otherpay") == (200, "orphan")
    assert shop.state(order) == "WAITING_PAYMENT"


def test_a_webhook_of_another_merchant_is_finished_at_once(shop: Shop) -> None:
    order, payment = paid_there(shop)
    assert shop.deliver_webhook(payment, merchant="somebody-else") == (200, "foreign")
    assert (row(shop).outcome, row(shop).due_at, shop.captures(order)) == ("foreign", None, [])


@pytest.mark.whole_sweep
def test_an_event_that_names_a_capture_of_another_payment_is_finished_and_alerted(shop: Shop) -> None:
    _, payment = paid_there(shop)
    shop.deliver_webhook(payment)
    order, other = paid_there(shop)
    shop.acquirer.payments[other.id].captures[:] = shop.acquirer.payments[payment.id].captures
    assert shop.deliver_webhook(other, "evt-of-other") == (200, "foreign")
    db.session.rollback()
    kept = db.session.scalars(db.select(WebhookEventRow).where(WebhookEventRow.outcome == "foreign")).one()
    assert (kept.due_at, kept.not_ours) == (None, "another payment of theirs")
    assert shop.deliver_webhook(other, "evt-of-other") == (200, "duplicate")
    assert (shop.state(order), shop.captures(order)) == ("WAITING_PAYMENT", [])
    shop.turn(minutes=1)
    assert [one.rule for one in db.session.scalars(db.select(Alert))] == ["OPS_FOREIGN"]
    shop.is_sound()


def test_a_query_that_names_a_capture_of_another_payment_is_repeated_more_and_more_slowly(shop: Shop) -> None:
    _, payment = paid_there(shop)
    shop.deliver_webhook(payment)
    order, other = paid_there(shop)
    shop.acquirer.payments[other.id].captures[:] = shop.acquirer.payments[payment.id].captures
    shop.make_due(other)
    assert poll.check(other.id) == "foreign"
    assert shop.payment(order).unavailable_since is not None
    shop.turn(minutes=2)
    assert (shop.state(order), shop.captures(order)) == ("WAITING_PAYMENT", [])
    assert shop.acquirer.calls.count(("query", other.id)) < 10
    shop.is_sound()


# --- stored, and not applied yet ---


def breaking(monkeypatch: pytest.MonkeyPatch, *payment_ids: str, times: int = 1) -> Counter[str]:
    """Make applying an update of these payments fail `times` times each."""
    left = Counter(dict.fromkeys(payment_ids, times))
    right = decide.decide

    def broken(seen: Snapshot, update: PaymentUpdate, *arguments: Any) -> decision.Decision:
        if left[update.payment_id] > 0:
            left[update.payment_id] -= 1
            raise RuntimeError("a mistake of ours")
        return right(seen, update, *arguments)

    monkeypatch.setattr(decide, "decide", broken)
    return left


def test_what_was_stored_but_could_not_be_applied_is_acknowledged_and_applied_by_the_sweep(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, payment = paid_there(shop)
    breaking(monkeypatch, payment.id)
    assert shop.deliver_webhook(payment, "evt-1")[0] == 200
    assert (shop.state(order), row(shop).outcome, row(shop).tries) == ("WAITING_PAYMENT", None, 1)
    assert "a mistake of ours" in str(row(shop).error)
    assert shop.deliver_webhook(payment, "evt-1") == (200, "duplicate")
    shop.turn(seconds=6)
    assert (shop.state(order), row(shop).outcome, row(shop).error) == ("PAID", "applied", None)
    assert db.session.scalars(
        db.select(PaymentUpdateRow.webhook_event_id).where(PaymentUpdateRow.source == "webhook")
    ).all() == [row(shop).id]


def test_a_webhook_that_always_fails_stops_no_other_and_is_retried(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [paid_there(shop) for _ in range(4)]
    poisoned = pairs[1][1].id
    breaking(monkeypatch, *[payment.id for _, payment in pairs])
    for _, payment in pairs:
        shop.deliver_webhook(payment)
    left = breaking(monkeypatch, poisoned, times=3)
    shop.turn(seconds=6)
    assert [shop.state(order) for order, _ in pairs].count("PAID") == 3
    while left[poisoned]:
        shop.turn(seconds=30)
    shop.turn(minutes=6)
    assert shop.state(pairs[1][0]) == "PAID"


def test_a_stored_webhook_whose_provider_was_taken_out_waits_and_is_applied_when_it_is_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, payment = paid_there(shop)
    breaking(monkeypatch, payment.id)
    shop.deliver_webhook(payment)
    gone = registry.all_providers().pop("fakepay")
    shop.turn(seconds=6)
    assert "no provider fakepay" in str(row(shop).error)
    registry.all_providers()["fakepay"] = gone
    shop.turn(seconds=31)
    assert shop.state(order) == "PAID"


# --- hints ---


@pytest.mark.parametrize("trust", ["unsigned", "replayable"])
def test_an_unproven_webhook_only_leads_to_a_poll(shop: Shop, trust: str) -> None:
    order, payment = paid_there(shop)
    requested = len(shop.acquirer.calls)
    assert shop.deliver_webhook(payment, trust=trust) == (200, "hint")
    assert (shop.state(order), shop.captures(order)) == ("WAITING_PAYMENT", [])
    assert len(shop.acquirer.calls) == requested, "nobody is asked while the acquirer waits for our answer"
    shop.sweep()
    assert shop.state(order) == "PAID"


def test_an_unproven_false_webhook_leads_to_a_query_and_nothing_else(shop: Shop) -> None:
    order = shop.order()
    payment = shop.payment(order)
    money = [["cap-lie", 120000, "TWD", clock.now().isoformat()]]
    shop.deliver_webhook(payment, trust="unsigned", state="CAPTURED", captures=money)
    shop.sweep()
    assert (shop.state(order), shop.payment(order).state) == ("WAITING_PAYMENT", "OPEN")


def test_hints_lead_to_a_poll_at_most_every_2_s_while_open_and_once_a_minute_afterwards(shop: Shop) -> None:
    order = shop.order()
    payment = shop.payment(order)

    def queries_after_hints(number: int, **apart: float) -> int:
        before = shop.acquirer.calls.count(("query", payment.id))
        for _ in range(number):
            shop.deliver_webhook(payment, trust="unsigned")
            shop.turn(**apart)
        return shop.acquirer.calls.count(("query", payment.id)) - before

    assert queries_after_hints(8, seconds=0.5) in (2, 3)
    shop.acquirer.end(payment.id, PaymentState.FAILED, "declines")
    shop.deliver_webhook(payment)
    with transaction():
        db.session.get_one(Payment, payment.id).next_check_at = None
    assert queries_after_hints(12, seconds=10) in (2, 3)


def test_a_long_hint_that_two_sweeps_apply_at_once_is_finished(shop: Shop) -> None:
    headers, body = shop.acquirer.webhook(shop.payment(shop.order()).id, "evt-long", trust="unsigned")
    shop.receive(headers, json.dumps(json.loads(body) | {"more": "x" * 2000}).encode())
    assert (row(shop).done_at is not None, len(row(shop).body)) == (True, 1024)
    shop.apply(row(shop).id)  # like the second process, which had listed the row before
    assert (row(shop).due_at, row(shop).error) == (None, None)


def test_a_hint_about_an_unknown_payment_is_finished_at_once(shop: Shop) -> None:
    assert shop.deliver_webhook("P000000000000N0B0DYS", trust="unsigned") == (200, "hint")
    assert row(shop).due_at is None


# --- the database is away ---


@pytest.fixture(scope="module")
def shaky(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A PostgreSQL server of this file, which may be stopped, and a shop on it."""
    server = PostgresServer()
    request.addfinalizer(server.close)
    migrate(server.url())
    app = create_app(environ(server.url(), ""), TESTING=True)
    with app.app_context():
        acquirer = app.extensions["test_acquirer"] = Acquirer(clock.now)
        registry.all_providers()["fakepay"] = FakePay(acquirer)
    return server, app


def test_what_cannot_be_stored_is_answered_with_503_and_applied_when_it_comes_again(
    shaky: tuple[PostgresServer, Flask],
) -> None:
    """Case 26, for one webhook."""
    server, app = shaky
    with app.app_context():
        shop = Shop(app)
        order, payment = paid_there(shop)
        headers, body = shop.acquirer.webhook(payment.id, "evt-1")
        db.session.remove()
    server.stop("immediate")
    client = app.test_client()
    away = client.post("/webhooks/fakepay", headers=headers, data=body)
    assert (away.status_code, away.headers["Retry-After"]) == (503, "5")
    assert client.post("/webhooks/fakepay", data=b"forged").status_code == 401, "no need to store what is refused"
    server.start()
    assert client.post("/webhooks/fakepay", headers=headers, data=body).status_code == 200
    with app.app_context():
        assert (shop.state(order), shop.captures(order)) == ("PAID", ["pays_order"])
        shop.is_sound()
