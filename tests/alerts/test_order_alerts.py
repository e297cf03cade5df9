"""Alerts about orders, the whole way: from what an acquirer does to one row and one event."""

from __future__ import annotations

import json
from typing import Any

from shop.alerts import desk
from shop.alerts.models import Alert
from shop.core import outbox, redis
from shop.core.db import db
from shop.orders.models import Order
from shop.payments import refunds, settle, states
from shop.payments.models import Capture
from tests.shop_fixtures import Shop


def alerts(order: Order) -> list[tuple[str, str]]:
    """Rule and state of each alert about the order, oldest first."""
    db.session.rollback()
    return [(alert.rule, alert.state) for alert in desk.of_order(order.id)]


def told(stream: str = outbox.ALERTS) -> list[dict[str, Any]]:
    """The payloads on a stream, as Redis has them."""
    return [json.loads(fields[b"payload"]) for _, fields in redis.client().xrange(stream)]


def test_money_after_expiry_is_rule_c_until_it_has_gone_back(shop: Shop) -> None:
    """Case 11."""
    order = shop.order()
    payment = shop.payment(order)
    shop.turn(minutes=31)
    shop.acquirer.away = True
    shop.acquirer.capture(payment.id)
    shop.hear(payment)
    shop.sweep()
    assert alerts(order) == [("RULE_C", "NEW")]
    shop.acquirer.away = False
    shop.turn(minutes=1)
    shop.sweep()
    assert alerts(order) == [("RULE_C", "RESOLVED")]
    assert [event["ruleId"] for event in told()] == ["RULE_C"]
