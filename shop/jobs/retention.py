"""Retention periods of every table, with reasons. The clock deletes expired rows in small batches, and erases the
personal data of guests in old orders.

Each rule walks its table along the primary key in windows, so that it needs no index and a step costs the same for any
table size. A pass begins an hour after the previous one has ended. Deletions repeat the condition, so a row that has
changed since it was read is kept. The newest row of a numbered table is always kept: SQLite reuses the greatest number
after a deletion, and consumers, alerts and invariants rely on these numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from flask import current_app
from sqlalchemy import Integer, Table, delete, exists, func, select, update

from shop.accounts.models import AccountLink, SignInFailures
from shop.accounts.throttle import FORGET_AFTER
from shop.alerts.models import Alert, ChatMessage, ToDoClaim
from shop.alerts.states import AlertState
from shop.checkout.models import Cart, CartLine, Saga
from shop.checkout.saga_states import SagaState
from shop.checkout.unpaid_orders import ReservationRefusal
from shop.core import clock, logs, metrics
from shop.core.audit_models import AuditEntry, AuditPersonal
from shop.core.db import Base, changed, db, table, transactional
from shop.core.heartbeat import Heartbeat
from shop.core.outbox import OutboxRow
from shop.documents import erase
from shop.integrity.models import IntegrityCheck
from shop.jobs import merchant_retention
from shop.mail.models import Mail
from shop.mail.states import MailState
from shop.order_notes import notes
from shop.order_notes.models import OrderNote
from shop.order_search import exports
from shop.order_search.models import OrderExport, OrderExportPart
from shop.orders.find import READABLE_AFTER_END
from shop.orders.models import ERASED, Order, OrderOrigin
from shop.payments.providers.types import DisputeState, Outcome
from shop.payments.records.models import PaymentUpdateRow, Refund, RefusedWebhook, WebhookEventRow
from shop.payments.records.refund_states import UNDER_WAY
from shop.payments.records.settlement_models import Dispute
from shop.payments.webhooks import hints
from shop.pricing.models import DiscountUse

log = logs.get()
WINDOW = 500
"""Rows that one step reads, and the most that one transaction deletes."""
PAUSE = 3600.0
"""Seconds between two passes over a table."""
DAY = timedelta(days=1)
YEAR = timedelta(days=400)
"""A year plus the period in which a bank may still dispute a payment."""
MAIL_KEPT = 30 * DAY
"""The least that GUEST_DATA_DAYS can be."""
_PERSONAL = ("email", "name", "line1", "line2", "city", "postcode")
Ids = Sequence[Any]


@dataclass(frozen=True)
class Rule:
    """A rule for the rows of one table. `over(at)` is the condition for deletion; `kept` and `why` document it.

    `first(ids)` deletes or erases rows that refer to these rows, in the same transaction, which has locked them. With
    `erases` the rows are kept, and only these columns are overwritten; `over` must be false afterwards.
    """

    model: type[Base]
    rows: str
    kept: timedelta
    why: str
    over: Callable[[datetime], Any]
    first: Callable[[Ids], None] = lambda ids: None
    wall_time: bool = False
    erases: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{table(self.model).name}: {self.rows}"


@dataclass(frozen=True)
class Kept:
    """A table from which no rows are deleted by age, with the reason."""

    table: str
    why: str


def _ended(before: datetime, order_id: Any) -> Any:
    return exists().where(Order.id == order_id, Order.ended_at < before)


def _lines(ids: Ids) -> None:
    db.session.execute(delete(CartLine).where(CartLine.cart_id.in_(ids)))


def _updates(ids: Ids) -> None:
    db.session.execute(
        update(PaymentUpdateRow).where(PaymentUpdateRow.webhook_event_id.in_(ids)).values(webhook_event_id=None)
    )


def _export_parts(ids: Ids) -> None:
    db.session.execute(delete(OrderExportPart).where(OrderExportPart.export_id.in_(ids)))


def _address_digests(ids: Ids) -> None:
    db.session.execute(update(DiscountUse).where(DiscountUse.order_id.in_(ids)).values(email_digest=None))


def _guests_data(at: datetime) -> Any:
    """Orders of guests that ended long ago, with nothing open about their money, whose personal data is still there."""
    refund, dispute = Refund.state.in_(UNDER_WAY), Dispute.state == DisputeState.OPEN
    return (
        Order.user_id.is_(None)
        & (Order.ended_at < at - timedelta(days=current_app.config["GUEST_DATA_DAYS"]))
        & (Order.email != ERASED)
        & Order.review_since.is_(None)
        & ~exists().where(Refund.order_id == Order.id, refund)
        & ~exists().where(Dispute.order_id == Order.id, dispute)
    )


def _old_notes(at: datetime) -> Any:
    before = at - timedelta(days=current_app.config["GUEST_DATA_DAYS"])
    has_text = OrderNote.text.not_in(["", ERASED])
    return has_text & (OrderNote.at < before) & _ended(before, OrderNote.order_id)


def _copies_of_guests_data(ids: Ids) -> None:
    notes.erase(ids)
    _address_digests(ids)
    erase.customers(ids)


_HAS_LINES = exists().where(CartLine.cart_id == Cart.id)
_HAS_ORDERS = exists().where(OrderOrigin.visitor == Cart.id)
_UNPROVEN = WebhookEventRow.trust.in_(hints.UNPROVEN)

RULES: tuple[Rule, ...] = (
    Rule(
        Cart,
        "carts that have not changed",
        30 * DAY,
        "the lifetime of the cookie that contains its id",
        lambda at: Cart.changed_at < at - 30 * DAY,
        _lines,
    ),
    Rule(
        Cart,
        "empty carts of visitors without orders",
        2 * DAY,
        "a returning visitor gets a new one",
        lambda at: (Cart.changed_at < at - 2 * DAY) & ~_HAS_LINES & ~_HAS_ORDERS,
    ),
    Rule(
        OrderOrigin,
        "origins of orders that have ended",
        READABLE_AFTER_END,
        "as long as the order's link is valid; only those of unpaid orders are used",
        lambda at: _ended(at - READABLE_AFTER_END, OrderOrigin.order_id),
    ),
    Rule(
        Order,
        "name, postal address and e-mail address of guests in orders that have ended",
        730 * DAY,
        "GUEST_DATA_DAYS: as long as a guest may claim anything; later while a refund, dispute or review is open. The "
        "order, its amounts, its country and the ledger stay, and so do its documents without the customer. Texts of "
        "notes are erased with them, and the keyed hashes of the address in discount_uses: the "
        "address can then use a code once more",
        _guests_data,
        _copies_of_guests_data,
        erases=dict.fromkeys(_PERSONAL, ERASED) | {"form_digest": None},
    ),
    Rule(
        OrderNote,
        "texts of notes of staff on orders that have ended",
        730 * DAY,
        "GUEST_DATA_DAYS, after the note and after the end of the order: they may name a person; those on an order "
        "of a guest are erased with the guest's data. Author and time stay",
        _old_notes,
        notes.close_mentions,
        erases={"text": ERASED},
    ),
    Rule(
        ReservationRefusal,
        "refusals by the limits on unpaid orders",
        DAY,
        "the alert on them is resolved after ten minutes",
        lambda at: ReservationRefusal.last_at < at - DAY,
    ),
    Rule(
        Saga,
        "checkouts of orders that have ended",
        90 * DAY,
        "their steps are undone when the order ends; after that they are history",
        lambda at: (Saga.state != SagaState.RUNNING) & _ended(at - 90 * DAY, Saga.order_id),
    ),
    Rule(
        WebhookEventRow,
        "hints: webhooks that prove nothing",
        7 * DAY,
        "the query that they caused is done; 1 KB of each body is stored",
        lambda at: _UNPROVEN & WebhookEventRow.done_at.is_not(None) & (WebhookEventRow.received_at < at - 7 * DAY),
        _updates,
    ),
    Rule(
        WebhookEventRow,
        "signed webhooks that were applied",
        YEAR,
        "evidence in disputes; an event that is sent again later has no effect, because its captures are known",
        lambda at: ~_UNPROVEN & WebhookEventRow.done_at.is_not(None) & (WebhookEventRow.received_at < at - YEAR),
        _updates,
    ),
    Rule(
        RefusedWebhook,
        "refused webhooks",
        30 * DAY,
        "as long as alerts look back at them; the newest thousand of each provider at most",
        lambda at: RefusedWebhook.received_at < at - 30 * DAY,
    ),
    Rule(
        PaymentUpdateRow,
        "updates that changed nothing (duplicate, stale, hint)",
        YEAR,
        "why an order is what it is stands in the others, which are kept",
        lambda at: (
            PaymentUpdateRow.outcome.in_([Outcome.DUPLICATE, Outcome.STALE, Outcome.HINT])
            & (PaymentUpdateRow.received_at < at - YEAR)
        ),
    ),
    Rule(
        OutboxRow,
        "events that have been published",
        90 * DAY,
        "durable copy of the streams, which keep ten thousand events: a consumer can read here what it missed in "
        "90 days; an order's own history is not deleted",
        lambda at: OutboxRow.published_at.is_not(None) & (OutboxRow.created_at < at - 90 * DAY),
    ),
    Rule(
        Mail,
        "mails that were sent or have failed",
        MAIL_KEPT,
        "questions about a mail come within days; they contain addresses, and a guest's data is kept no longer",
        lambda at: (Mail.state != MailState.QUEUED) & (Mail.created_at < at - MAIL_KEPT),
    ),
    Rule(
        OrderExport,
        "exports of orders",
        7 * DAY,
        "EXPORT_DAYS: long enough to fetch the file; another one can be requested at any time",
        lambda at: OrderExport.requested_at < at - exports.kept(),
        _export_parts,
    ),
    Rule(
        ChatMessage,
        "messages to the chat webhook that were sent or have failed",
        MAIL_KEPT,
        "as long as mails; the chat keeps its own copy",
        lambda at: (ChatMessage.state != MailState.QUEUED) & (ChatMessage.created_at < at - MAIL_KEPT),
    ),
    Rule(
        ToDoClaim,
        "owners of things to do",
        YEAR,
        "longer than a request waits or a dispute lasts; the audit log keeps who claimed what",
        lambda at: ToDoClaim.claimed_at < at - YEAR,
    ),
    Rule(
        Alert,
        "resolved alerts that are about no order",
        YEAR,
        "longer than the webhooks that raise them, so that none is raised twice; those about orders are kept",
        lambda at: (Alert.state == AlertState.RESOLVED) & Alert.order_id.is_(None) & (Alert.resolved_at < at - YEAR),
    ),
    Rule(
        AccountLink,
        "links of accounts in mails, used and unused",
        MAIL_KEPT,
        "as long as the mails that contain them; a link itself is valid for three days at most",
        lambda at: AccountLink.created_at < at - MAIL_KEPT,
        wall_time=True,
    ),
    Rule(
        SignInFailures,
        "wrong passwords",
        FORGET_AFTER,
        "the throttle ignores older ones",
        lambda at: SignInFailures.at < at - FORGET_AFTER,
        wall_time=True,
    ),
    Rule(
        AuditPersonal,
        "client addresses, logins, names and e-mail addresses in the audit log",
        YEAR,
        "as long as an act of staff may be questioned; the entries stay, with a hash, so that their seals still hold",
        lambda at: exists().where(AuditEntry.id == AuditPersonal.entry_id, AuditEntry.at < at - YEAR),
    ),
    Rule(
        IntegrityCheck,
        "results of integrity checks",
        90 * DAY,
        "as long as a violation may still be looked into",
        lambda at: IntegrityCheck.ended_at < at - 90 * DAY,
    ),
    Rule(
        Heartbeat,
        "heartbeats of processes that have ended",
        7 * DAY,
        "a working process writes one every few seconds",
        lambda at: Heartbeat.at < at - 7 * DAY,
        wall_time=True,
    ),
    *(Rule(**values) for values in merchant_retention.RULES),
)
_ORDER = "the order itself: bookkeeping, disputes and the customer's history"
_LEDGER = "the ledger"
_DOCUMENTS = "documents are numbered without gaps and never change"
_STOCK = "stock is the sum of these"
_CATALOGUE = "the catalogue"
_PRICING = "what orders cost"
_AUDIT = "evidence of who did what: append-only, with accounts by their number; personal values are in audit_personal"
_NOTES = "evidence of what staff asked and did; their texts are erased"
KEPT: tuple[Kept, ...] = (
    *(Kept(name, _ORDER) for name in ("orders", "order_lines", "order_events", "payments", "captures", "refunds")),
    *(
        Kept(name, _LEDGER)
        for name in ("journals", "ledger_entries", "funds", "payouts", "credit_gifts", "shortfall_requests")
    ),
    *(
        Kept(name, _LEDGER)
        for name in ("store_credits", "credit_holds", "settlement_lines", "discrepancies", "disputes")
    ),
    Kept("settlement_files", "one row for each provider and day: which files were read, and when"),
    Kept("notification_windows", "one row for each rule of alerts"),
    *(Kept(name, _DOCUMENTS) for name in ("documents", "document_lines", "document_files", "document_years")),
    *(Kept(name, _STOCK) for name in ("stock", "stock_movements", "reservations")),
    *(Kept(name, _CATALOGUE) for name in ("products", "categories", "initial_texts", "former_slugs", "price_changes")),
    *(Kept(name, _PRICING) for name in ("tax_rates", "delivery_methods", "discount_codes", "discount_values")),
    Kept(
        "discount_uses",
        "uses and spent budgets of codes are the sums of these; they contain no address, only its keyed hash",
    ),
    *(Kept(name, _AUDIT) for name in ("audit_log", "audit_seals")),
    *(Kept(name, _NOTES) for name in ("order_notes", "note_mentions")),
    Kept("users", "until the account is closed"),
    Kept("totp_secrets", "one row for each account with an authenticator app, until the second factor is removed"),
    Kept("recovery_codes", "ten rows for each account with a second factor"),
    Kept("passkeys", "at most twenty rows for each account of staff, until they are removed"),
    Kept("role_requests", "evidence of the two admins who gave a role that decides about money or roles"),
    Kept("saved_views", "at most 50, until staff delete them"),
    Kept("watch_list", "rows are removed when no check of the order is left"),
    Kept("condition_schedules", "one row for each condition"),
    Kept("provider_health", "one row for each provider"),
    Kept("clock_offset", "one row"),
)
"""Tables without a rule, with the reason."""
REMOVED_WITH = {"cart_lines": "carts", "order_export_parts": "order_exports", **merchant_retention.REMOVED_WITH}
"""Tables whose rows are deleted together with those of another one."""


@dataclass
class _Pass:
    """Progress of this process with a rule. With two clocks both make passes; rows are deleted once."""

    after: Any = None
    ended_at: float = field(default=float("-inf"))


def _passes() -> dict[str, _Pass]:
    found: dict[str, _Pass] = current_app.extensions.setdefault("settled_retention", {})
    return found


def due() -> list[int]:
    """Numbers of the rules that are due."""
    passes, now = _passes(), time.monotonic()
    return [n for n, rule in enumerate(RULES) if now - passes.setdefault(rule.name, _Pass()).ended_at >= PAUSE]


def step(number: int) -> int:
    """Process the next window of one rule's table; returns the number of deleted rows."""
    rule = RULES[number]
    progress = _passes().setdefault(rule.name, _Pass())
    at = clock.wall() if rule.wall_time else clock.now()
    window, over = _window(rule, progress.after, at)
    removed = _remove(rule, over, at) if over else 0
    if len(window) < WINDOW:
        progress.after, progress.ended_at = None, time.monotonic()
    else:
        progress.after = window[-1]
    if removed:
        metrics.REMOVED.labels(table(rule.model).name).inc(removed)
        log.info("retention.removed", rows=rule.name, removed=removed)
    return removed


