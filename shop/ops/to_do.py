"""List of what needs a person: open alerts, requests that wait for a second person, open disputes, notes."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from flask import url_for
from sqlalchemy import func, select

from shop.accounts import staff
from shop.accounts.permissions import Permission
from shop.alerts import claims, notification_texts, requests, store
from shop.alerts.rules import RULES
from shop.alerts.states import AlertState
from shop.core import clock
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.money import Money
from shop.explain import next_steps
from shop.explain.next_step import Step
from shop.order_notes import notes
from shop.orders.models import Order
from shop.payments.providers.types import DisputeState
from shop.payments.records.settlement_models import Dispute

AT_MOST = 100
"""Items of each kind; the page says when there are more."""
INBOX = "inbox "
"""The subject of an alert about a webhook begins with it; the number of the webhook follows."""
_LISTED_ITSELF = ("OPS_APPROVAL_WAITS", "OPS_DISPUTE_DUE")
"""Rules of alerts about requests and disputes, which are in the list themselves."""
_AFTER_APPROVAL = {
    "refund": "Sends the refund after the approval",
    "payout": "Books the payout after the approval",
    "store credit": "Gives the store credit after the approval",
    "roles": "Gives the roles after the approval",
}


@dataclass(frozen=True)
class Item:
    """A thing to do, and the address of its page. `tone` is the tone of its chip, `due` the time until which it has to
    be done, if there is one. `claim` is its key in `shop.alerts.claims`, empty where the owner cannot change;
    `alert_id` is that of an alert that can be acknowledged, `rule` the rule of an alert, `note_id` that of a note that
    can be marked as done.
    """

    claim: str
    kind: str
    tone: str
    what: str
    about: str
    order_number: str | None
    money: Money | None
    since: datetime
    address: str
    due: datetime | None = None
    by: Actor | None = None
    owner: str = ""
    is_claimed: bool = False
    is_own: bool = False
    alert_id: int | None = None
    note_id: int | None = None
    step: Step | None = None
    waits_for: str = "None: it waits for a person"
    order_id: int | None = None
    rule: str = ""

    @property
    def age(self) -> str:
        """Time since its cause began."""
        return notification_texts.age(clock.now() - self.since)

    @property
    def webhook_id(self) -> int | None:
        """The webhook that an alert is about."""
        number = self.about.removeprefix(INBOX)
        return int(number) if self.about.startswith(INBOX) and number.isdecimal() else None


def items(reader: Actor, permissions: Collection[Permission]) -> list[Item]:
    """Things to do, by deadline and severity, then the oldest first; only kinds that the reader may read."""
    found = _alerts() if Permission.ALERT_READ in permissions else []
    found += _requests(reader, permissions)
    found += _disputes() if Permission.DISPUTE_READ in permissions else []
    mentioned = notes.open_for(reader, AT_MOST) if Permission.ORDER_READ in permissions else []
    found = _with_steps(_with_people(found, mentioned, reader))
    return sorted(found, key=lambda item: (item.tone != "bad", item.due is None, item.due or item.since, item.since))


def _alerts() -> list[Item]:
    return [
        Item(
            claim=claims.thing("alert", str(alert.id)),
            kind=f"Alert {alert.severity}",
            tone="bad" if alert.severity == "P1" else "wait",
            what=RULES[alert.rule][1],
            about=alert.subject,
            order_number=alert.order_no,
            money=notification_texts.money(alert.observed, alert.expected),
            since=alert.waits_since or alert.detected_at,
            address=url_for("ops.alerts.show", alert_id=alert.id),
            by=alert.acknowledged_by,
            alert_id=alert.id if alert.state == AlertState.NEW else None,
            order_id=alert.order_id,
            rule=alert.rule,
        )
        for alert in store.open_alerts(without=_LISTED_ITSELF, limit=AT_MOST)
    ]


def _requests(reader: Actor, permissions: Collection[Permission]) -> list[Item]:
    """Requests about money, for readers of orders, and about roles, for readers of accounts."""
    readable = {"roles": Permission.USER_READ}
    return [
        Item(
            claim=claims.thing("approval", one.id if one.kind != "roles" else f"{requests.ROLES}{one.id}"),
            kind="Approval",
            tone="wait",
            what=f"{one.kind.capitalize()} {one.id}",
            about=one.order_number or one.id,
            order_number=one.order_number,
            money=one.money,
            since=one.requested_at,
            address=_page(one),
            is_own=one.requested_by == reader,
            waits_for=_AFTER_APPROVAL[one.kind],
        )
        for one in requests.load(AT_MOST)
        if readable.get(one.kind, Permission.ORDER_READ) in permissions
    ]


def _notes(mentioned: Sequence[notes.Mentioned], reader: Actor, names: Mapping[Actor, str]) -> list[Item]:
    """Notes on orders that mention the reader, who owns them until they are marked as done."""
    return [
        Item(
            claim="",
            kind="Note",
            tone="wait",
            what=f"{names[one.author]}: {textwrap.shorten(one.text, 100, placeholder='…')}",
            about=one.order_number,
            order_number=one.order_number,
            money=None,
            since=one.at,
            address=url_for("ops.order.show", number=one.order_number, _anchor=f"note-{one.note_id}"),
            by=reader,
            note_id=one.note_id,
            owner=names[reader],
            waits_for="None: it waits for you",
        )
        for one in mentioned
    ]


def _page(one: requests.Request) -> str:
    if one.kind == "roles":
        return url_for("ops.users.show_all")
    return url_for("ops.approvals.index", _anchor=f"request-{one.id}")


def _disputes() -> list[Item]:
    """Open disputes; they are answered in the acquirer's dashboard."""
    query = (
        select(Dispute, Order.number)
        .join(Order, Order.id == Dispute.order_id)
        .where(Dispute.state == DisputeState.OPEN)
        .order_by(func.coalesce(Dispute.respond_by, Dispute.opened_at), Dispute.id)
        .limit(AT_MOST)
    )
    return [
        Item(
            claim=claims.thing("dispute", str(dispute.id)),
            kind="Dispute",
            tone="bad",
            what=f"{dispute.kind.capitalize()} at {dispute.provider}{f' ({dispute.reason})' if dispute.reason else ''}",
            about=number,
            order_number=number,
            money=dispute.money,
            since=dispute.opened_at,
            address=url_for("ops.order.show", number=number),
            due=dispute.respond_by,
            waits_for="The bank decides after the answer date",
        )
        for dispute, number in db.session.execute(query)
    ]


