"""Alerts on mails about orders that have failed for good."""

from __future__ import annotations

from sqlalchemy import exists, func, select

from shop.alerts.episodes import AT_ONCE, CheckRun, report, resolve_over
from shop.alerts.models import IS_OPEN, Alert
from shop.alerts.store import WATCH, Cause
from shop.core.db import db
from shop.mail.models import Mail
from shop.mail.states import MailState
from shop.orders.models import ERASED, Order

RULE = "OPS_MAIL_FAILED"
_CAUSE = "mail "
"""Followed by the mail's id."""


def failed(_run: CheckRun) -> None:
    """Alert on each FAILED mail about an order, until it is SENT after a retry, or deleted.

    Mails to staff are about no order, so that an alert that cannot be mailed raises none. The address of an erased
    customer is no failure.
    """
    _resolve()
    report(_found())


def _found() -> list[Cause]:
    """FAILED mails that never had an alert."""
    known = exists().where(Alert.rule == RULE, Alert.subject == Order.number, Alert.cause == _CAUSE + Mail.id)
    rows = (
        select(Mail.id, Mail.kind, Mail.attempts, Mail.error, Order.id.label("order_id"), Order.number)
        .join(Order, Order.id == Mail.order_id)
        .where(Mail.state == MailState.FAILED, Mail.recipient != ERASED, ~known)
        .limit(AT_ONCE)
    )
    return [
        Cause(
            rule=RULE,
            subject=row.number,
            cause=_CAUSE + row.id,
            source=WATCH,
            observed={"mail": row.id, "kind": row.kind, "attempts": row.attempts, "error": row.error},
            expected={"mailState": MailState.SENT},
            order_id=row.order_id,
            order_no=row.number,
        )
        for row in db.session.execute(rows)
    ]


def _resolve() -> None:
    mail_id = func.substr(Alert.cause, len(_CAUSE) + 1)
    ended = (
        select(Alert, Mail.id)
        .outerjoin(Mail, Mail.id == mail_id)
        .where(Alert.rule == RULE, IS_OPEN, Mail.id.is_(None) | (Mail.state == MailState.SENT))
    )
    rows = db.session.execute(ended).all()
    resolve_over([alert for alert, mail in rows if mail], "The mail has been sent.")
    resolve_over([alert for alert, mail in rows if not mail], "The mail was deleted after its retention period.")
