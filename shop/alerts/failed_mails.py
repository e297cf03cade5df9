"""Alerts on mails about orders that have failed for good."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Exists, Label, and_, exists, func, or_, select

from shop.alerts.episodes import AT_ONCE, CheckRun, report, resolve_over
from shop.alerts.models import IS_OPEN, Alert
from shop.alerts.store import WATCH, WATCHER, Cause
from shop.core.db import db
from shop.mail.models import Mail
from shop.mail.states import MailState
from shop.orders.models import ERASED, Order

RULE = "OPS_MAIL_FAILED"


def failed(_run: CheckRun) -> None:
    """Alert once on an order with FAILED mails, until all its mails are SENT, after a retry, or deleted.

    An alert that staff have resolved covers later mails too, while a mail that existed then is not SENT: a wrong
    address fails again. Mails to staff are about no order, so that an alert that cannot be mailed raises none. The
    address of an erased customer is no failure.
    """
    _resolve()
    report(_found())


def _found() -> list[Cause]:
    """The first FAILED mail of each order, unless an alert covers the order."""
    of_orders = (Mail.state == MailState.FAILED, Mail.recipient != ERASED, Mail.order_id.is_not(None))
    first = select(func.min(Mail.id)).where(*of_orders).group_by(Mail.order_id).correlate(None)
    rows = db.session.execute(
        select(Mail.id, Mail.kind, Mail.attempts, Mail.error, Order.id.label("order_id"), Order.number, _earlier())
        .join(Order, Order.id == Mail.order_id)
        .where(Mail.id.in_(first), ~_is_covered())
        .limit(AT_ONCE)
    )
    return [
        Cause(
            rule=RULE,
            subject=row.number,
            cause=f"failure {row.earlier + 1}",
            source=WATCH,
            observed={"mail": row.id, "kind": row.kind, "attempts": row.attempts, "error": row.error},
            expected={"mailState": MailState.SENT},
            order_id=row.order_id,
            order_no=row.number,
        )
        for row in rows
    ]


def _earlier() -> Label[int]:
    """The number of the order's earlier alerts. It is part of the cause, so that two checks at once raise one alert."""
    alerts = select(func.count()).where(Alert.rule == RULE, Alert.subject == Order.number)
    return alerts.correlate(Order).scalar_subquery().label("earlier")


def _is_covered() -> Exists:
    """Condition that an alert about the order is open, or was resolved by staff and its failure goes on."""
    by_staff = and_(Alert.resolved_by != WATCHER, _has_unsent(Mail.created_at <= Alert.resolved_at))
    return exists().where(Alert.rule == RULE, Alert.subject == Order.number, or_(IS_OPEN, by_staff))


def _has_unsent(*which: ColumnElement[bool]) -> Exists:
    """Condition that the order of an alert has a mail that is not SENT, among those for which `which` holds."""
    unsent = exists().where(Mail.order_id == Alert.order_id, Mail.state != MailState.SENT, Mail.recipient != ERASED)
    return unsent.where(*which).correlate(Alert)


def _resolve() -> None:
    over = db.session.scalars(select(Alert).where(Alert.rule == RULE, IS_OPEN, ~_has_unsent())).all()
    resolve_over(over, "Its mails have been sent, or deleted after their retention period.")