def _with_people(found: list[Item], mentioned: Sequence[notes.Mentioned], reader: Actor) -> list[Item]:
    """The items with who claimed or acknowledged them, and the notes. Two statements."""
    claimed = claims.owners(item.claim for item in found)
    owners = [*claimed.values(), *(item.by for item in found if item.by)]
    names = staff.labels([*owners, *([reader] if mentioned else []), *(one.author for one in mentioned)])
    owned = [_owned(item, claimed.get(item.claim), names) for item in found]
    return owned + _notes(mentioned, reader, names)


def _owned(item: Item, claimed: Actor | None, names: Mapping[Actor, str]) -> Item:
    owner = claimed or item.by
    name = names[owner] if owner else "waits for another person" if item.is_own else ""
    return replace(item, by=owner, owner=name, is_claimed=claimed is not None)


def _with_steps(found: list[Item]) -> list[Item]:
    """The items about alerts with the next automatic step of their order or webhook. One statement."""
    orders = {item.order_id for item in found if item.order_id is not None}
    webhooks = {item.webhook_id for item in found if item.webhook_id is not None}
    steps = next_steps.steps(orders, webhooks)
    return [
        replace(item, step=steps.get(("order", item.order_id or 0)) or steps.get(("webhook", item.webhook_id or 0)))
        for item in found
    ]
