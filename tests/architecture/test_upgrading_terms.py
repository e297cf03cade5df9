"""Migration of a filled database to standard terms: events, payments, allocations, alerts."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask_migrate import downgrade, upgrade

from shop import create_app
from shop.alerts.models import ConditionSchedule
from shop.checkout.models import Cart
from shop.core.db import db
from shop.core.heartbeat import Heartbeat
from shop.core.outbox import OutboxRow
from shop.ledger import chart
from shop.ledger.models import LedgerEntry
from shop.orders.models import OrderEvent
from shop.payments.records.models import Capture, Payment, PaymentUpdateRow, Refund, RefusedWebhook, WebhookEventRow
from shop.payments.records.settlement_models import Dispute, SettlementLineRow
from shop.payments.records.types import Allocation, RefundKind, Source
from shop.payouts.models import Payout
from tests.architecture.old_shops import (
    FLOOD,
    MONEY,
    NOW,
    PRICE,
    TIMES,
    WITH_ALERTS,
    WITH_LEDGER_AND_REFUNDS,
    WITH_OTHER_MONEY,
    alert_of_then,
    everything,
    live,
)
from tests.shop_fixtures import environ


@pytest.mark.full
def test_events_that_wait_in_the_outbox_are_typed_after_the_upgrade(url: str) -> None:
    app = create_app(environ(url, ""), TESTING=True)
    of_order = {"orderId": 4, "orderNo": "TEST-0004-ZV", "seq": 3, "at": NOW.isoformat(), "because": "captured"}
    of_alert = {"alertId": 1, "ruleId": "OPS_ORPHAN", "orderNo": None, "observed": {"receivedAt": "x"}, "expected": {}}
    changed = {"alertId": 1, "ruleId": "OPS_ORPHAN", "orderNo": None, "state": "RESOLVED", "by": "sam", "note": ""}
    waiting = {1: ("orders.events.v1", of_order), 2: ("alerts.operations.v1", of_alert)} | {
        3: ("alerts.changes.v1", changed),
        4: ("alerts.order_payment_inconsistency.v1", of_alert),
    }
    with app.app_context():
        upgrade(revision="0015")
        row = {"kind": "order.moved", "subject": "x", "created_at": NOW, "tries": 0}
        rows = [row | {"id": name, "stream": stream, "payload": message} for name, (stream, message) in waiting.items()]
        values = row | {"id": 5, "stream": "orders.events.v1", "payload": of_order, "published_at": NOW, "due_at": None}
        live(
            db.engine, [("outbox", one | {"due_at": NOW, "published_at": None}) for one in rows] + [("outbox", values)]
        )
        upgrade()
        now = dict(db.session.execute(db.select(OutboxRow.id, OutboxRow.payload)).all())
        db.session.remove()
        assert now[1] == {"schema_version": 1, "order_id": 4, "order_no": "TEST-0004-ZV", "seq": 3} | {
            "at": NOW.isoformat(),
            "because": "captured",
        }
        assert now[2] == {"schema_version": 1, "alert_id": 1, "rule_id": "OPS_ORPHAN", "order_no": None} | {
            "observed": {"received_at": "x"},
            "expected": {},
        }
        assert (now[3]["actor"], "by" in now[3], now[3]["rule_id"]) == ("staff/sam", False, "OPS_ORPHAN")
        assert (now[4], now[5]) == (of_alert, of_order)
        downgrade(revision="0015")
        before = dict(db.session.execute(db.select(OutboxRow.id, OutboxRow.payload)).all())
        assert (before[1], before[2], before[4]) == (of_order, of_alert, of_alert)
        db.session.remove()
        db.engine.dispose()


def events_are_in_standard_terms() -> None:
    """Check the events of order 4, and those that wait in the outbox."""
    values = {
        one.kind: one.data
        for one in db.session.scalars(db.select(OrderEvent).where(OrderEvent.seq > 3, OrderEvent.order_id == 4))
    }
    assert values["payment.captured"] == {"payment": "P4", **MONEY, "allocation": "duplicate"}
    assert values["refund.done"] == {"refund": "R14", **MONEY, "why": "duplicate"}
    payloads = dict(db.session.execute(db.select(OutboxRow.id, OutboxRow.payload)).all())
    assert payloads[101] == {"schema_version": 2, "allocation": "duplicate", **MONEY}
    assert payloads[102] == {"schema_version": 2, "refund": "R14", **MONEY, "why": "duplicate"}
    assert payloads[103] == {"schema_version": 1, "standing": "second", **MONEY}, "published events are not changed"


@pytest.mark.full
def test_payments_are_read_in_standard_terms_after_the_upgrade_and_in_the_old_ones_on_the_way_back(url: str) -> None:
    app = create_app(environ(url, ""), TESTING=True)
    with app.app_context():
        upgrade(revision="0017")
        live(db.engine, WITH_OTHER_MONEY)
        with db.engine.begin() as connection:
            connection.execute(sa.text("UPDATE payments SET asked_at = opened_at, answered_at = opened_at"))
        before = everything(db.engine)
        upgrade()
        read = db.session.scalars
        captures = {one.id: one for one in read(db.select(Capture))}
        assert {number: one.allocation for number, one in captures.items()} == {
            1: Allocation.PAYS_ORDER,
            4: Allocation.PAYS_ORDER,
            5: Allocation.LATE,
            6: Allocation.MISMATCH,
            7: Allocation.PAYS_ORDER,
            14: Allocation.DUPLICATE,
        }
        assert {(one.source, one.received_at) for one in captures.values()} == {(Source.WEBHOOK, NOW)}
        events = {one.id: one for one in read(db.select(WebhookEventRow))}
        assert (events[1].outcome, events[1].body, events[1].headers) == ("applied", b"{}", {"a": "b"})
        assert (events[2].outcome, events[2].received_at) == ("hint", NOW)
        assert [(one.webhook_event_id, one.outcome, one.source) for one in read(db.select(PaymentUpdateRow))] == [
            (1, "applied", Source.WEBHOOK),
            (None, "applied", Source.POLL),
        ]
        assert db.session.get_one(RefusedWebhook, 1).outcome == "bad_signature"
        dispute, payment = db.session.get_one(Dispute, 1), db.session.get_one(Payment, "P1")
        assert (dispute.received_at, dispute.source) == (NOW, Source.WEBHOOK)
        assert (payment.polled_at, payment.answered_at) == (NOW, NOW)
        assert db.session.get_one(Refund, "R14").kind == RefundKind.DUPLICATE
        accounts = set(read(db.select(LedgerEntry.account)))
        assert accounts == {"receivable:kpay", chart.SALES, chart.REFUNDS, chart.UNALLOCATED_FUNDS} | {
            chart.MANUAL_REFUNDS,
            chart.BANK,
            chart.OWNER_PAYOUTS,
        }
        events_are_in_standard_terms()
        db.session.remove()
        downgrade(revision="0017")
        assert everything(db.engine) == before
        upgrade()
        db.engine.dispose()


@pytest.mark.full
@pytest.mark.parametrize("allocation", ["paid", "second", "unheard", None])
def test_an_allocation_that_is_none_is_refused_by_a_database_that_was_upgraded(
    url: str, allocation: str | None
) -> None:
    app = create_app(environ(url, ""), TESTING=True)
    with app.app_context():
        upgrade(revision="0017")
        live(db.engine, WITH_LEDGER_AND_REFUNDS)
        upgrade()
        change = sa.text("UPDATE captures SET allocation = :allocation").bindparams(allocation=allocation)
        with pytest.raises(sa.exc.IntegrityError), db.engine.begin() as connection:
            connection.execute(change)
        with pytest.raises(sa.exc.IntegrityError), db.engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM captures"))  # its refunds refer to it
        db.engine.dispose()


@pytest.mark.full
def test_a_capture_without_an_allocation_pays_for_nothing_after_the_upgrade(url: str) -> None:
    app = create_app(environ(url, ""), TESTING=True)
    with app.app_context():
        upgrade(revision="0017")
        live(db.engine, WITH_LEDGER_AND_REFUNDS)
        upgrade(revision="0018")
        with db.engine.begin() as connection:
            connection.execute(sa.text("UPDATE captures SET allocation = NULL WHERE id = 1"))
        upgrade()
        captures = {one.id: one.allocation for one in db.session.scalars(db.select(Capture))}
        assert captures == {1: Allocation.MISMATCH, 4: Allocation.PAYS_ORDER}
        db.session.remove()
        db.engine.dispose()


@pytest.mark.full
def test_alerts_and_what_they_are_about_are_read_in_standard_terms_after_the_upgrade(url: str) -> None:
    app = create_app(environ(url, ""), TESTING=True)
    with app.app_context():
        upgrade(revision="0021")
        live(db.engine, WITH_ALERTS)
        before = everything(db.engine)
        upgrade(revision="0022")
        lines = db.session.scalars(db.select(SettlementLineRow)).all()
        assert [(one.line_id, one.amount, one.booked_at) for one in lines] == [("line-1", PRICE, NOW)]
        payout = db.session.get_one(Payout, "X1")
        assert (str(payout.requested_by), payout.requested_at) == ("staff/ada", NOW)
        assert db.session.get_one(Heartbeat, "clock").at == NOW
        assert db.session.get_one(ConditionSchedule, "malformed").due_at == NOW
        assert db.session.get_one(Cart, "C1").last_form_id == "form-1"
        alerts = {number: alert_of_then(number) for number in (1, 2, 3, 4)}
        assert {number: one.cause for number, one in alerts.items()} == {
            1: "webhook_event 17",
            2: "refused_webhook 17",
            3: "episode 1",
            4: "payment P1",
        }
        assert (alerts[3].observed, alerts[3].expected) == ({**TIMES, "webhook_events": 3}, {"webhook_events": 0})
        payloads = dict(db.session.execute(db.select(OutboxRow.id, OutboxRow.payload)).all())
        assert (payloads[1]["observed"], payloads[1]["expected"]) == (alerts[3].observed, alerts[3].expected)
        assert payloads[2] == FLOOD, "published events are not changed"
        db.session.remove()
        with pytest.raises(sa.exc.IntegrityError), db.engine.begin() as connection:
            connection.execute(sa.text("UPDATE settlement_lines SET fact = 'none'"))
        downgrade(revision="0021")
        assert everything(db.engine) == before
        upgrade()
        db.engine.dispose()
