"""Hints: unproven webhooks, of which only the first bytes are kept.

Anyone can send them in any number, each as long as a webhook may be. Their content is never applied, so the first bytes
are enough for later inspection.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import bindparam, delete, exists, func, select, update

from shop.core.db import db, table
from shop.payments.providers.interface import WebhookEvent
from shop.payments.providers.types import Trust
from shop.payments.records.models import Payment, WebhookEventRow

UNPROVEN = (Trust.REPLAYABLE, Trust.UNSIGNED)
KEPT_BYTES = 1024
KEPT_ROWS = 10_000  # rows of the inbox, counted from the newest
_WEBHOOK_EVENTS = table(WebhookEventRow)
SHORTEN = (
    update(_WEBHOOK_EVENTS)
    .where(_WEBHOOK_EVENTS.c.id == bindparam("row"))
    .values(body=func.substr(_WEBHOOK_EVENTS.c.body, 1, KEPT_BYTES, type_=_WEBHOOK_EVENTS.c.body.type))
)
"""Keep the beginning of a body that is not read again."""


def is_about_nothing(provider: str, events: Iterable[WebhookEvent]) -> bool:
    """True if all of these events are unproven and none is about a payment of ours at this provider."""
    events = list(events)
    if any(event.trust not in UNPROVEN for event in events):
        return False
    ours = exists().where(
        Payment.id.in_({event.reference for event in events if event.reference}), Payment.provider == provider
    )
    return not db.session.scalar(select(ours))


def remove_old(provider: str, newest: int) -> None:
    """Delete all but the newest rows, in the caller's transaction; the others had their effect on receipt."""
    old = (
        WebhookEventRow.provider == provider,
        WebhookEventRow.trust.in_(UNPROVEN),
        WebhookEventRow.id <= newest - KEPT_ROWS,
    )
    db.session.execute(delete(WebhookEventRow).where(*old, WebhookEventRow.done_at.is_not(None)))
