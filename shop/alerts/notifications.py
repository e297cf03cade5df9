"""Notify people about P1 alerts and about what waits over a limit, by mail and by the chat webhook.

The effects of the alerts' events queue the mails and the message in one transaction. Unique keys decide races: one mail
for each alert, occasion and recipient, and one message to the chat for each alert and occasion. Of many alerts of a
rule within an hour those above a limit are notified together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import current_app
from sqlalchemy import Select, literal, select

from shop.accounts.models import IS_STAFF, NO_PASSWORD, User
from shop.accounts.permissions import Role
from shop.alerts import chat, notification_limit, notification_texts
from shop.alerts.models import Alert, ChatMessage
from shop.alerts.notification_texts import AlertFacts
from shop.alerts.states import MessageKind, Severity
from shop.core import clock
from shop.core.column_types import EnumText
from shop.core.db import db, transactional
from shop.core.prefix import begins_with
from shop.mail import outgoing
from shop.mail.models import Mail
from shop.mail.states import MailKind, MailState
from shop.payments.calls.request import shop_url

NOTIFIED_ROLES = frozenset({Role.FINANCE, Role.ADMIN})
"""Roles whose accounts get the mails when ALERT_MAIL_TO is empty."""
MOST = 50
"""Recipients of the mails about one alert."""


def after_raised(event: dict[str, Any]) -> None:
    """Notify people about an alert that was raised, if it is a P1."""
    if event["severity"] == Severity.P1:
        _notify(event.get("alert_id", event.get("alertId")), MessageKind.RAISED)


def after_waiting(event: dict[str, Any]) -> None:
    """Notify people about an alert whose cause has waited over its limit."""
    _notify(event["alert_id"], MessageKind.WAITS)


def _notify(alert_id: int | None, kind: MessageKind) -> None:
    alert, at = db.session.get(Alert, alert_id), clock.now()
    if alert is None or not notification_limit.is_first(alert.id, kind, at):
        return
    _summarise(alert.rule, at)
    if notification_limit.count(alert, at):
        found = _facts(alert, kind)
        _send(alert, kind, found.title, found.facts, f"{shop_url()}/ops/alerts/{alert.id}")


def due() -> list[str]:
    """Rules whose further alerts are to be notified together now."""
    found = notification_limit.due(clock.now())
    db.session.rollback()
    return found


@transactional
def summarise_due(rule: str) -> None:
    """Notify people of the further alerts of a rule. Safe to repeat, and by several processes at once."""
    _summarise(rule, clock.now())


def _summarise(rule: str, at: datetime) -> None:
    found = notification_limit.end(rule, at)
    alert = db.session.get(Alert, found.alert_id) if found else None
    if found and alert:
        title, facts = notification_texts.summary(rule, found.number, found.began_at)
        _send(alert, MessageKind.MORE, title, facts, f"{shop_url()}/ops/alerts?rule={rule}")


def _send(alert: Alert, kind: MessageKind, title: str, facts: list[str], address: str) -> None:
    chat.queue(alert.id, kind, notification_texts.for_chat(title, facts, address))
    values = {"alert": alert.id, "title": title, "rule": alert.rule, "facts": facts, "address": address}
    for recipient, key in _recipients():
        outgoing.queue(
            MailKind.ALERT,
            to=recipient,
            language=outgoing.LANGUAGE_OF_STAFF,
            data=values,
            key=f"{_key(alert.id, kind)}{key}",
            subject=alert.order_no or "",
        )


def _facts(alert: Alert, kind: MessageKind) -> AlertFacts:
    return AlertFacts(
        alert=alert.id,
        kind=kind,
        severity=alert.severity,
        rule=alert.rule,
        about=alert.order_no or alert.subject,
        is_order=alert.order_no is not None,
        money=notification_texts.money(alert.observed, alert.expected),
        since=alert.waits_since or alert.detected_at,
        at=clock.now(),
        due=_moment(alert.observed, "respondBy"),
    )


def _moment(values: Mapping[str, Any], name: str) -> datetime | None:
    found = values.get(name)
    return datetime.fromisoformat(found) if found else None


def _key(alert_id: int, kind: MessageKind) -> str:
    return f"alert-{alert_id}-" if kind is MessageKind.RAISED else f"alert-{alert_id}-{kind}-"


def _recipients() -> list[tuple[str, str]]:
    """Address and key of each recipient: ALERT_MAIL_TO, or else the staff with one of NOTIFIED_ROLES."""
    named = current_app.config["ALERT_MAIL_TO"]
    if named:
        return [(address, str(number)) for number, address in enumerate(named[:MOST], start=1)]
    staff = select(User.id, User.email, User.roles).where(IS_STAFF, User.disabled_at.is_(None))
    staff = staff.where(User.password_hash != NO_PASSWORD).order_by(User.email)
    notified = [row for row in db.session.execute(staff) if NOTIFIED_ROLES & set(row.roles)]
    return [(row.email, f"account-{row.id}") for row in notified[:MOST]]


# --- mails and messages about an alert --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Notification:
    """A mail or a message about an alert. `at` is when it was sent, or else queued; `to` is empty for the chat."""

    channel: str
    kind: MessageKind
    to: str
    state: MailState
    at: datetime
    attempts: int
    error: str | None
    mail_id: str | None = None


def about(alert_id: int) -> list[Notification]:
    """Notifications about an alert, in the order of their occasions. Two statements."""
    messages = db.session.scalars(select(ChatMessage).where(ChatMessage.alert_id == alert_id))
    found = [
        Notification("Chat", one.kind, "", one.state, one.sent_at or one.created_at, one.attempts, one.error)
        for one in messages
    ]
    later = [kind for kind in MessageKind if kind is not MessageKind.RAISED]
    for mail in db.session.scalars(mails_about(alert_id)):
        kind = next((kind for kind in later if mail.event.startswith(_key(alert_id, kind))), MessageKind.RAISED)
        at = mail.sent_at or mail.created_at
        found.append(Notification("Mail", kind, mail.recipient, mail.state, at, mail.attempts, mail.error, mail.id))
    return sorted(found, key=lambda one: (one.kind, one.channel, one.to))


def mails_about(alert_id: int) -> Select[Mail]:
    """The mails about an alert, by the prefix of their key."""
    is_alert = Mail.kind == literal(MailKind.ALERT, EnumText(MailKind), literal_execute=True)
    mails = select(Mail).where(is_alert, begins_with(Mail.event, f"alert-{alert_id}-"))
    return mails.limit(len(MessageKind) * MOST)
