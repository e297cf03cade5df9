"""Saved views: filters of the list of orders under a name that all staff share."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Select, delete, select, true, update
from sqlalchemy.exc import IntegrityError

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.core import audit, clock, text
from shop.core.actor import Actor, ActorKind
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import changed, db, insert, transactional
from shop.core.errors import BadInput, Refusal
from shop.order_search import conditions
from shop.order_search import filters as filters_of
from shop.order_search.conditions import Few
from shop.order_search.filters import Filters
from shop.order_search.models import SavedView

MOST = 50
"""Saved views of a shop, as its slots."""
LONGEST_NAME = 60


def every() -> list[SavedView]:
    """All views by name. One statement."""
    return list(db.session.scalars(select(SavedView).order_by(SavedView.key)))


def every_and_few(filters: Filters) -> tuple[list[SavedView], Few]:
    """All views by name, and what few orders have of the filters. One statement."""
    found = db.session.execute(_every_and_few(conditions.may_be_few(filters), conditions.FEW)).all()
    return [row[0] for row in found if row[0] is not None], Few(*map(bool, found[0][1:]))


@lru_cache(maxsize=256)
def _every_and_few(filters: Filters, few: int) -> Select[*tuple[Any, ...]]:
    """Kept, because to make it takes longer than the query. `few` is the number that it contains."""
    one = conditions.are_few(filters).subquery()
    return select(SavedView, *one.c).select_from(one).outerjoin(SavedView, true()).order_by(SavedView.key)


def query_of(filters: Filters) -> str:
    """The query of the list's address with these filters. Equal filters have equal queries."""
    return urlencode(sorted(filters_of.pairs(filters)))


@transactional
def save(name: str, filters: Filters, *, by: Actor) -> SavedView:
    """Save filters under a new name.

    Raises Forbidden; BadInput `bad_name` and `no_filters`; Refusal `name_taken` and `too_many_views`.
    """
    rights.demand(by, Permission.ORDER_READ)
    stated, query = _name(name), query_of(filters)
    if not query:
        raise BadInput("no_filters", "Set a filter first. A view is the filters of the list under a name.")
    values = {"name": stated, "key": stated.casefold(), "query": query, "saved_by": by, "saved_at": clock.now()}
    for slot in _free_slots():
        new = insert(SavedView).values(slot=slot, **values).on_conflict_do_nothing()
        view: SavedView | None = db.session.scalars(new.returning(SavedView)).one_or_none()
        if view is not None:
            audit.record(by, Act.VIEW_SAVED, _subject(view.id), after={"name": stated, "query": query})
            return view
        _demand_free(stated)  # otherwise another view has taken the slot meanwhile
    _demand_free(stated)
    raise Refusal("too_many_views", f"There are {MOST} saved views, which is the limit. Delete one first.")


@transactional
def rename(view_id: int, name: str, *, by: Actor) -> None:
    """Give a view another name. Raises as `save`; Refusal `unknown_view`, and `not_own_view` for a view of others."""
    view = _changeable(view_id, by)
    stated, before = _name(name), view.name
    try:
        with db.session.begin_nested():
            db.session.execute(
                update(SavedView).where(SavedView.id == view_id).values(name=stated, key=stated.casefold())
            )
    except IntegrityError as error:
        raise _name_taken(stated) from error
    audit.record(by, Act.VIEW_RENAMED, _subject(view_id), before={"name": before}, after={"name": stated})


@transactional
def remove(view_id: int, *, by: Actor) -> None:
    """Delete a view. Raises Forbidden; Refusal `unknown_view`, and `not_own_view` for a view of others."""
    view = _changeable(view_id, by)
    before = {"name": view.name, "query": view.query}
    if changed(delete(SavedView).where(SavedView.id == view_id)):
        audit.record(by, Act.VIEW_DELETED, _subject(view_id), before=before)


def is_changeable(view: SavedView, by: Actor, *, manages: bool) -> bool:
    """True if `by` may rename and delete the view: an own one, and with the permission to manage views any."""
    return manages or view.saved_by == by or by.kind is ActorKind.OPERATOR


def _changeable(view_id: int, by: Actor) -> SavedView:
    rights.demand(by, Permission.ORDER_READ)
    found = select(SavedView).where(SavedView.id == view_id).with_for_update()
    view = db.session.scalars(found).one_or_none()
    if view is None:
        raise Refusal("unknown_view", "This view does not exist any more.")
    if not is_changeable(view, by, manages=rights.has(by, Permission.SAVED_VIEW_MANAGE)):
        raise Refusal("not_own_view", "Only the person who saved this view, or an admin, can change it.")
    return view


def _free_slots() -> list[int]:
    taken = set(db.session.scalars(select(SavedView.slot)))
    return [slot for slot in range(1, MOST + 1) if slot not in taken]


def _demand_free(name: str) -> None:
    if db.session.scalar(select(SavedView.id).where(SavedView.key == name.casefold())) is not None:
        raise _name_taken(name)


def _name_taken(name: str) -> Refusal:
    return Refusal("name_taken", f"There is a view with the name {name}. Choose another name.")


def _name(typed: str) -> str:
    name = text.tidy(typed)
    if not name or len(name) > LONGEST_NAME or text.is_unusable(name):
        raise BadInput("bad_name", f"Enter a name of at most {LONGEST_NAME} characters.")
    return name


def _subject(view_id: int) -> Subject:
    return Subject(SubjectKind.SAVED_VIEW, str(view_id))
