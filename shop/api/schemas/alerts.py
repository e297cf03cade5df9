"""Alerts: bodies of requests, parameters and answers."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from shop.alerts.models import Alert
from shop.alerts.rules import RULES
from shop.alerts.states import AlertState, Severity
from shop.api.schemas.fields import Line, OneOf, QueryNumber, Strict, Time, changed_schema
from shop.api.schemas.pages import PageQuery, page_schema
from shop.api.schemas.times import stamp
from shop.core import reasons


class AlertQuery(PageQuery):
    """Filters of alerts."""

    state = OneOf("OPEN", *AlertState, metadata={"description": "`OPEN`: not resolved."})
    severity = OneOf(*Severity, metadata={"description": "Alerts of this severity."})
    rule = OneOf(*RULES, metadata={"description": "Alerts of this rule."})
    order_id = QueryNumber(validate=validate.Range(1), metadata={"description": "Alerts about this order."})


class AcknowledgeSchema(Strict):
    """A note of the person who takes care of the alert."""

    note = Line(reasons.LONGEST, load_default="")


class ResolveSchema(Strict):
    """Note on what was found and done."""

    note = Line(reasons.LONGEST, required=True, metadata={"example": "Refunded the second payment"})


class AlertSchema(Strict):
    """An alert. `observed` and `expected` are values at its detection, amounts in minor units."""

    id = fields.Integer(required=True)
    rule = OneOf(*RULES, required=True)
    title = fields.String(required=True)
    severity = OneOf(*Severity, required=True)
    state = OneOf(*AlertState, required=True)
    subject = fields.String(required=True)
    order_id = fields.Integer(required=True, allow_none=True)
    order_number = fields.String(required=True, allow_none=True)
    observed = fields.Dict(keys=fields.String(), required=True)
    expected = fields.Dict(keys=fields.String(), required=True)
    source = fields.String(required=True)
    detected_at = Time(required=True)
    acknowledged_at = Time(required=True, allow_none=True)
    acknowledged_by = fields.String(required=True, allow_none=True)
    acknowledged_note = fields.String(required=True, allow_none=True)
    resolved_at = Time(required=True, allow_none=True)
    resolved_by = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "`staff:3` is the account 3; `watcher` when the cause was over."},
    )
    resolved_note = fields.String(required=True, allow_none=True)


SEEN = ("id", "state")
"""Fields of a changed alert that callers see who may not read it."""
AlertPageSchema = page_schema(AlertSchema)
ChangedAlertSchema = changed_schema(AlertSchema, *SEEN)
EXAMPLE: dict[str, Any] = {
    "id": 7,
    "rule": "RULE_D",
    "title": "Order paid twice",
    "severity": "P1",
    "state": "NEW",
    "subject": "7K3M-9QXT-2F",
    "order_id": 42,
    "order_number": "7K3M-9QXT-2F",
    "observed": {"captured": 236000},
    "expected": {"captured": 118000},
    "source": "webhook",
    "detected_at": "2026-12-01T09:30:00Z",
    **dict.fromkeys(("acknowledged_at", "acknowledged_by", "acknowledged_note")),
    **dict.fromkeys(("resolved_at", "resolved_by", "resolved_note")),
}


def alert(found: Alert) -> dict[str, Any]:
    """The body of an alert."""
    return {
        "id": found.id,
        "rule": found.rule,
        "title": RULES[found.rule][1],
        "severity": str(found.severity),
        "state": str(found.state),
        "subject": found.subject,
        "order_id": found.order_id,
        "order_number": found.order_no,
        "observed": found.observed,
        "expected": found.expected,
        "source": found.source,
        "detected_at": stamp(found.detected_at),
        "acknowledged_at": stamp(found.acknowledged_at),
        "acknowledged_by": found.acknowledged_by and str(found.acknowledged_by),
        "acknowledged_note": found.acknowledged_note,
        "resolved_at": stamp(found.resolved_at),
        "resolved_by": found.resolved_by and str(found.resolved_by),
        "resolved_note": found.resolved_note,
    }
