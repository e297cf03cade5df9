"""Retries of webhooks by staff: make one, or those that match filters, due now.

A webhook that is done is not applied again, and a refused one was never trusted; neither can be retried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, func, select, text, update

from shop.accounts import rights, staff
from shop.accounts.permissions import Permission
from shop.core import audit, audit_search, clock, reasons
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import db, transactional
from shop.core.errors import BadInput, Refusal
from shop.payments.records.models import WebhookEventRow
from shop.payments.webhooks import conditions, detail
from shop.payments.webhooks.filters import Filters

AT_ONCE = 1000
"""Webhooks that one retry by filter makes due."""
_TO_APPLY = text("webhook_events.due_at IS NOT NULL")
_REFUSED = "This webhook was refused and not stored, so it cannot be retried. Ask the acquirer to send it again."


@dataclass(frozen=True)
class Retried:
    """Number of webhooks that are due now, and of those that match and are not due yet."""

    count: int
    left: int


@transactional
def retry(key: str, *, by: Actor, reason: str) -> None:
    """Make a webhook due now; the clock process applies it within seconds.

    Raises BadInput `reason_needed`, `bad_reason` and `unknown_webhook`; Refusal `webhook_refused`, `webhook_done` and
    `already_due`, whose message says who made it due.
    """
    rights.demand(by, Permission.WEBHOOK_RETRY)
    stated = reasons.needed(reason)
    webhook_event_id = _id_of(key)
    now = clock.now()
    if not _make_due([WebhookEventRow.id == webhook_event_id], now, by, stated):
        raise _refusal(webhook_event_id)


def count_matching(filters: Filters, zone: ZoneInfo) -> int:
    """The number of webhooks that match and can be retried: neither done nor due already."""
    if not filters.include_stored:
        return 0
    which = _retryable(conditions.of_stored(filters, zone), clock.now())
    return db.session.scalar(select(func.count()).select_from(WebhookEventRow).where(*which)) or 0


@transactional
def retry_matching(filters: Filters, zone: ZoneInfo, *, seen: int, by: Actor, reason: str) -> Retried:
    """Make the webhooks that match due now, the oldest AT_ONCE of them. `seen` is the count that the person confirmed.

    Raises BadInput `reason_needed` and `bad_reason`; Refusal `nothing_to_retry`, and `count_changed`, with the present
    `count`, when another number matches.
    """
    rights.demand(by, Permission.WEBHOOK_RETRY)
    stated = reasons.needed(reason)
    count = count_matching(filters, zone)
    if count == seen == 0:
        raise Refusal("nothing_to_retry", "No webhook that matches these filters can be retried.")
    if count == seen:
        made_due = _make_due(conditions.of_stored(filters, zone), clock.now(), by, stated)
        if made_due == min(count, AT_ONCE):
            return Retried(made_due, count - made_due)
        count = count_matching(filters, zone) + made_due
    message = f"{seen} webhooks matched when you opened this page, and now {count}. Nothing was changed."
    raise Refusal("count_changed", message, count=count)


def _id_of(key: str) -> int:
    found = detail.stored_id(key)
    if found is None:
        known = detail.load(key)
        raise Refusal("webhook_refused", _REFUSED) if known else _unknown(key)
    return found


def _unknown(key: object) -> BadInput:
    return BadInput("unknown_webhook", f"There is no webhook {str(key)[:40]} in the inbox.")


def _retryable(which: Sequence[ColumnElement[bool]], now: datetime) -> list[Any]:
    return [*which, _TO_APPLY, WebhookEventRow.done_at.is_(None), WebhookEventRow.due_at > now]


def _make_due(which: Sequence[ColumnElement[bool]], now: datetime, by: Actor, reason: str) -> int:
    """Make webhooks due, with an entry for each, and return their number. A webhook that another transaction has
    applied or made due meanwhile is left out.
    """
    chosen = select(WebhookEventRow.id, WebhookEventRow.due_at).where(*_retryable(which, now))
    chosen = chosen.order_by(WebhookEventRow.received_at, WebhookEventRow.id).limit(AT_ONCE).with_for_update()
    before = {row.id: row.due_at for row in db.session.execute(chosen)}
    by_id = [WebhookEventRow.id.in_(before)]
    made_due = update(WebhookEventRow).where(*_retryable(by_id, now)).values(due_at=now)
    changed = db.session.scalars(made_due.returning(WebhookEventRow.id)).all() if before else []
    for webhook_event_id in sorted(changed):
        subject = Subject(SubjectKind.WEBHOOK, str(webhook_event_id))
        values = {"before": {"due_at": before[webhook_event_id]}, "after": {"due_at": now}}
        audit.record(by, Act.WEBHOOK_RETRIED, subject, **values, reason=reason)
    return len(changed)


def _refusal(webhook_event_id: int) -> Refusal:
    """The reason why a webhook cannot be retried."""
    found = select(WebhookEventRow.done_at, WebhookEventRow.due_at).where(WebhookEventRow.id == webhook_event_id)
    row = db.session.execute(found).one_or_none()
    if row is None:
        return _unknown(webhook_event_id)
    if row.done_at is not None:
        return Refusal("webhook_done", "This webhook is done. It is not applied again.")
    return Refusal("already_due", f"This webhook is due already.{_who_retried(webhook_event_id, row.due_at)}")


def _who_retried(webhook_event_id: int, due_at: datetime) -> str:
    subject = {"subject_kind": SubjectKind.WEBHOOK, "subject_id": str(webhook_event_id)}
    filters = audit_search.Filters(acts=[Act.WEBHOOK_RETRIED], **subject, since=due_at)  # type: ignore[arg-type]
    entries = audit_search.find(filters, limit=1).rows
    return f" {staff.label(Actor.parse(entries[0].actor))} has retried it." if entries else ""
