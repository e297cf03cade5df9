"""Rules of retention: how long the rows of each table are kept, and why. `retention` carries them out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from flask import current_app
from sqlalchemy import delete, exists, or_, update

from shop.accounts.api_models import ApiSession
from shop.accounts.models import AccountLink, SignInFailures, SpentIdToken, User
from shop.accounts.throttle import FORGET_AFTER
from shop.alerts.models import Alert, ChatMessage, ToDoClaim
from shop.alerts.states import AlertState
from shop.api_log.models import ApiCall
from shop.checkout.models import Cart, CartLine, Saga
from shop.checkout.saga_states import SagaState
from shop.checkout.unpaid_orders import ReservationRefusal
from shop.core.audit_models import AuditEntry, AuditPersonal
from shop.core.db import Base, db, table
from shop.core.heartbeat import Heartbeat
from shop.core.outbox import OutboxRow
from shop.documents import erase
from shop.fulfilment import erase as shipments
from shop.idempotency.decide import LASTS
from shop.idempotency.models import IdempotencyKey
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
from shop.outgoing_webhooks import retained as outgoing_events
from shop.outgoing_webhooks.models import OutgoingEvent, WebhookEndpoint
from shop.payments.providers.types import DisputeState, Outcome
from shop.payments.records.models import PaymentUpdateRow, Refund, RefusedWebhook, WebhookEventRow
from shop.payments.records.refund_states import UNDER_WAY
from shop.payments.records.settlement_models import Dispute
from shop.payments.webhooks import hints
from shop.pricing.models import DiscountUse
from shop.returns import erase as returns

DAY = timedelta(days=1)
YEAR = timedelta(days=400)
"""A year plus the period in which a bank may still dispute a payment."""
MAIL_KEPT = 30 * DAY
"""The least that GUEST_DATA_DAYS can be."""
_PERSONAL = ("email", "name", "line1", "line2", "city", "region", "postcode", "phone")
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
    """Orders of guests and of deleted accounts that ended long ago, with nothing open about their money, whose personal
    data is still there.
    """
    is_deleted = exists().where(User.id == Order.user_id, User.deleted_at.is_not(None))
    refund, dispute = Refund.state.in_(UNDER_WAY), Dispute.state == DisputeState.OPEN
    return (
        or_(Order.user_id.is_(None), is_deleted)
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
    returns.texts(ids)
    _address_digests(ids)
    erase.customers(ids)
    shipments.tracking(ids)


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
        "the order's link is valid at least as long; only those of unpaid orders are used",
        lambda at: _ended(at - READABLE_AFTER_END, OrderOrigin.order_id),
    ),
    Rule(
        Order,
        "name, postal address, phone number and e-mail address of guests and of deleted accounts in orders that have "
        "ended",
        730 * DAY,
        "GUEST_DATA_DAYS: as long as a guest may claim anything; later while a refund, dispute or review is open. The "
        "order, its amounts, its country and the ledger stay, and so do its documents without the customer. Texts of "
        "notes and returns and tracking numbers are erased with them, and the keyed hashes of the address in "
        "discount_uses: the address can then use a code once more",
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
        OutgoingEvent,
        "outgoing events, with their bodies, deliveries and attempts",
        outgoing_events.KEPT,
        "as long as events can be sent again; receivers keep what they need; later while one is queued",
        lambda at: (OutgoingEvent.occurred_at < at - outgoing_events.KEPT) & ~outgoing_events.IS_QUEUED,
        outgoing_events.erase,
    ),
    Rule(
        WebhookEndpoint,
        "deleted webhook endpoints",
        outgoing_events.KEPT,
        "as long as their deliveries are kept; the audit log keeps who created and deleted them",
        lambda at: (WebhookEndpoint.deleted_at < at - outgoing_events.KEPT) & ~outgoing_events.HAS_DELIVERIES,
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
        SpentIdToken,
        "ID tokens that were used to sign in",
        DAY,
        "a day at most, by a hash: they have expired, and the shop accepts none that is older than five minutes",
        lambda at: SpentIdToken.expires_at < at,
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
        ApiSession,
        "sessions of the API that have ended",
        DAY,
        "a refresh token of a session that is not stored is refused as one of a session that has ended",
        lambda at: ApiSession.expires_at < at - DAY,
        wall_time=True,
    ),
    Rule(
        IdempotencyKey,
        "idempotency keys of API calls, with the answers",
        LASTS,
        "a key is remembered for a day; an answer may contain personal data and the token of an order",
        lambda at: IdempotencyKey.expires_at < at,
        wall_time=True,
    ),
    Rule(
        ApiCall,
        "calls of the API",
        MAIL_KEPT,
        "questions about a call come within days; they contain client addresses, and bodies without secrets",
        lambda at: ApiCall.at < at - MAIL_KEPT,
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
