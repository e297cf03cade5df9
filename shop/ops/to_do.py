"""List of what needs a person: open alerts, requests that wait for a second person, open disputes, notes."""

from __future__ import annotations

import textwrap
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from flask import url_for
from sqlalchemy import func, select

from shop.accounts import staff
from shop.accounts.permissions import Permission
from shop.alerts import store
from shop.alerts.rules import RULES
from shop.core.actor import Actor
from shop.core.db import db
from shop.ops import waiting
from shop.order_notes import notes
from shop.orders.models import Order
from shop.payments.providers.types import DisputeState
from shop.payments.records.settlement_models import Dispute

AT_MOST = 100
"""Items of each kind; the page says when there are more."""


@dataclass(frozen=True)
class Item:
    """A thing to do, and the address of its page. `tone` is the tone of its chip, `due` the time until which it has to
    be done, if there is one.
    """

    kind: str
    tone: str
    what: str
    about: str
    amount: str
    since: datetime
    due: datetime | None
    owner: str
    address: str


def items(reader: Actor, permissions: Collection[Permission]) -> list[Item]:
    """Things to do, by deadline and severity, then the oldest first; only kinds that the reader may read."""
    found = _alerts() if Permission.ALERT_READ in permissions else []
    found += _requests(reader) if Permission.ORDER_READ in permissions else []
    found += _disputes() if Permission.DISPUTE_READ in permissions else []
    found += _notes(reader) if Permission.ORDER_READ in permissions else []
    return sorted(found, key=lambda item: (item.tone != "bad", item.due is None, item.due or item.since, item.since))


def _alerts() -> list[Item]:
    return [
        Item(
            kind=f"Alert {alert.severity}",
            tone="bad" if alert.severity == "P1" else "wait",
            what=RULES[alert.rule][1],
            about=alert.subject,
            amount="",
            since=alert.detected_at,
            due=None,
            owner=waiting.names({alert.acknowledged_by})[alert.acknowledged_by] if alert.acknowledged_by else "",
            address=url_for("ops.alerts.show", alert_id=alert.id),
        )
        for alert in store.open_alerts(limit=AT_MOST)
    ]


def _requests(reader: Actor) -> list[Item]:
    return [
        Item(
            kind="Approval",
            tone="wait",
            what=f"{one.kind.capitalize()} {one.about}",
            about=one.order_number or one.id,
            amount=one.money.with_code(),
            since=one.requested_at,
            due=None,
            owner="waits for another person" if one.is_own else "",
            address=url_for("ops.approvals.index", _anchor=f"request-{one.id}"),
        )
        for one in waiting.requests(reader)[:AT_MOST]
    ]


def _notes(reader: Actor) -> list[Item]:
    """Notes on orders that mention the reader, who marks them as done on the page of the order."""
    found = notes.open_for(reader, AT_MOST)
    authors = staff.labels(one.author for one in found)
    return [
        Item(
            kind="Note",
            tone="wait",
            what=f"{authors[one.author]}: {textwrap.shorten(one.text, 100, placeholder='…')}",
            about=one.order_number,
            amount="",
            since=one.at,
            due=None,
            owner="you",
            address=url_for("ops.order.show", number=one.order_number, _anchor=f"note-{one.note_id}"),
        )
        for one in found
    ]


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
            kind="Dispute",
            tone="bad",
            what=f"{dispute.kind.capitalize()} at {dispute.provider}{f' ({dispute.reason})' if dispute.reason else ''}",
            about=number,
            amount=dispute.money.with_code(),
            since=dispute.opened_at,
            due=dispute.respond_by,
            owner="",
            address=url_for("ops.order.show", number=number),
        )
        for dispute, number in db.session.execute(query)
    ]
