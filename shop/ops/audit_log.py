"""The audit log: who did what, filtered, the newest entries first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import Blueprint, render_template, request, url_for

from shop.accounts import staff
from shop.accounts.permissions import Permission
from shop.core import audit_search, days
from shop.core.actor import Actor
from shop.core.audit import Act, SubjectKind
from shop.core.audit_search import Entry, Filters
from shop.core.errors import BadInput
from shop.http_kit.access import requires
from shop.ops import paging
from shop.ops.formats import zone
from shop.ops.navigation import Group, Link

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
OPERATOR = "operator"
"""Value of `by` for people at the command line who name no account."""
E = TypeVar("E", Act, SubjectKind)


@bp.get("/audit")
@requires(Permission.AUDIT_READ)
def index() -> str:
    """Entries of the audit log, newest first; `after`, `before` and `page=last` are positions of pages."""
    if unknown := [name for name in request.args if name not in (*LABELS, *paging.PARAMETERS)]:
        message = f"There is no filter {unknown[0][:40]!r}. Filters are {', '.join(LABELS)}."
        raise BadInput("unknown_filter", message)
    pairs = [(name, value) for name, value in request.args.items(multi=True) if name in LABELS and value]
    page = audit_search.find(_filters(), paging.place())
    return render_template(
        "ops/audit.html",
        entries=page.entries,
        actors=_names(page.entries),
        change=_change,
        acts=tuple(Act),
        subject_kinds=tuple(SubjectKind),
        given=request.args,
        active=[(f"{LABELS[pair[0]]}: {pair[1]}", _address([one for one in pairs if one != pair])) for pair in pairs],
        links=paging.links(page.newer, page.older, pairs, _address),
    )


def _filters() -> Filters:
    """The filters of the address. Raises BadInput."""
    given = request.args
    since, until = (days.parse(given[name], name) if given.get(name) else None for name in ("from", "to"))
    return Filters(
        actor=_actor(given["by"]) if given.get("by") else None,
        acts=[_member("act", value, Act) for value in given.getlist("act") if value],
        subject_kind=_member("kind", given["kind"], SubjectKind) if given.get("kind") else None,
        subject_id=given.get("id", ""),
        request_id=given.get("request", ""),
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


def _member(name: str, value: str, kind: type[E]) -> E:
    if value not in tuple(kind):
        message = f"The filter {name} has no value {value[:40]!r}. Values are {', '.join(kind)}."
        raise BadInput("bad_filter", message)
    return kind(value)


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
    old, new = before or {}, after or {}
    return [(name, _text(old.get(name)), _text(new.get(name))) for name in dict.fromkeys([*old, *new])]


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _address(pairs: paging.Pairs) -> str:
    base = url_for("ops.audit.index")
    return f"{base}?{urlencode(pairs)}" if pairs else base
