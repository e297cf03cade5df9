"""Timeline of an order: everything that is known to have happened, from all tables, the last received first."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from shop.core import redacted
from shop.core.actor import Actor
from shop.explain.facts import readable
from shop.explain.order_rows import OrderRows
from shop.order_notes.notes import Note
from shop.orders.models import OrderEvent
from shop.payments.providers import registry
from shop.payments.records.types import Source
from shop.payments.webhooks import words


class Kind(StrEnum):
    """Source of an entry, by which the page filters."""

    ORDER = "order"
    PAYMENT = "payment"
    WEBHOOK = "webhook"
    QUERY = "query"
    REFUND = "refund"
    RETURN = "return"
    DISPUTE = "dispute"
    SHIPMENT = "shipment"
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


def of(rows: OrderRows, kinds: Collection[Kind] = ()) -> list[Entry]:
    """The entries of the order, the last received first; only of these kinds if any are named."""
    found = [*_events(rows), *_updates(rows), *_mails(rows), *_acts(rows), *_notes(rows)]
    shown = [entry for entry in found if not kinds or entry.kind in kinds]
    return sorted(shown, key=lambda entry: entry.received, reverse=True)


def _events(rows: OrderRows) -> Iterator[Entry]:
    """The history of the order. Its kind is the first word of the event's name."""
    for event in rows.events:
        subject = event.kind.partition(".")[0]
        kind = Kind(subject) if subject in tuple(Kind) else Kind.ORDER
        yield Entry(kind, event.at, event.at, _name_of(event), rows.name(event.actor), details=readable(event.data))


def _name_of(event: OrderEvent) -> str:
    if event.source and event.target:
        because = f", {_words(event.because)}" if event.because else ""
        return f"{_words(event.source).lower()} → {_words(event.target).lower()}{because}"
    return _words(event.kind)


def _updates(rows: OrderRows) -> Iterator[Entry]:
    """Reports of acquirers about the payments, by webhooks and in answers to queries."""
    providers = {payment.id: registry.label(payment.provider) for payment in rows.payments}
    for update, webhook in reversed(rows.updates):
        values: dict[str, Any] = {"payment": update.payment_id, **update.facts}
        if webhook is not None:
            values = {"event": webhook.dedupe_key, "trust": webhook.trust, "repeats": webhook.repeats} | values
        provider = providers[update.payment_id]
        yield Entry(
            Kind.WEBHOOK if update.source is Source.WEBHOOK else Kind.QUERY,
            update.occurred_at,
            update.received_at,
            f"{provider} reported {_words(update.state).lower() if update.state else 'no state'}",
            provider if update.source is Source.WEBHOOK else _words(update.source),
            words.name(update.outcome),
            readable(values),
            redacted.body(webhook.body) if webhook is not None else "",
        )


def _mails(rows: OrderRows) -> Iterator[Entry]:
    for mail in rows.mails:
        at = mail.sent_at or mail.created_at
        error = {"error": mail.error} if mail.error else {}
        values = {"to": mail.recipient, "attempts": mail.attempts, "language": mail.language, **error}
        yield Entry(Kind.MAIL, mail.created_at, at, _words(mail.kind), "the shop", str(mail.state), readable(values))


def _acts(rows: OrderRows) -> Iterator[Entry]:
    """Acts of staff on the order, its refunds and its mails."""
    for entry in rows.acts:
        change = {"reason": entry.reason or None, "before": entry.before, "after": entry.after}
        values = {"subject": entry.subject_id} | {name: value for name, value in change.items() if value}
        actor = rows.name(Actor.parse(entry.actor))
        yield Entry(Kind.STAFF, entry.at, entry.at, _words(entry.act), actor, "", readable(values))


def _notes(rows: OrderRows) -> Iterator[Entry]:
    """Notes of staff. A withdrawn one has no text."""
    for note in rows.notes:
        outcome = "withdrawn" if note.withdrawn_at is not None else ""
        yield Entry(Kind.NOTE, note.at, note.at, note.text or "A note", rows.name(note.author), outcome, note=note)


def _words(name: str) -> str:
    return name.replace("_", " ").replace(".", ": ")
