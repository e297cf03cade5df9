"""Retry of failed mails, and of mails that events of orders demand and that do not exist, such as those whose events a
clock process of an older version has published during an upgrade.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, Text, and_, cast, exists, func, or_, select

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.core import audit, clock
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import db, transactional
from shop.core.event_types import EventKind
from shop.mail import decide, outgoing
from shop.mail.models import Mail
from shop.orders.models import Order, OrderEvent
from shop.orders.states import Reason

WINDOW = timedelta(days=29)
"""A day less than mails are kept."""
SLACK = timedelta(seconds=90)
"""Time in which an event is published, and its mails are queued."""
MOST = 1000
"""Events that one search reads."""
_COLUMNS = ("order_id", "seq", "kind", "source", "target", "because", "data")
_DEMANDS_A_MAIL = or_(
    OrderEvent.kind.in_(decide.PLAIN),
    and_(
        OrderEvent.kind == EventKind.ORDER_MOVED,
        OrderEvent.target.in_(decide.BY_TARGET),
        OrderEvent.because.is_distinct_from(Reason.REFUND_FAILED_LATER),
    ),
    and_(
        OrderEvent.kind == EventKind.REFUND_REQUESTED,
        OrderEvent.data["why"].as_string().in_(decide.AUTOMATIC_REFUNDS),
    ),
)
"""`decide.mails_for` as a condition: the history has many times more events than mails."""


def find(orders: Sequence[int] | None = None) -> list[tuple[str, dict[str, Any]]]:
    """Kind and fields of events without the mails that they demand, of all orders or of `orders`; the first MOST.
    Events from before the first mail demand none.
    """
    found = _search(orders)
    db.session.rollback()
    return found


def _search(orders: Sequence[int] | None = None) -> list[tuple[str, dict[str, Any]]]:
    """As `find`, in the current transaction."""
    at = clock.now()
    first = select(func.min(Mail.created_at)).scalar_subquery()
    has_mail = exists().where(Mail.subject == Order.number, Mail.event == cast(OrderEvent.seq, Text))
    query = (
        select(*(getattr(OrderEvent, name) for name in _COLUMNS), Order.number)
        .join(Order, Order.id == OrderEvent.order_id)
        .where(_DEMANDS_A_MAIL, OrderEvent.at >= first, ~has_mail)
        .where(OrderEvent.at >= at - WINDOW, OrderEvent.at < at - SLACK)
        .order_by(OrderEvent.order_id, OrderEvent.seq)
        .limit(MOST)
    )
    if orders is not None:
        query = query.where(OrderEvent.order_id.in_(orders))
    return [(event.kind, _fields(event)) for event in db.session.execute(query)]


def _fields(event: Row[*tuple[Any, ...]]) -> dict[str, Any]:
    """The fields of an event as they were published."""
    which = {"order_id": event.order_id, "order_no": event.number, "seq": event.seq}
    transition = {"source": event.source, "target": event.target, "because": event.because}
    return transition | (event.data or {}) | which


@transactional
def queue() -> int:
    """Queue the missing mails of all orders; returns the number of their events."""
    number = 0
    while found := _search():
        for kind, fields in found:
            outgoing.after_event(kind, fields)
        number += len(found)
        if len(found) < MOST:
            break
    return number


@transactional
def retry(mail_ids: Sequence[str] = (), *, by: Actor, reason: str = "") -> tuple[int, int]:
    """Make failed mails due again: those of `mail_ids`, or all, and then also queue the missing ones. Returns the
    numbers of both. Raises Forbidden.
    """
    rights.demand(by, Permission.MAIL_RESEND)
    queued = 0 if mail_ids else queue()
    retried = outgoing.make_due_again(mail_ids)
    if retried or queued:
        subject = Subject(SubjectKind.MAIL, mail_ids[0] if len(mail_ids) == 1 else "")
        after = {"mails": list(mail_ids) or "all", "retried": retried, "queued": queued}
        audit.record(by, Act.MAILS_RETRIED, subject, after=after, reason=reason)
    return retried, queued
