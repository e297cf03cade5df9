"""The audit log: who did what, filtered, the newest entries first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from flask import Blueprint, render_template, request
from sqlalchemy import select

from shop.accounts import sessions, staff
from shop.accounts.permissions import Permission, permissions_of
from shop.core import audit_search, days, filter_values
from shop.core.actor import Actor
from shop.core.audit import Act, SubjectKind
from shop.core.audit_search import Entry, Filters
from shop.core.db import db
from shop.core.errors import BadInput
from shop.core.keyset import ON_A_PAGE, Place
from shop.explain import facts
from shop.http_kit.access import requires
from shop.ops import lists
from shop.ops.formats import zone
from shop.ops.navigation import Group, Link
from shop.orders.models import Order
from shop.payments.records.models import Refund

bp = Blueprint("audit", __name__)
LINKS = (Link("Audit log", "ops.audit.index", Permission.AUDIT_READ, Group.SYSTEM),)
LABELS = {
    "by": "Account",
    "act": "Act",
    "kind": "Kind of subject",
    "id": "Subject",
    "request": "Request id",
    "from": "From",
    "to": "To",
}
HERE = "ops.audit.index"
OPERATOR = "operator"
"""Value of `by` for people at the command line who name no account."""


@bp.get("/audit")
@requires(Permission.AUDIT_READ)
def index() -> str:
    """Entries of the audit log, newest first; `after`, `before` and `page=last` are positions of pages."""
    values = filter_values.given(lists.given(), tuple(LABELS))
    pairs = filter_values.pairs(values)
    page = audit_search.find(_filters(values), Place.parse(request.args), limit=ON_A_PAGE)
    return render_template(
        "ops/audit.html",
        entries=page.rows,
        actors=_names(page.rows),
        pages=_pages(page.rows),
        change=_change,
        acts=tuple(Act),
        subject_kinds=tuple(SubjectKind),
        given=request.args,
        active=[
            (f"{LABELS[pair[0]]}: {pair[1]}", lists.address(HERE, [one for one in pairs if one != pair]))
            for pair in pairs
        ],
        links=lists.links(HERE, pairs, page),
    )


def _filters(values: Mapping[str, tuple[str, ...]]) -> Filters:
    """The filters of the address. Raises BadInput."""
    since, until = filter_values.days(values)
    by, kind, subject, request_id = (
        filter_values.single(name, values[name]) for name in ("by", "kind", "id", "request")
    )
    return Filters(
        actor=_actor(by) if by else None,
        acts=filter_values.members("act", values["act"], Act),
        subject_kind=filter_values.members("kind", [kind], SubjectKind)[0] if kind else None,
        subject_id=subject or "",
        request_id=request_id or "",
        since=days.midnight(since, zone()) if since else None,
        until=days.midnight(until + timedelta(days=1), zone()) if until else None,
    )


def _actor(typed: str) -> Actor:
    if typed == OPERATOR:
        return Actor.operator()
    try:
        return Actor.staff(staff.account_of(typed).id)
    except BadInput as unknown:
        raise BadInput("bad_filter", str(unknown.message)) from unknown


def _names(entries: Sequence[Entry]) -> dict[str, str]:
    """Display names by the text form of the actor. A text that is none, which only a changed row has, is left out."""
    actors: dict[str, Actor] = {}
    for entry in entries:
        with suppress(ValueError):
            actors[entry.actor] = Actor.parse(entry.actor)
    labels = staff.labels(actors.values())
    return {text: labels[actor] for text, actor in actors.items()}


def _change(before: dict[str, Any] | None, after: dict[str, Any] | None) -> list[tuple[str, str, str]]:
    """(name, before, after) of each value of an entry."""
    old, new = dict(facts.readable(before or {})), dict(facts.readable(after or {}))
    return [(name, old.get(name, ""), new.get(name, "")) for name in dict.fromkeys([*old, *new])]


def _pages(entries: Sequence[Entry]) -> dict[int, str]:
    """Addresses of the pages of subjects, by the id of the entry; a refund is on the page of its order."""
    granted = permissions_of(sessions.require_user().roles)
    refunds = [one.subject_id for one in entries if one.subject_kind == SubjectKind.REFUND]
    of_refunds = select(Refund.id, Order.number).join(Order, Order.id == Refund.order_id).where(Refund.id.in_(refunds))
    numbers = {row.id: row.number for row in db.session.execute(of_refunds)} if refunds else {}
    found: dict[int, str] = {}
    order_page, mail_page = lists.addresses("ops.order.show", "number"), lists.addresses("ops.mails.show", "mail_id")
    for one in entries:
        number = one.subject_id if one.subject_kind == SubjectKind.ORDER else numbers.get(one.subject_id)
        if number and Permission.ORDER_READ in granted:
            found[one.id] = order_page(number)
        elif one.subject_kind == SubjectKind.MAIL and one.subject_id and Permission.MAIL_READ in granted:
            found[one.id] = mail_page(one.subject_id)
    return found
