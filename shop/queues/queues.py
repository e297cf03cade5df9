"""Queues: the rows with a due time, by kind of work. Counts of all of them in one statement, and "run now" by kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    and_,
    case,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    tuple_,
    union_all,
    update,
)

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.alerts.models import ChatMessage, ConditionSchedule, NotificationWindow, Watched
from shop.alerts.stuck_work import TRIES
from shop.checkout.models import Saga
from shop.core import audit, clock, reasons
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.audit_models import AuditEntry
from shop.core.db import Base, UtcDateTime, changed, db, table, transactional
from shop.core.errors import BadInput, Refusal
from shop.core.outbox import OutboxRow
from shop.integrity.models import IntegrityCheck
from shop.mail.models import Mail
from shop.mail.states import MailState
from shop.merchandising.models import ProductImport
from shop.order_search.models import OrderExport
from shop.orders.models import IS_LIVE, Order
from shop.outgoing_webhooks.models import WebhookDelivery
from shop.payments.providers.types import RefundState
from shop.payments.records.models import Capture, Payment, ProviderHealth, Refund, WebhookEventRow
from shop.payments.records.settlement_models import SettlementFile

_NOTHING_WAITS = (
    "Nothing of this kind waits for more than three minutes, apart from rows for which the acquirer asked to wait. "
    "Nothing was changed."
)
COUNTED = 10_000
"""Rows of a kind that are counted; more are "10,000+"."""
AT_ONCE = 200
"""Rows that one "run now" makes due."""
SOON = timedelta(minutes=3)
"""A row that is due within this time is left alone: a worker may be doing it (see the LEASE of each kind)."""
_LONG_AGO = datetime(1, 1, 2, tzinfo=UTC)
_NOT_TAKEN = (RefundState.REQUESTED, RefundState.UNKNOWN)


@dataclass(frozen=True)
class Kind:
    """Rows of `model` with the time `due`, those in `which`. `failing` is true for rows whose last attempt failed.

    Only where `can_run` may staff make rows due now: others are done within seconds, or must not be done earlier.
    `held(at)` is the condition of a row that "run now" leaves alone, because the acquirer asked to wait.
    """

    kind: str
    title: str
    model: type[Base]
    due: Any
    failing: Any = false()
    can_run: bool = False
    which: Any = None
    held: Callable[[datetime], Any] = lambda _at: false()

    @property
    def rows(self) -> Any:
        """The condition of a row that waits or fails. The comparison makes SQLite use the index of due rows."""
        return self.due > _LONG_AGO if self.which is None else self.which


def _paused(at: datetime) -> Any:
    """Providers to which calls are paused: after failures, or because of a Retry-After."""
    return select(ProviderHealth.provider).where(ProviderHealth.paused_until > at)


def _held_payment(at: datetime) -> Any:
    return Payment.unavailable_since.is_not(None) | Payment.provider.in_(_paused(at))


def _held_refund(at: datetime) -> Any:
    of_capture = select(Payment.id).join(Capture, Capture.payment_id == Payment.id)
    return of_capture.where(Capture.id == Refund.capture_id, Payment.provider.in_(_paused(at))).exists()


def _held_file(at: datetime) -> Any:
    return SettlementFile.provider.in_(_paused(at))


_NO_MAIL = Mail.state == MailState.FAILED
QUEUES: tuple[Kind, ...] = (
    Kind("inbox", "Webhooks", WebhookEventRow, WebhookEventRow.due_at, WebhookEventRow.error.is_not(None), True),
    Kind("saga", "Checkouts to finish", Saga, Saga.due_at, Saga.tries >= TRIES),
    Kind(
        "poll",
        "Payment polls",
        Payment,
        Payment.next_check_at,
        Payment.unavailable_since.is_not(None),
        True,
        held=_held_payment,
    ),
    Kind(
        "refund",
        "Refunds",
        Refund,
        Refund.next_check_at,
        Refund.state.in_(_NOT_TAKEN) & (Refund.checks > 1),
        True,
        held=_held_refund,
    ),
    Kind(
        "closing",
        "Orders to end",
        Order,
        func.coalesce(Order.cancel_requested_at, Order.pay_by, type_=UtcDateTime),
        which=IS_LIVE & (Order.pay_by > _LONG_AGO) & Order.review_since.is_(None),
    ),
    Kind("outbox", "Events to publish", OutboxRow, OutboxRow.due_at, OutboxRow.error.is_not(None)),
    Kind(
        "mail",
        "Mails",
        Mail,
        Mail.next_attempt_at,
        Mail.error.is_not(None),
        True,
        or_(Mail.next_attempt_at > _LONG_AGO, _NO_MAIL),
    ),
    Kind(
        "outgoing_webhooks",
        "Outgoing webhooks",
        WebhookDelivery,
        WebhookDelivery.next_attempt_at,
        WebhookDelivery.error.is_not(None),
        True,
    ),
    Kind("chat", "Chat messages", ChatMessage, ChatMessage.next_attempt_at, ChatMessage.error.is_not(None), True),
    Kind("export", "Exports of orders", OrderExport, OrderExport.due_at),
    Kind("import", "Imports of products", ProductImport, ProductImport.due_at),
    Kind(
        "settlement",
        "Settlement files",
        SettlementFile,
        SettlementFile.due_at,
        SettlementFile.error.is_not(None),
        True,
        held=_held_file,
    ),
    Kind("summary", "Summaries of alerts", NotificationWindow, NotificationWindow.due_at),
    Kind("integrity", "Integrity check", IntegrityCheck, IntegrityCheck.due_at),
    Kind("watch", "Orders that alerts watch", Watched, Watched.due_at),
    Kind("conditions", "Conditions of alerts", ConditionSchedule, ConditionSchedule.due_at),
    Kind("audit", "Audit entries to seal", AuditEntry, AuditEntry.at, which=AuditEntry.seal.is_(None)),
)
"""All kinds of work with rows, in the order of the page."""
WITHOUT_ROWS: Mapping[str, str] = {
    "documents": "Missing receipts and credit notes are looked for every few minutes.",
    "search": "Products that the search lacks are looked for every two minutes.",
    "invariants": "Orders that changed are checked every half minute.",
    "statistics": "Facts are added to the roll-ups within minutes; figures that are read include newer ones.",
    "retention": "Expired rows are deleted in passes, an hour apart.",
    "planner": "SQLite counts the rows of its indexes every six hours, for its query plans.",
}
"""Kinds of work that the clock process does by its own time, without due rows."""
_BY_KIND = {queue.kind: queue for queue in QUEUES}


@dataclass(frozen=True)
class State:
    """Numbers of a queue: rows that wait for their time or are due, rows that are due, and rows that failed, each at
    most COUNTED + 1; `oldest` is the earliest due time.
    """

    queue: Kind
    waiting: int
    due: int
    failing: int
    oldest: datetime | None


def states() -> list[State]:
    """The present state of every queue. One statement."""
    at = clock.now()
    found = {row.kind: row for row in db.session.execute(union_all(*(_counts(queue, at) for queue in QUEUES)))}
    db.session.rollback()
    return [
        State(queue, row.waiting, row.due or 0, row.failing or 0, row.oldest)
        for queue, row in ((queue, found[queue.kind]) for queue in QUEUES)
    ]


def _counts(queue: Kind, at: datetime) -> Any:
    one_if = {"due": queue.due <= at, "failing": queue.failing}
    flags = [case((condition, 1), else_=0).label(name) for name, condition in one_if.items()]
    rows = select(queue.due.label("at"), *flags).where(queue.rows).order_by(queue.due).limit(COUNTED + 1).subquery()
    return select(
        literal(queue.kind).label("kind"),
        func.count(rows.c.at).label("waiting"),
        func.sum(rows.c.due).label("due"),
        func.sum(rows.c.failing).label("failing"),
        func.min(rows.c.at).label("oldest"),
    )


@transactional
def run_now(kind: str, *, by: Actor, reason: str) -> int:
    """Make rows of a kind due now that would wait for minutes or longer, the next AT_ONCE of them; returns their
    number. The clock and the workers do them within seconds. Rows for which the acquirer asked to wait are left alone.

    Raises Forbidden; BadInput `unknown_queue`, and as `reasons.needed`; Refusal `nothing_waits`.
    """
    rights.demand(by, Permission.QUEUE_RUN)
    queue = _BY_KIND.get(kind)
    if queue is None or not queue.can_run:
        known = ", ".join(one.kind for one in QUEUES if one.can_run)
        raise BadInput("unknown_queue", f"{kind[:40]!r} is not a queue that can be run now. Those are {known}.")
    stated = reasons.needed(reason)
    count = _make_due(queue, clock.now())
    if not count:
        raise Refusal("nothing_waits", _NOTHING_WAITS)
    audit.record(by, Act.QUEUE_RUN, Subject(SubjectKind.QUEUE, kind), after={"made_due": count}, reason=stated)
    return count


def _make_due(queue: Kind, at: datetime) -> int:
    of = table(queue.model)
    keys = list(of.primary_key.columns)
    key: Any = keys[0] if len(keys) == 1 else tuple_(*keys)
    waits = and_(queue.due > at + SOON, not_(queue.held(at)))
    chosen = select(*keys).where(waits).order_by(queue.due, *keys).limit(AT_ONCE).with_for_update(skip_locked=True)
    due_now = update(queue.model).where(key.in_(chosen), waits).values({queue.due: at})
    return changed(due_now.execution_options(synchronize_session=False))
