"""Rows of an order for its explanations. Each table is read once, when it is first needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from typing import Any

from sqlalchemy import (
    BigInteger,
    CompoundSelect,
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
from shop.accounts.models import User
from shop.checkout.models import Saga
from shop.core import audit_search
from shop.core.actor import Actor
from shop.core.audit import SubjectKind
from shop.core.db import db, read_together, table
from shop.core.outbox import OutboxRow
from shop.ledger.hold_states import HoldState
from shop.ledger.models import CreditHold
from shop.mail.models import Mail
from shop.order_notes.mentions import Colleague
from shop.order_notes.notes import Note, People, noted, of_order, people
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


@dataclass(frozen=True)
class Due:
    """Due work of an order: an interrupted checkout, an event that is not published, or a webhook that is not applied
    yet or, as a hint, once more. A webhook has `name` and `provider`, an event `name` and perhaps an `error`.
    """

    kind: str
    at: datetime
    name: Any
    provider: Any
    error: str | None


class OrderRows:
    """An order and copies of its rows, which no session tracks. They are read in two groups, when first needed: its
    money, and what has happened. Payments, captures and updates are sorted by id.
    """

    def __init__(self, order: Order) -> None:
        self.order = order

    @cached_property
    def _money(self) -> list[list[dict[str, Any]]]:
        return read_together(_money(), {"order": self.order.id, "account": self.order.user_id})

    @cached_property
    def _history(self) -> list[list[dict[str, Any]]]:
        return read_together(_history(), {"order": self.order.id, "number": self.order.number})

    @cached_property
    def paused_until(self) -> dict[str, datetime | None]:
        """The time until which calls about a payment are paused, by its id."""
        return {row["id"]: row["paused_until"] for row in self._money[0]}

    @cached_property
    def payments(self) -> list[Payment]:
        return [Payment(**{name: row[name] for name in row if name != "paused_until"}) for row in self._money[0]]

    def payment(self, payment_id: str | None) -> Payment | None:
        return next((one for one in self.payments if one.id == payment_id), None)

    @cached_property
    def captures(self) -> list[Capture]:
        return [Capture(**row) for row in self._money[1]]

    @cached_property
    def refunds(self) -> list[Refund]:
        return [Refund(**row) for row in self._money[2]]

    @cached_property
    def disputes(self) -> list[Dispute]:
        return [Dispute(**row) for row in self._money[3]]

    @cached_property
    def money(self) -> Snapshot:
        """Snapshot of the order's money, without the keys of its journals, which only decisions need."""
        credit, account = None, self.order.user_id if self._money[4] else None
        if self.order.credit_amount:
            used = (CreditHold.order_id == self.order.id, CreditHold.state == HoldState.USED)
            credit = db.session.scalars(select(CreditHold).where(*used)).one_or_none()
        return load.of_rows(self.order, self.payments, self.captures, self.refunds, self.disputes, credit, account)

    @cached_property
    def events(self) -> list[OrderEvent]:
        """The history."""
        return [OrderEvent(**row) for row in self._history[0]]

    @cached_property
    def updates(self) -> list[tuple[PaymentUpdateRow, WebhookEventRow | None]]:
        """Reports of acquirers about the payments, and the webhook of those that one brought."""
        return [_with_webhook(row) for row in reversed(self._history[1])]

    @cached_property
    def mails(self) -> list[Mail]:
        return [Mail(**row) for row in self._history[2]]

    @cached_property
    def due(self) -> list[Due]:
        return [Due(**row) for row in self._history[3]]

    @cached_property
    def acts(self) -> Sequence[audit_search.Entry]:
        """Acts of staff on the order, its refunds and its mails."""
        found = [audit_search.entry(row) for row in self._history[4]]
        return sorted(found, key=lambda one: (one.at, one.id), reverse=True)[:MOST]

    @cached_property
    def notes(self) -> list[Note]:
        return noted(self._history[5])

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