def sweep() -> dict[str, int]:
    """Make one full pass over every table now; returns the number of deleted rows by rule."""
    done: dict[str, int] = {}
    for number, rule in enumerate(RULES):
        _passes()[rule.name] = progress = _Pass()
        done[rule.name] = step(number)
        while progress.after is not None:
            done[rule.name] += step(number)
    return done


def _key(rule: Rule) -> tuple[Table, Any]:
    of = table(rule.model)
    (key,) = of.primary_key.columns
    return of, key


def _window(rule: Rule, after: Any, at: datetime) -> tuple[list[Any], list[Any]]:
    """The next keys along the primary key, and those whose rows have expired."""
    of, key = _key(rule)
    ahead = select(key).order_by(key).limit(WINDOW)
    if after is not None:
        ahead = ahead.where(key > after)
    window = list(db.session.scalars(ahead))
    is_over = select(key).where(key.in_(window), rule.over(at), *_not_newest(rule, key))
    over = list(db.session.scalars(is_over)) if window else []
    db.session.rollback()
    return window, over


def _not_newest(rule: Rule, key: Any) -> list[Any]:
    of = table(rule.model)
    if rule.erases or not isinstance(key.type, Integer) or key.foreign_keys:
        return []
    return [key < select(func.max(of.c[key.name])).scalar_subquery()]


@transactional
def _remove(rule: Rule, keys: list[Any], at: datetime) -> int:
    of, key = _key(rule)
    still = select(key).where(key.in_(keys), rule.over(at), *_not_newest(rule, key)).order_by(key).with_for_update()
    locked = list(db.session.scalars(still))
    if not locked:
        return 0
    rule.first(locked)
    statement = update(of).values(dict(rule.erases)) if rule.erases else delete(of)
    return changed(statement.where(key.in_(locked)))
