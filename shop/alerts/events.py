"""Typed events of the alert streams."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from shop.core.event_types import Event, EventKind, Stream

_CAPITAL = re.compile("(?<=[a-z])(?=[A-Z])")


def _in_snake_case(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a rule, which are stored under the keys of the published stream."""
    return {_CAPITAL.sub("_", name).lower(): value for name, value in values.items()}


@dataclass(frozen=True)
class AlertRaised(Event):
    """An operational alert was raised. `order_no` is None unless it is about one order."""

    KIND = EventKind.ALERT_RAISED
    STREAM = Stream.OPERATIONS

    alert_id: int
    rule_id: str
    severity: str
    order_no: str | None
    observed: dict[str, Any]
    expected: dict[str, Any]
    detected_at: str
    source: str

    def payload(self) -> dict[str, Any]:
        values = super().payload()
        return values | {name: _in_snake_case(values[name]) for name in ("observed", "expected")}


@dataclass(frozen=True)
class InconsistencyRaised(AlertRaised):
    """An alert about the payment of an order was raised. The keys of this stream are published: they are in camelCase,
    and there is no schema version.
    """

    STREAM = Stream.ALERTS

    def payload(self) -> dict[str, Any]:
        return {
            "alertId": self.alert_id,
            "ruleId": self.rule_id,
            "severity": self.severity,
            "orderNo": self.order_no,
            "observed": self.observed,
            "expected": self.expected,
            "detectedAt": self.detected_at,
            "source": self.source,
        }


@dataclass(frozen=True)
class AlertChanged(Event):
    """An alert was acknowledged or resolved by `actor`, in the text form of an actor."""

    STREAM = Stream.ALERT_CHANGES

    alert_id: int
    rule_id: str
    order_no: str | None
    state: str
    actor: str
    note: str
    at: str


@dataclass(frozen=True)
class AlertAcknowledged(AlertChanged):
    KIND = EventKind.ALERT_ACKNOWLEDGED


@dataclass(frozen=True)
class AlertResolved(AlertChanged):
    KIND = EventKind.ALERT_RESOLVED


@dataclass(frozen=True)
class AlertWaits(Event):
    """The cause of an alert has waited for a person over its limit, since `since`."""

    KIND = EventKind.ALERT_WAITS
    STREAM = Stream.ALERT_CHANGES

    alert_id: int
    rule_id: str
    order_no: str | None
    since: str
    at: str