_ORDER, _NUMBER = bindparam("order", type_=BigInteger), bindparam("number", type_=Text)
_ACCOUNT = bindparam("account", type_=BigInteger)


@cache
def _money() -> tuple[Select[Any], ...]:
    """Select payments, captures, refunds, disputes and the account of an order. Made once, because that takes longer
    than the queries.
    """
    payment, health, capture = table(Payment), table(ProviderHealth), table(Capture)
    refund, dispute, user = table(Refund), table(Dispute), table(User)
    payments = select(*payment.c, health.c.paused_until).where(payment.c.order_id == _ORDER)
    captures = select(*capture.c).join(payment, payment.c.id == capture.c.payment_id)
    return (
        payments.outerjoin(health, health.c.provider == payment.c.provider).order_by(payment.c.id),
        captures.where(payment.c.order_id == _ORDER).order_by(capture.c.id),
        select(*refund.c).where(refund.c.order_id == _ORDER).order_by(refund.c.created_at, refund.c.id),
        select(*dispute.c).where(dispute.c.order_id == _ORDER).order_by(dispute.c.id),
        select(user.c.id).where(user.c.id == _ACCOUNT, user.c.deleted_at.is_(None)),
    )


@cache
def _history() -> tuple[Any, ...]:
    """Select events, updates, mails, due work, acts and notes of an order. Made once, as `_money`."""
    event, mail, refund = table(OrderEvent), table(Mail), table(Refund)
    return (
        select(*event.c).where(event.c.order_id == _ORDER).order_by(event.c.seq),
        _updates(),
        select(*mail.c).where(mail.c.order_id == _ORDER).order_by(mail.c.id.desc()).limit(MOST),
        _all_due(),
        audit_search.newest_of(
            {
                SubjectKind.ORDER: select(_NUMBER),
                SubjectKind.REFUND: select(refund.c.id).where(refund.c.order_id == _ORDER),
                SubjectKind.MAIL: select(mail.c.id).where(mail.c.order_id == _ORDER),
            },
            MOST,
        ),
        of_order(_ORDER, MOST),
    )


_OF_WEBHOOK = "of_webhook_"


def _updates() -> Select[Any]:
    update, webhook, payment = table(PaymentUpdateRow), table(WebhookEventRow), table(Payment)
    query = select(*update.c, *(column.label(_OF_WEBHOOK + column.name) for column in webhook.c))
    query = query.join(payment, payment.c.id == update.c.payment_id)
    query = query.outerjoin(webhook, webhook.c.id == update.c.webhook_event_id)
    return query.where(payment.c.order_id == _ORDER).order_by(update.c.id.desc()).limit(MOST)


def _with_webhook(row: dict[str, Any]) -> tuple[PaymentUpdateRow, WebhookEventRow | None]:
    of_webhook = {name.removeprefix(_OF_WEBHOOK): row[name] for name in row if name.startswith(_OF_WEBHOOK)}
    update = PaymentUpdateRow(**{name: row[name] for name in row if not name.startswith(_OF_WEBHOOK)})
    return update, WebhookEventRow(**of_webhook) if of_webhook["id"] is not None else None


def _all_due() -> CompoundSelect[Any]:
    saga = _due(SAGA, at=Saga.due_at).where(Saga.order_id == _ORDER, Saga.due_at.is_not(None))
    events = _due(EVENT, OutboxRow.kind, at=OutboxRow.due_at, error=OutboxRow.error)
    events = events.where(_UNPUBLISHED, OutboxRow.subject == _NUMBER)
    webhooks = _due(WEBHOOK, WebhookEventRow.dedupe_key, WebhookEventRow.provider, at=WebhookEventRow.due_at)
    webhooks = webhooks.join(Payment, Payment.id == WebhookEventRow.reference)
    mine = (Payment.order_id == _ORDER, Payment.provider == WebhookEventRow.provider)
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
