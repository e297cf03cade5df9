"""Timeline of an order: everything that is known to have happened, from all tables, the last received first."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select

from shop.accounts import staff
from shop.core import audit_search, redacted
from shop.core.actor import Actor
from shop.core.audit import Subject, SubjectKind
from shop.core.db import db
from shop.explain.facts import readable
from shop.mail.models import Mail
from shop.order_notes import notes
from shop.order_notes.notes import Note
from shop.orders import events
from shop.orders.models import Order, OrderEvent
from shop.payments.providers import registry
from shop.payments.records.models import Payment, PaymentUpdateRow, Refund, WebhookEventRow
from shop.payments.records.types import Source
from shop.payments.webhooks import words

MOST = 500
"""Payment updates, acts and notes of staff that a timeline shows at most; the newest."""


class Kind(StrEnum):
    """Source of an entry, by which the page filters."""

    ORDER = "order"
    PAYMENT = "payment"
    WEBHOOK = "webhook"
    QUERY = "query"
    REFUND = "refund"
    DISPUTE = "dispute"
    MAIL = "mail"
    STAFF = "staff"
    NOTE = "note"


@dataclass(frozen=True)
class Entry:
    """Something that happened at `happened`, and that the shop learned at `received`.

    `details` are named values; `raw` is the body of a webhook, redacted; `note` is set for a note of staff.
    """

    kind: Kind
    happened: datetime
    received: datetime
    what: str
    actor: str
    outcome: str = ""
    details: tuple[tuple[str, str], ...] = ()
    raw: str = ""
    note: Note | None = None


def of(order: Order, kinds: Collection[Kind] = ()) -> list[Entry]:
    """The entries of the order, the last received first; only of these kinds if any are named."""
    found = [*_events(order.id), *_updates(order.id), *_mails(order.id), *_acts(order), *_notes(order.id)]
    shown = [entry for entry in found if not kinds or entry.kind in kinds]
    return sorted(shown, key=lambda entry: entry.received, reverse=True)


def _events(order_id: int) -> Iterator[Entry]:
    """The history of the order. Its kind is the first word of the event's name."""
    history = events.since(order_id, 0)
    names = staff.labels(event.actor for event in history)
    for event in history:
        subject = event.kind.partition(".")[0]
        kind = Kind(subject) if subject in tuple(Kind) else Kind.ORDER
        yield Entry(kind, event.at, event.at, _name_of(event), names[event.actor], details=readable(event.data))


def _name_of(event: OrderEvent) -> str:
    if event.source and event.target:
        because = f", {_words(event.because)}" if event.because else ""
        return f"{event.source} → {event.target}{because}"
    return _words(event.kind)


def _updates(order_id: int) -> Iterator[Entry]:
    """Reports of acquirers about the payments, by webhooks and in answers to queries."""
    query = (
        select(PaymentUpdateRow, Payment.provider, WebhookEventRow)
        .join(Payment, Payment.id == PaymentUpdateRow.payment_id)
        .outerjoin(WebhookEventRow, WebhookEventRow.id == PaymentUpdateRow.webhook_event_id)
        .where(Payment.order_id == order_id)
    )
    for update, provider, webhook in db.session.execute(query.order_by(PaymentUpdateRow.id.desc()).limit(MOST)):
        values: dict[str, Any] = {"payment": update.payment_id, **update.facts}
        if webhook is not None:
            values = {"event": webhook.dedupe_key, "trust": webhook.trust, "repeats": webhook.repeats} | values
        yield Entry(
            Kind.WEBHOOK if update.source is Source.WEBHOOK else Kind.QUERY,
            update.occurred_at,
            update.received_at,
            f"{registry.label(provider)} reported {update.state or 'no state'}",
            registry.label(provider) if update.source is Source.WEBHOOK else _words(update.source),
            words.name(update.outcome),
            readable(values),
            redacted.body(webhook.body) if webhook is not None else "",
        )


def _mails(order_id: int) -> Iterator[Entry]:
    for mail in db.session.scalars(select(Mail).where(Mail.order_id == order_id)):
        at = mail.sent_at or mail.created_at
        error = {"error": mail.error} if mail.error else {}
        values = {"to": mail.recipient, "attempts": mail.attempts, "language": mail.language, **error}
        yield Entry(Kind.MAIL, mail.created_at, at, _words(mail.kind), "the shop", str(mail.state), readable(values))


def _acts(order: Order) -> Iterator[Entry]:
    """Acts of staff on the order and its refunds."""
    refunds = db.session.scalars(select(Refund.id).where(Refund.order_id == order.id))
    subjects = [Subject(SubjectKind.ORDER, order.number), *(Subject(SubjectKind.REFUND, one) for one in refunds)]
    entries = audit_search.find(audit_search.Filters(subjects=subjects), limit=MOST).rows
    names = staff.labels(Actor.parse(entry.actor) for entry in entries)
    for entry in entries:
        change = {"reason": entry.reason or None, "before": entry.before, "after": entry.after}
        values = {"subject": entry.subject_id} | {name: value for name, value in change.items() if value}
        actor = names[Actor.parse(entry.actor)]
        yield Entry(Kind.STAFF, entry.at, entry.at, _words(entry.act), actor, "", readable(values))


def _notes(order_id: int) -> Iterator[Entry]:
    """Notes of staff. A withdrawn one has no text."""
    found = notes.of_order(order_id, MOST)
    names = staff.labels(note.author for note in found)
    for note in found:
        is_withdrawn = note.withdrawn_at is not None
        outcome = "withdrawn" if is_withdrawn else ""
        yield Entry(Kind.NOTE, note.at, note.at, note.text or "A note", names[note.author], outcome, note=note)


def _words(name: str) -> str:
    return name.replace("_", " ").replace(".", ": ")
