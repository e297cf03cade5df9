"""Shared steps of the tests of alerts."""

from __future__ import annotations

import json
from typing import Any

from shop.alerts import store
from shop.alerts.models import Alert
from shop.core import redis
from shop.core.db import db
from shop.core.event_types import Stream
from shop.orders.models import Order


def of(order: Order) -> list[tuple[str, str]]:
    """Rule and state of each alert about the order, oldest first."""
    db.session.rollback()
    return [(alert.rule, alert.state) for alert in store.of_order(order.id)]


def all_alerts() -> list[Alert]:
    db.session.rollback()
    return list(db.session.scalars(db.select(Alert).order_by(Alert.id)))


def operational() -> list[tuple[str, str, str]]:
    """Rule, subject and state of each operational alert, oldest first."""
    return [(alert.rule, alert.subject, alert.state) for alert in all_alerts() if alert.rule.startswith("OPS_")]


def published(stream: str = Stream.ALERTS) -> list[dict[str, Any]]:
    """The payloads on a stream in Redis."""
    return [json.loads(fields[b"payload"]) for _, fields in redis.client().xrange(stream)]
