"""Migration of a filled database: the names of people and programs become actors, and actors become accounts."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask_migrate import downgrade, upgrade

from shop import create_app
from shop.accounts import staff
from shop.core.actor import Actor, ActorKind
from shop.core.db import db
from shop.orders.models import OrderEvent
from shop.payments.records.models import Refund
from shop.payouts.models import Payout
from tests.architecture.old_shops import NOW, REFUND, WITH_LEDGER_AND_REFUNDS, Rows, alert_of_then, live
from tests.shop_fixtures import environ


def a_payout(requester: str, decider: str) -> Rows:
    payout = {"id": "X1", "currency": "TWD", "amount": 1, "state": "APPROVED", "asked_at": NOW, "note": ""}
    return [("payouts", payout | {"asked_by": requester, "decided_by": decider, "decided_at": NOW})]


def an_alert(**people: str) -> Rows:
    alert = {"rule": "RULE_C", "severity": "P1", "subject": "x", "observed": {}, "expected": {}, "source": "poll"}
    return [("alerts", alert | {"id": 1, "cause": "capture 1", "detected_at": NOW, "state": "RESOLVED"} | people)]


def name_actors(actors: dict[int, str]) -> None:
    """Write these actors into the events of every order, by the number of the event."""
    change = sa.text("UPDATE order_events SET actor = :actor WHERE seq = :seq")
    with db.engine.begin() as connection:
        connection.execute(change, [{"seq": seq, "actor": actor} for seq, actor in actors.items()])


@pytest.mark.full
def test_who_did_something_is_an_actor_after_the_upgrade_and_stays_readable(url: str) -> None:
    app = create_app(environ(url, ""), TESTING=True)
    requested = {"R5": "settle", "R6": "kpay", "R7": "Kim"}
    with app.app_context():
        upgrade(revision="0014")
        live(db.engine, WITH_LEDGER_AND_REFUNDS)
        refund = REFUND | {"destination": "provider", "amount": 1}
        more = {"R5": {"kind": "late"}, "R6": {"kind": "outside"}, "R7": {"approved_by": "Lee", "needs_two": True}}
        live(
            db.engine,
            [("refunds", refund | {"id": name, "asked_by": requested[name]} | more[name]) for name in requested],
        )
        live(db.engine, a_payout("ada", "kim"))
        live(db.engine, an_alert(acknowledged_by="ada", resolved_by="watch"))
        name_actors({1: "buyer", 2: "settlement file", 4: "Ada"})
        upgrade()
        actors = db.session.execute(db.select(OrderEvent.seq, OrderEvent.actor).where(OrderEvent.order_id == 4))
        assert {seq: str(actor) for seq, actor in actors} == {
            1: "customer",
            2: "settlement file",
            3: "webhook",
            4: "staff/Ada",
        }
        found = {
            refund.id: (str(refund.requested_by), refund.approved_by and str(refund.approved_by))
            for refund in db.session.scalars(db.select(Refund))
        }
        assert found == {
            "R4": ("staff/ada", None),
            "R5": ("automatic", None),
            "R6": ("acquirer/kpay", None),
            "R7": ("staff/Kim", "staff/Lee"),
        }
        paid_out, alert_row = db.session.get_one(Payout, "X1"), alert_of_then(1)
        assert (paid_out.requested_by, paid_out.decided_by) == (
            Actor(ActorKind.STAFF, name="ada"),
            Actor(ActorKind.STAFF, name="kim"),
        )
        assert (alert_row.acknowledged_by, alert_row.resolved_by) == (
            Actor(ActorKind.STAFF, name="ada"),
            Actor(ActorKind.WATCHER),
        )
        assert staff.label(paid_out.requested_by) == "ada"
        db.session.remove()
        downgrade(revision="0014")
        with db.engine.connect() as connection:
            before = connection.execute(sa.text("SELECT id, asked_by FROM refunds ORDER BY id")).all()
        assert [tuple(row) for row in before] == [("R4", "ada"), *requested.items()]
        db.engine.dispose()


@pytest.mark.full
def test_the_e_mail_of_a_member_of_staff_is_that_account_after_the_upgrade(url: str) -> None:
    """Other names stay readable, and so does the second name of one person: the database tells two people apart."""
    app = create_app(environ(url, ""), TESTING=True)
    asked_and_approved = {
        "R5": ("staff/ada@example.com", "staff/Kim@Example.com"),
        "R6": ("staff/ada@example.com", "staff/ADA@example.com"),
        "R7": ("staff/may@example.com", "staff:2"),
        "R8": ("sam", "staff:2"),
        "R9": ("automatic", None),
    }
    person = {"name": "x", "password_hash": "x", "created_at": NOW}
    roles = {1: ("ada@example.com", ["finance"]), 2: ("kim@example.com", ["finance"]), 3: ("may@example.com", [])}
    with app.app_context():
        upgrade(revision="0014")
        live(db.engine, WITH_LEDGER_AND_REFUNDS)
        live(db.engine, [("users", person | {"id": n, "email": e, "roles": r}) for n, (e, r) in roles.items()])
        upgrade(revision="0016")
        refund = REFUND | {"destination": "provider", "amount": 1}
        both = {name: {"asked_by": a, "approved_by": b} for name, (a, b) in asked_and_approved.items()}
        live(db.engine, [("refunds", refund | {"id": name} | both[name]) for name in both])
        live(db.engine, a_payout("staff/Ada@example.com", "staff/ada@example.com"))
        live(db.engine, an_alert(acknowledged_by="staff/kim@example.com", resolved_by="watcher"))
        name_actors({2: "staff/kim@example.com"})
        upgrade()
        with db.engine.connect() as connection:
            rows = connection.execute(
                sa.text("SELECT id, requested_by, approved_by FROM refunds WHERE id <> 'R4'")
            ).all()
            events = connection.scalars(sa.text("SELECT actor FROM order_events WHERE order_id = 4 ORDER BY seq")).all()
            paid_out = connection.execute(sa.text("SELECT requested_by, decided_by FROM payouts")).one()
            alerts = connection.execute(sa.text("SELECT acknowledged_by, resolved_by FROM alerts")).one()
        assert {row[0]: (row[1], row[2]) for row in rows} == {
            "R5": ("staff:1", "staff:2"),
            "R6": ("staff:1", "staff/ADA@example.com"),
            "R7": ("staff/may@example.com", "staff:2"),
            "R8": ("staff/sam", "staff:2"),
            "R9": ("automatic", None),
        }
        assert events == ["webhook", "staff:2", "webhook", "webhook"]
        assert tuple(paid_out) == ("staff:1", "staff/ada@example.com")
        assert tuple(alerts) == ("staff:2", "watcher")
        assert staff.label(Actor.staff(2)) == "kim@example.com"
        db.session.remove()
        with pytest.raises(sa.exc.IntegrityError), db.engine.begin() as connection:
            connection.execute(sa.text("UPDATE refunds SET approved_by = 'staff:1' WHERE id = 'R5'"))
        downgrade(revision="0016")
        upgrade()
        db.engine.dispose()
