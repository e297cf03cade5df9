"""Retry of failed mails, and of mails that events of orders demand and that do not exist, such as those whose events a
clock process of an older version has published during an upgrade.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Text, cast, exists, func, select

from shop.core import audit, clock
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import db, transactional
from shop.mail import outgoing
from shop.mail.decide import KINDS_OF_ORDERS, mails_for
from shop.mail.models import Mail
from shop.orders.models import Order, OrderEvent

WINDOW = timedelta(days=29)
"""A day less than mails are kept."""
SLACK = timedelta(seconds=90)
"""Time in which an event is published, and its mails are queued."""


def find(orders: Sequence[int] | None = None) -> list[tuple[str, dict[str, Any]]]:
    """Kind and fields of events without the mails that they demand, of all orders or of `orders`. Events from before
    the first mail demand none.
    """
    at = clock.now()
    first = select(func.min(Mail.created_at)).scalar_subquery()
    has_mail = exists().where(Mail.subject == Order.number, Mail.event == cast(OrderEvent.seq, Text))
    query = (
        select(OrderEvent, Order.number)
        .join(Order, Order.id == OrderEvent.order_id)
        .where(OrderEvent.kind.in_(KINDS_OF_ORDERS), OrderEvent.at >= first, ~has_mail)
        .where(OrderEvent.at >= at - WINDOW, OrderEvent.at < at - SLACK)
    )
    if orders is not None:
        query = query.where(OrderEvent.order_id.in_(orders))
    found = [(event.kind, _fields(event, number)) for event, number in db.session.execute(query)]
    db.session.rollback()
    return [(kind, fields) for kind, fields in found if mails_for(kind, fields)]


def _fields(event: OrderEvent, number: str) -> dict[str, Any]:
    """The fields of an event as they were published."""
    which = {"order_id": event.order_id, "order_no": number, "seq": event.seq}
    transition = {"source": event.source, "target": event.target, "because": event.because}
    return transition | (event.data or {}) | which


@transactional
def queue() -> int:
    """Queue the missing mails of all orders; returns the number of their events."""
    found = find()
    for kind, fields in found:
        outgoing.after_event(kind, fields)
    return len(found)


@transactional
def retry(mail_ids: Sequence[str] = (), *, by: Actor) -> tuple[int, int]:
    """Make failed mails due again: those of `mail_ids`, or all, and then also queue the missing ones. Returns the
    numbers of both.
    """
    queued = 0 if mail_ids else queue()
    retried = outgoing.make_due_again(mail_ids)
    if retried or queued:
        subject = Subject(SubjectKind.MAIL, mail_ids[0] if len(mail_ids) == 1 else "")
        after = {"mails": list(mail_ids) or "all", "retried": retried, "queued": queued}
        audit.record(by, Act.MAILS_RETRIED, subject, after=after)
    return retried, queued
