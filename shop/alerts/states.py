"""States and severities of alerts. The values are stored and must not change."""

from __future__ import annotations

from enum import StrEnum


class AlertState(StrEnum):
    """State of an alert."""

    NEW = "NEW"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    RESOLVED = "RESOLVED"


class Severity(StrEnum):
    """Severity of an alert; P1 is the highest."""

    P1 = "P1"
    P2 = "P2"
    P3 = "P3"


class MessageKind(StrEnum):
    """Occasion on which people are notified about an alert."""

    RAISED = "raised"
    WAITS = "waits"
    """The cause of the alert has waited for a person over its limit."""
    MORE = "more"
    """Further alerts of the same rule were raised within an hour; the alert is the newest of them."""
