"""Search of the audit log: filters and keyset pages in both directions, the newest entries first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import CompoundSelect, Select, and_, literal, or_, select, tuple_, union_all

from shop.core import keyset
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.audit_models import AuditEntry, AuditPersonal
from shop.core.db import db, table
from shop.core.keyset import FIRST, Page, Place, Position

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


def find(filters: Filters = Filters(), place: Place = FIRST, *, limit: int = 50) -> Page[Entry]:
    """A page of the entries that match. One statement."""
    query = _columns().where(*_which(filters, place, limit + 1)).order_by(*_sorting(place)).limit(limit + 1)
    found = [entry(dict(row)) for row in db.session.execute(query).mappings()]
    return keyset.page(found, place, limit)


def newest_of(subjects: Mapping[SubjectKind, Select[Any]], limit: int) -> CompoundSelect[Any]:
    """Select the columns of the newest entries about subjects whose ids are selected, up to `limit` of each kind; for
    `entry`.
    """
    parts = []
    for kind, ids in subjects.items():
        id = ids.subquery().c[0]
        about = _columns().join(id.table, _ENTRIES.c.subject_id == id).where(_ENTRIES.c.subject_kind == kind)
        parts.append(about.order_by(*_sorting(FIRST)).limit(limit).subquery())
    return union_all(*(select(part) for part in parts))


@cache
def _columns() -> Select[Any]:
    """Made once, because that takes longer than the query."""
    query = select(*(column for column in _ENTRIES.columns if column.name != "personal_hash"), _PERSONAL.c.personal)
    return query.select_from(_ENTRIES.outerjoin(_PERSONAL, _PERSONAL.c.entry_id == _ENTRIES.c.id))


def _sorting(place: Place) -> list[Any]:
    return [column if place.is_backwards else column.desc() for column in (_ENTRIES.c.at, _ENTRIES.c.id)]


def _which(filters: Filters, place: Place, limit: int) -> list[Any]:
    """The conditions of a page. Of several acts, the first entries of each are found along the index, because SQLite
    would sort all entries of these acts.
    """
    if len(filters.acts) < 2:
        return _conditions(filters, place)
    of_each = [
        select(_ENTRIES.c.id)
        .where(*_conditions(replace(filters, acts=(act,)), place))
        .order_by(*_sorting(place))
        .limit(limit)
        .subquery()
        for act in filters.acts
    ]
    return [_ENTRIES.c.id.in_(union_all(*(select(part.c.id) for part in of_each)))]


def _conditions(filters: Filters, place: Place) -> list[Any]:
    of = _ENTRIES.c
    found = [
        of.actor == str(filters.actor) if filters.actor else None,
        of.act.in_(filters.acts) if filters.acts else None,
        of.subject_kind == filters.subject_kind if filters.subject_kind else None,
        of.subject_id == filters.subject_id if filters.subject_id else None,
        or_(*_of_subjects(filters.subjects)) if filters.subjects else None,
        of.request_id == filters.request_id if filters.request_id else None,
        of.at >= filters.since if filters.since else None,
        of.at < filters.until if filters.until else None,
        tuple_(of.at, of.id) < _tuple(place.after) if place.after else None,
        tuple_(of.at, of.id) > _tuple(place.before) if place.before else None,
    ]
    return [condition for condition in found if condition is not None]


def _of_subjects(subjects: Sequence[Subject]) -> Iterator[Any]:
    """A condition for each kind; they use the index."""
    for kind in dict.fromkeys(one.kind for one in subjects):
        ids = [one.id for one in subjects if one.kind == kind]
        yield and_(_ENTRIES.c.subject_kind == kind, _ENTRIES.c.subject_id.in_(ids))


def _tuple(position: Position) -> Any:
    return tuple_(literal(position.at, _ENTRIES.c.at.type), position.id)


def entry(row: dict[str, Any]) -> Entry:
    """An entry from a row of `newest_of`."""
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
