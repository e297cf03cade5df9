"""SQL conditions of the filters of the webhook inbox.

A partial index is used only where its own condition stands in the query, as a literal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Text, and_, case, cast, false, func, or_, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from shop.core import days
from shop.core.db import db
from shop.payments.providers import registry
from shop.payments.providers.types import Outcome
from shop.payments.records.models import RefusedWebhook, WebhookEventRow
from shop.payments.webhooks.filters import Field, Filters, State

SEARCHED = 5000
"""Webhooks whose bodies one search for a field reads, the newest that match the other filters."""
_NOT_APPLIED = text("webhook_events.outcome <> 'applied'")
_TO_APPLY = text("webhook_events.due_at IS NOT NULL")
_OF_STATE = {
    State.DONE: WebhookEventRow.done_at.is_not(None),
    State.WAITING: and_(WebhookEventRow.due_at.is_not(None), WebhookEventRow.error.is_(None)),
    State.FAILING: and_(WebhookEventRow.due_at.is_not(None), WebhookEventRow.error.is_not(None)),
}


def of_stored(filters: Filters, zone: ZoneInfo) -> list[ColumnElement[bool]]:
    """The conditions on stored webhooks. Days begin at midnight in `zone`."""
    found = [*_common(WebhookEventRow, filters, zone), *_of_stored(filters)]
    return [*found, *_of_field(filters.field, found)] if filters.field else found


def of_refused(filters: Filters, zone: ZoneInfo) -> list[ColumnElement[bool]]:
    """The conditions on refused webhooks."""
    found = list(_common(RefusedWebhook, filters, zone))
    return [*found, RefusedWebhook.outcome.in_(filters.refused_outcomes)] if filters.outcomes else found


def _common(row: Any, filters: Filters, zone: ZoneInfo) -> Iterator[Any]:
    if filters.providers:
        yield row.provider.in_(filters.providers)
    if filters.first_day:
        yield row.received_at >= days.midnight(filters.first_day, zone)
    if filters.last_day:
        yield row.received_at < days.midnight(filters.last_day + timedelta(days=1), zone)


def _of_stored(filters: Filters) -> Iterator[Any]:
    if filters.outcomes:
        yield WebhookEventRow.outcome.in_(filters.stored_outcomes)
        if Outcome.APPLIED not in filters.outcomes:
            yield _NOT_APPLIED
    states = [state for state in filters.states if state in _OF_STATE]
    if states:
        yield or_(*(_OF_STATE[state] for state in states))
        if State.DONE not in states:
            yield _TO_APPLY
    if filters.payments:
        yield WebhookEventRow.reference.in_(filters.payments)
    if filters.events:
        yield WebhookEventRow.dedupe_key.in_(filters.events)
        if not filters.providers:  # the index on event ids begins with the provider
            yield WebhookEventRow.provider.in_(registry.all_providers())


def _of_field(field: Field, others: Sequence[ColumnElement[bool]]) -> Iterator[ColumnElement[bool]]:
    """The condition on a field of the body, of the newest SEARCHED webhooks that match `others`."""
    newest = select(WebhookEventRow.received_at).where(*others)
    newest = newest.order_by(WebhookEventRow.received_at.desc(), WebhookEventRow.id.desc()).limit(SEARCHED)
    yield WebhookEventRow.received_at >= select(func.min(newest.subquery("searched").c.received_at)).scalar_subquery()
    if db.engine.dialect.name == "postgresql":
        path = cast(list(field.path), ARRAY(Text))
        yield func.webhook_json(WebhookEventRow.body).op("#>>")(path) == field.value  # a function of migration 0036
    else:
        yield _has_in_sqlite(field)


def _has_in_sqlite(field: Field) -> ColumnElement[bool]:
    body = cast(WebhookEventRow.body, Text)
    path = "$" + "".join(f"[{name}]" if name.isdigit() else f'."{name}"' for name in field.path)
    kind = func.json_type(body, path)
    value = case((kind.in_(["true", "false"]), kind), else_=cast(func.json_extract(body, path), Text))
    return case((func.json_valid(body) == 1, value == field.value), else_=false())
