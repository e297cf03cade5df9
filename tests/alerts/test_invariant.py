"""Invariants 5 and 7: stuck work has an alert, and each unallocated capture has its own, once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from shop.core import outbox
from shop.core.db import db, transaction
from shop.jobs import effects
from shop.payments.providers.types import PaymentState
from shop.payments.webhooks import inbox
from tests.alerts.test_operations import poison
from tests.integrity.broken import broken
from tests.shop_fixtures import Shop


@pytest.fixture
def alerted(app: Flask) -> Iterator[Shop]:
    """A shop with a late capture, a duplicate one, and a wrong amount for another order. It may end in any state."""
    with app.app_context():
        shop = Shop(app)
        late, wrong = shop.order(), shop.order()
        shop.acquirer.capture(shop.payment(wrong).id, money=shop.price(currency="JPY"))
        shop.deliver_webhook(shop.payment(wrong))
        shop.turn(minutes=31)
        shop.acquirer.capture(shop.payment(late).id)
        shop.deliver_webhook(shop.payment(late))
        shop.turn(minutes=2)
        yield shop


def test_a_shop_with_alerts_violates_no_invariant(alerted: Shop) -> None:
    assert broken() == set()


@pytest.mark.full
@pytest.mark.parametrize(
    "corruption",
    [
        "DELETE FROM alerts WHERE rule = 'RULE_C'",
        "DELETE FROM alerts WHERE rule = 'RULE_E'",
        "UPDATE alerts SET rule = 'RULE_D'",
        "INSERT INTO alerts (rule, severity, subject, cause, order_id, observed, expected, source, detected_at, state) "
        "SELECT rule, severity, 'another', cause, order_id, observed, expected, source, detected_at, state FROM alerts",
    ],
    ids=["late without", "wrong without", "of another rule", "twice"],
)
def test_money_that_pays_nothing_and_has_no_alert_or_two_is_found(alerted: Shop, corruption: str) -> None:
    with transaction():
        db.session.execute(db.text(corruption))
    assert broken() == {"7 alerts"}


def test_an_order_that_is_not_watched_is_found(alerted: Shop) -> None:
    order = alerted.order()
    alerted.acquirer.capture(alerted.payment(order).id)
    alerted.deliver_webhook(alerted.payment(order))
    outbox.relay(effects.follow)
    with transaction():
        db.session.execute(db.text("UPDATE payments SET next_check_at = NULL"))
    assert broken() == set()
    alerted.wait(minutes=3)
    assert "5 accepted work" in broken()


def test_a_webhook_that_cannot_be_applied_is_no_finding_while_it_has_an_alert(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(inbox, "apply_event", poison)
        patch.setattr(inbox, "apply_update", poison)
        shop.deliver_webhook(shop.payment(shop.order()), state=PaymentState.OPEN)
        shop.turn(minutes=8)
        assert broken() == set()
        with transaction():
            db.session.execute(db.text("DELETE FROM alerts"))
        assert broken() == {"5 accepted work"}
    shop.turn(hours=1)
