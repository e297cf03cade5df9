"""List of what needs a person: open alerts, requests that wait for a second person, open disputes, returns, notes."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from flask import url_for
from sqlalchemy import Row

from shop.accounts.permissions import Permission
from shop.alerts import notification_texts
from shop.alerts.rules import RULES
from shop.alerts.states import AlertState, Severity
from shop.core import clock
from shop.core.actor import Actor
from shop.core.keyset import ON_A_PAGE
from shop.core.money import Money
from shop.explain.next_step import Step
from shop.ops import lists, to_do_rows, waiting
from shop.ops.to_do_rows import Owner
from shop.payments.records.types import RefundDestination
from shop.returns.states import ReturnState

AT_MOST = 100
"""Items of each kind; the page says when there are more."""
INBOX = "inbox "
"""The subject of an alert about a webhook begins with it; the number of the webhook follows."""
Addresses = Callable[[object], str]
_TO_A_BANK = "Books the refund after the approval: its requester sends the money"
_AFTER_APPROVAL = {
    "refund": "Sends the refund after the approval",
    "shortfall": "Marks the order as paid after the approval",
    "payout": "Books the payout after the approval",
    "store credit": "Gives the store credit after the approval",
    "roles": "Gives the roles after the approval",
}


@dataclass(frozen=True)
class Item:
    """A thing to do, and the address of its page. `tone` is the tone of its chip, `due` the time until which it has to
    be done, if there is one. `claim` is its key in `shop.alerts.claims`, empty where the owner cannot change;
    `alert_id` is that of an alert that can be acknowledged, `rule` the rule of an alert, `note_id` that of a note that
    can be marked as done. `age` is the time since its cause began.
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
    age: str = ""

    @property
    def webhook_id(self) -> int | None:
        """The webhook that an alert is about."""
        number = self.about.removeprefix(INBOX)
        return int(number) if self.about.startswith(INBOX) and number.isdecimal() else None


@dataclass(frozen=True)
class ToDo:
    """The most urgent things of an owner; `is_cut` if there are others. The numbers of all things, by kind and of the
    reader's own, of open alerts by rule, and of orders to pack and ship, are without regard to the owner.
    """

    items: list[Item]
    is_cut: bool
    kinds: Mapping[str, int]
    mine: int
    alerts: Mapping[str, int]
    to_ship: int = 0


def load(reader: Actor, permissions: Collection[Permission], owner: Owner | None = None) -> ToDo:
    """Things to do, by deadline and severity, then the oldest first; only kinds that the reader may read. All own
    things, else at most ON_A_PAGE. Two statements.
    """
    limit = None if owner is Owner.ME else ON_A_PAGE + 1
    things = to_do_rows.things(reader, permissions, owner, most=AT_MOST, limit=limit)
    shown = things.rows if limit is None else things.rows[:ON_A_PAGE]
    order_page = lists.addresses("ops.order.show", "number")
    found = [(row, _OF_KIND[row.kind](row, reader, order_page)) for row in shown]
    now = clock.now()
    context = to_do_rows.context(
        [reader, *(row.by for row in shown if row.by), *(row.owner for row in shown if row.owner)],
        {item.order_id for _, item in found if item.rule and item.order_id is not None},
        {item.webhook_id for _, item in found if item.webhook_id is not None},
        counts_alerts=Permission.ALERT_READ in permissions,
        counts_orders=Permission.FULFILMENT_READ in permissions,
    )
    return ToDo(
        [_complete(item, row, context, now) for row, item in found],
        len(things.rows) > len(shown),
        things.kinds,
        things.mine,
        context.alerts,
        context.to_ship,
    )


def _alert(row: Row[Any], _reader: Actor, _order_page: Addresses) -> Item:
    severity, state = row.detail.split()
    return Item(
        claim=row.claim,
        kind=f"Alert {severity}",
        tone="bad" if severity == Severity.P1 else "wait",
        what=RULES[row.what][1],
        about=row.about,
        order_number=row.number,
        money=notification_texts.money(row.observed, row.expected),
        since=row.at,
        address=url_for("ops.alerts.show", alert_id=int(row.id)),
        by=row.owned_by,
        alert_id=int(row.id) if state == AlertState.NEW else None,
        order_id=row.order_id,
        rule=row.what,
    )


def _request(row: Row[Any], reader: Actor, _order_page: Addresses) -> Item:
    return Item(
        claim=row.claim,
        kind="Approval",
        tone="wait",
        what=f"{row.what.capitalize()} {row.id}",
        about=row.number or row.id,
        order_number=row.number,
        money=Money(row.amount, row.currency) if row.currency else None,
        since=row.at,
        address=_page(row),
        by=row.owned_by,
        is_own=row.by == reader,
        waits_for=_TO_A_BANK if row.detail == RefundDestination.BANK else _AFTER_APPROVAL[row.what],
    )


def _note(row: Row[Any], reader: Actor, order_page: Addresses) -> Item:
    """A note on an order that mentions the reader, who owns it until it is marked as done."""
    return Item(
        claim="",
        kind="Note",
        tone="wait",
        what=textwrap.shorten(row.what, 100, placeholder="…"),
        about=row.number,
        order_number=row.number,
        money=None,
        since=row.at,
        address=f"{order_page(row.number)}#note-{row.id}",
        by=reader,
        note_id=int(row.id),
        waits_for="None: it waits for you",
    )


def _dispute(row: Row[Any], _reader: Actor, order_page: Addresses) -> Item:
    """An open dispute; it is answered in the acquirer's dashboard."""
    return Item(
        claim=row.claim,
        kind="Dispute",
        tone="bad",
        what=f"{row.about.capitalize()} at {row.what}{f' ({row.detail})' if row.detail else ''}",
        about=row.number,
        order_number=row.number,
        money=Money(row.amount, row.currency),
        since=row.at,
        address=order_page(row.number),
        due=row.due,
        by=row.owned_by,
        waits_for="The bank decides after the answer date",
    )


def _return(row: Row[Any], _reader: Actor, _order_page: Addresses) -> Item:
    """A return to decide, or one whose units have arrived and that is to be refunded."""
    is_requested = row.what == ReturnState.REQUESTED
    money = Money(row.amount, row.currency)
    return Item(
        claim=row.claim,
        kind="Return",
        tone="wait",
        what=f"{'Decide about' if is_requested else 'Refund'} return {row.detail}",
        about=row.about.replace("_", " "),
        order_number=row.number,
        money=None if is_requested else money,
        since=row.at,
        address=url_for("ops.returns.show", return_id=int(row.id)),
        by=row.owned_by,
    )


_OF_KIND = {"alert": _alert, "approval": _request, "dispute": _dispute, "note": _note, "return": _return}


def _page(row: Row[Any]) -> str:
    if row.what == "roles":
        return url_for("ops.users.show_all")
    return waiting.address(row.id, row.at)


def _complete(item: Item, row: Row[Any], context: to_do_rows.Context, now: datetime) -> Item:
    """The item with its age, the name of who claimed or acknowledged it, and the next automatic step of its order or
    webhook.
    """
    owner = item.by
    name = context.names[owner] if owner else "waits for another person" if item.is_own else ""
    of_order = context.steps.get(("order", item.order_id or 0)) if item.rule else None
    return replace(
        item,
        what=f"{context.names[row.by]}: {item.what}" if item.note_id else item.what,
        age=notification_texts.age(now - item.since),
        owner=name,
        is_claimed=row.owner is not None,
        step=of_order or context.steps.get(("webhook", item.webhook_id or 0)),
    )
