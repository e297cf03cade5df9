"""Rows of an order for its explanations. Each table is read once, when it is first needed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache, cached_property
from typing import Any

from sqlalchemy import (
    BigInteger,
    CompoundSelect,
    Row,
    Select,
    Text,
    bindparam,
    cast,
    literal,
    null,
    select,
    text,
    union_all,
)

from shop.accounts import staff
from shop.checkout.models import Saga
from shop.core import audit_search
from shop.core.actor import Actor
from shop.core.audit import Subject, SubjectKind
from shop.core.db import db
from shop.core.outbox import OutboxRow
from shop.ledger.hold_states import HoldState
from shop.ledger.models import CreditHold
from shop.mail.models import Mail
from shop.order_notes.mentions import Colleague
from shop.order_notes.notes import Note, People, of_order, people
from shop.orders import events
from shop.orders.models import Order, OrderEvent
from shop.payments.order_money import load
from shop.payments.order_money.snapshot import Snapshot
from shop.payments.records.models import (
    Capture,
    Payment,
    PaymentUpdateRow,
    ProviderHealth,
    Refund,
    WebhookEventRow,
)
from shop.payments.records.settlement_models import Dispute

MOST = 500
"""Payment updates, mails, acts and notes of staff that are read at most; the newest."""
MOST_DUE = 50
"""Due webhooks, and due events, that are read at most; the earliest."""
SAGA, EVENT, WEBHOOK = "saga", "event", "webhook"
_UNPUBLISHED = text("outbox.due_at IS NOT NULL")
_TO_APPLY = text("webhook_events.due_at IS NOT NULL")


class OrderRows:
    """An order and its rows. Payments, captures and updates are sorted by id."""

    def __init__(self, order: Order) -> None:
        self.order = order

    @cached_property
    def _payments(self) -> Sequence[Row[Payment, datetime | None]]:
        query = select(Payment, ProviderHealth.paused_until).where(Payment.order_id == self.order.id)
        query = query.outerjoin(ProviderHealth, ProviderHealth.provider == Payment.provider)
        return db.session.execute(query.order_by(Payment.id)).all()

    @property
    def payments(self) -> list[Payment]:
        return [payment for payment, _ in self._payments]

    def payment(self, payment_id: str | None) -> Payment | None:
        return next((one for one in self.payments if one.id == payment_id), None)

    @property
    def paused_until(self) -> dict[str, datetime | None]:
        """The time until which calls about a payment are paused, by its id."""
        return {payment.id: until for payment, until in self._payments}

    @cached_property
    def captures(self) -> Sequence[Capture]:
        query = select(Capture).where(Capture.payment_id.in_([payment.id for payment in self.payments]))
        return db.session.scalars(query.order_by(Capture.id)).all() if self.payments else []

    @cached_property
    def refunds(self) -> Sequence[Refund]:
        query = select(Refund).where(Refund.order_id == self.order.id)
        return db.session.scalars(query.order_by(Refund.created_at, Refund.id)).all()

    @cached_property
    def disputes(self) -> Sequence[Dispute]:
        return db.session.scalars(select(Dispute).where(Dispute.order_id == self.order.id).order_by(Dispute.id)).all()

    @cached_property
    def money(self) -> Snapshot:
        """Snapshot of the order's money, without the keys of its journals, which only decisions need."""
        credit = None
        if self.order.credit_amount:
            used = (CreditHold.order_id == self.order.id, CreditHold.state == HoldState.USED)
            credit = db.session.scalars(select(CreditHold).where(*used)).one_or_none()
        return load.of_rows(self.order, self.payments, self.captures, self.refunds, self.disputes, credit)

    @cached_property
    def events(self) -> list[OrderEvent]:
        """The history."""
        return events.since(self.order.id, 0)

    @cached_property
    def updates(self) -> list[tuple[PaymentUpdateRow, WebhookEventRow | None]]:
        """Reports of acquirers about the payments, and the webhook of those that one brought."""
        query = select(PaymentUpdateRow, WebhookEventRow).outerjoin(
            WebhookEventRow, WebhookEventRow.id == PaymentUpdateRow.webhook_event_id
        )
        query = query.where(PaymentUpdateRow.payment_id.in_([payment.id for payment in self.payments]))
        rows = db.session.execute(query.order_by(PaymentUpdateRow.id.desc()).limit(MOST)) if self.payments else ()
        found: list[tuple[PaymentUpdateRow, WebhookEventRow | None]] = [(row[0], row[1]) for row in rows]
        return found[::-1]

    @cached_property
    def mails(self) -> Sequence[Mail]:
        query = select(Mail).where(Mail.order_id == self.order.id)
        return db.session.scalars(query.order_by(Mail.id.desc()).limit(MOST)).all()

    @cached_property
    def due(self) -> Sequence[Row[Any]]:
        """Due work of the order (`kind`, `name`, `provider`, `at`, `error`): an interrupted checkout, events that are
        not published, and webhooks that are not applied yet or, as hints, once more.
        """
        return db.session.execute(_all_due(), {"order": self.order.id, "number": self.order.number}).all()

    @cached_property
    def acts(self) -> Sequence[audit_search.Entry]:
        """Acts of staff on the order, its refunds and its mails."""
        subjects = [Subject(SubjectKind.ORDER, self.order.number)]
        subjects += [Subject(SubjectKind.REFUND, one.id) for one in self.refunds]
        subjects += [Subject(SubjectKind.MAIL, one.id) for one in self.mails]
        return audit_search.find(audit_search.Filters(subjects=subjects), limit=MOST).rows

    @cached_property
    def notes(self) -> list[Note]:
        return of_order(self.order.id, MOST)

    @cached_property
    def _people(self) -> People:
        actors = [*(one.actor for one in self.events), *(one.author for one in self.notes)]
        actors += [Actor.parse(one.actor) for one in self.acts]
        return people(actor.user_id for actor in actors if actor.user_id is not None)

    @property
    def colleagues(self) -> list[Colleague]:
        """Whom a note can mention."""
        return self._people.colleagues

    def name(self, actor: Actor) -> str:
        """Display name of an actor of the history, an act or a note."""
        return staff.name(actor, self._people.emails)


@cache
def _all_due() -> CompoundSelect[Any]:
    """Made once, because that takes longer than the query."""
    order, number = bindparam("order", type_=BigInteger), bindparam("number", type_=Text)
    saga = _due(SAGA, at=Saga.due_at).where(Saga.order_id == order, Saga.due_at.is_not(None))
    events = _due(EVENT, OutboxRow.kind, at=OutboxRow.due_at, error=OutboxRow.error)
    events = events.where(_UNPUBLISHED, OutboxRow.subject == number)
    webhooks = _due(WEBHOOK, WebhookEventRow.dedupe_key, WebhookEventRow.provider, at=WebhookEventRow.due_at)
    webhooks = webhooks.join(Payment, Payment.id == WebhookEventRow.reference)
    mine = (Payment.order_id == order, Payment.provider == WebhookEventRow.provider)
    parts = (
        saga,
        events.order_by(OutboxRow.due_at, OutboxRow.id).limit(MOST_DUE),
        webhooks.where(*mine, _TO_APPLY).order_by(WebhookEventRow.due_at).limit(MOST_DUE),
    )
    return union_all(*(select(part.subquery()) for part in parts))


def _due(kind: str, name: Any = None, provider: Any = None, *, at: Any, error: Any = None) -> Select[Any]:
    texts = {"name": name, "provider": provider, "error": error}
    columns = [(cast(null(), Text) if one is None else one).label(label) for label, one in texts.items()]
    return select(literal(kind, Text).label("kind"), at.label("at"), *columns)
