"""Altered webhooks: dry runs of an edited body, and, in a development shop, its application by staff.

An edited body has no signature, so it never becomes a verified webhook. A dry run writes nothing. It treats the body as
if the acquirer had sent it with the trust of the stored webhook, so of a hint it shows that nothing would be applied.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from flask import current_app

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.core import audit, reasons
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import db, transactional
from shop.core.errors import BadInput, Refusal
from shop.payments.disputes import disputes
from shop.payments.providers.interface import Malformed, WebhookEvent
from shop.payments.providers.types import Outcome, Trust, WebhookKind, decisive
from shop.payments.records.models import WebhookEventRow
from shop.payments.records.types import Source
from shop.payments.refunds import outside
from shop.payments.updates.apply import UnknownPayment
from shop.payments.updates.apply import apply as apply_update
from shop.payments.updates.snapshot import PaymentUpdate
from shop.payments.webhooks import changes, content, detail, foreign

LARGEST = 64 * 1024
"""Bytes of an edited body."""
_REFUSED = "This webhook was refused on receipt. Its content was never verified, so it cannot be tried."


@dataclass(frozen=True)
class Result:
    """Effects that an event would have. `reasons` are the codes of the decision, `changes` are sentences."""

    summary: str
    payment: str | None
    outcome: Outcome
    reasons: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Edited:
    """An edited body, read as its provider reads it. `trust` is that of the stored webhook."""

    webhook_event_id: int
    provider: str
    trust: Trust
    hash_before: str
    hash_after: str
    events: list[WebhookEvent]

    def may_apply(self, event: WebhookEvent) -> bool:
        return self.trust == Trust.SIGNED == event.trust


def can_apply() -> bool:
    """True if this shop allows applying an edited body: only one for development does."""
    return bool(current_app.config["SETTLED_ENV"] == "development")


def try_altered(key: str, body: str) -> list[Result]:
    """Effects that the webhook would have now with this body, event by event. Writes nothing.

    Raises BadInput `unknown_webhook`, `bad_body`; Refusal `webhook_refused`.
    """
    edited = _read(key, body)
    return [_dry_run(edited, event) for event in edited.events]


@transactional
def apply_altered(key: str, body: str, *, by: Actor, reason: str) -> Outcome:
    """Apply an edited body with the source `staff`, and return its outcome. The stored webhook stays as it is.

    Raises BadInput as `try_altered`, `reason_needed` and `bad_reason`; Refusal `development_only`, `webhook_refused`,
    and `nothing_applied` when it would change nothing.
    """
    rights.demand(by, Permission.WEBHOOK_APPLY_EDITED)
    if not can_apply():
        raise Refusal("development_only", "An edited event can be applied in a shop for development only.")
    stated = reasons.needed(reason)
    edited = _read(key, body)
    outcome = decisive([_apply(edited, event) for event in edited.events] or [Outcome.HINT])
    if outcome not in (Outcome.APPLIED, Outcome.MISMATCH):
        raise Refusal("nothing_applied", f"Nothing was changed. The outcome of the edited event is: {outcome}.")
    subject = Subject(SubjectKind.WEBHOOK, str(edited.webhook_event_id))
    after = {"body_hash": edited.hash_after, "outcome": outcome}
    after["payments"] = ", ".join(sorted({content.payment_of(event) or "" for event in edited.events} - {""}))
    audit.record(
        by, Act.EDITED_WEBHOOK_APPLIED, subject, before={"body_hash": edited.hash_before}, after=after, reason=stated
    )
    return outcome


def _read(key: str, body: str) -> _Edited:
    webhook_event_id = detail.stored_id(key)
    row = db.session.get(WebhookEventRow, webhook_event_id) if webhook_event_id else None
    if row is None:
        if webhook_event_id is None and detail.load(key):
            raise Refusal("webhook_refused", _REFUSED)
        raise BadInput("unknown_webhook", f"There is no webhook {key[:40]} in the inbox.")
    raw = body.encode(errors="replace")
    if len(raw) > LARGEST:
        raise BadInput("bad_body", f"Enter a body of at most {LARGEST // 1024} KB.")
    try:
        events = content.events_in(row.provider, row.headers, raw)
    except Malformed as error:
        raise BadInput("bad_body", f"The body cannot be read as a webhook of {row.provider}: {error}.") from error
    return _Edited(row.id, row.provider, row.trust, row.body_hash, hashlib.sha256(raw).hexdigest(), events)


def _dry_run(edited: _Edited, event: WebhookEvent) -> Result:
    about = (content.summary_of(event), content.payment_of(event))
    if foreign.is_foreign(edited.provider, event):
        return Result(*about, Outcome.FOREIGN)
    if not edited.may_apply(event):
        return Result(*about, Outcome.HINT)
    if event.refund or event.dispute:
        decided = (
            outside.dry_run(edited.provider, event.refund, Source.STAFF)
            if event.refund
            else disputes.dry_run(edited.provider, event.dispute, Source.STAFF)  # type: ignore[arg-type]
        )
        if isinstance(decided, Outcome):
            return Result(*about, decided)
        return Result(*about, decided.outcome, (), tuple(changes.of_money(decided)))
    if event.kind != WebhookKind.PAYMENT:
        return Result(*about, Outcome.HINT)
    try:
        decision = apply_update(_update(edited, event), dry_run=True)
    except UnknownPayment:
        return Result(*about, Outcome.ORPHAN)
    return Result(*about, decision.outcome, decision.reasons, tuple(changes.of_update(decision)))


def _apply(edited: _Edited, event: WebhookEvent) -> Outcome:
    if foreign.is_foreign(edited.provider, event):
        return Outcome.FOREIGN
    if not edited.may_apply(event):
        return Outcome.HINT
    if event.refund:
        return outside.apply_reported(edited.provider, event.refund, Source.STAFF)
    if event.dispute:
        return disputes.apply(edited.provider, event.dispute, Source.STAFF)
    if event.kind != WebhookKind.PAYMENT:
        return Outcome.HINT
    try:
        return apply_update(_update(edited, event)).outcome
    except UnknownPayment:
        return Outcome.ORPHAN


def _update(edited: _Edited, event: WebhookEvent) -> PaymentUpdate:
    return PaymentUpdate(event.reference, event.facts, Source.STAFF, edited.provider)
