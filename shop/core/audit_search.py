"""Search of the audit log: filters and keyset pages, the newest entries first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, literal, or_, select, tuple_

from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.audit_models import AuditEntry, AuditPersonal
from shop.core.db import db, table
from shop.core.keyset import Position

_ENTRIES, _PERSONAL = table(AuditEntry), table(AuditPersonal)


@dataclass(frozen=True)
class Filters:
    """Conditions that all have to hold; an empty one does not count. `subjects` are alternatives. `since` is the first
    moment, `until` the first one after the range.
    """

    actor: Actor | None = None
    acts: Sequence[Act] = ()
    subject_kind: SubjectKind | None = None
    subject_id: str = ""
    subjects: Sequence[Subject] = ()
    request_id: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Entry:
    """An entry. `actor` is the text form of an actor (see `Actor.parse`); `personal` is None once it is erased, and
    `seal` None until it is sealed.
    """

    id: int
    at: datetime
    actor: str
    act: str
    subject_kind: str
    subject_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str
    request_id: str
    personal: dict[str, Any] | None
    seal: int | None

    @property
    def position(self) -> Position:
        return Position(self.at, self.id)


@dataclass(frozen=True)
class Page:
    """Entries, and the position after which the next page begins; None on the last page."""

    entries: list[Entry]
    after: Position | None


def find(filters: Filters = Filters(), *, after: Position | None = None, limit: int = 50) -> Page:
    """The newest entries that match, from the one after `after` on. One statement."""
    query = select(*(column for column in _ENTRIES.columns if column.name != "personal_hash"), _PERSONAL.c.personal)
    query = query.select_from(_ENTRIES.outerjoin(_PERSONAL, _PERSONAL.c.entry_id == _ENTRIES.c.id))
    query = query.where(*_conditions(filters, after)).order_by(_ENTRIES.c.at.desc(), _ENTRIES.c.id.desc())
    rows = db.session.execute(query.limit(limit + 1)).mappings().all()
    entries = [_entry(dict(row)) for row in rows[:limit]]
    return Page(entries, entries[-1].position if len(rows) > limit else None)


def _conditions(filters: Filters, after: Position | None) -> list[Any]:
    of = _ENTRIES.c
    found = [
        of.actor == str(filters.actor) if filters.actor else None,
        of.act.in_(filters.acts) if filters.acts else None,
        of.subject_kind == filters.subject_kind if filters.subject_kind else None,
        of.subject_id == filters.subject_id if filters.subject_id else None,
        or_(*(and_(of.subject_kind == one.kind, of.subject_id == one.id) for one in filters.subjects))  # uses the index
        if filters.subjects
        else None,
        of.request_id == filters.request_id if filters.request_id else None,
        of.at >= filters.since if filters.since else None,
        of.at < filters.until if filters.until else None,
        tuple_(of.at, of.id) < tuple_(literal(after.at, of.at.type), after.id) if after else None,
    ]
    return [condition for condition in found if condition is not None]


def _entry(row: dict[str, Any]) -> Entry:
    values = {name: _read(row[name]) for name in ("before", "after", "personal")}
    return Entry(**row | values)


def _read(text: str | None) -> dict[str, Any] | None:
    """The JSON object in a column; a text that is none, which only a changed row has, as it is."""
    if text is None:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"unreadable": text}
