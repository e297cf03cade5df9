"""Notes on orders: write and withdraw, and mark as done what a note asks of a colleague.

A note may hold personal data, so its text has an end: retention erases it with the other data of a guest's order, and
that of any note once it is old. The text of a withdrawn one is in the erasable part of the audit log alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import CompoundSelect, Select, Text, bindparam, cast, false, func, select, true, union_all, update

from shop.accounts import rights
from shop.accounts.models import IS_STAFF, User
from shop.accounts.permissions import Permission, permissions_of
from shop.core import audit, clock
from shop.core import text as texts
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import changed, db, insert, transactional
from shop.core.errors import BadInput, Refusal
from shop.core.exclusive import alone_until_commit
from shop.order_notes import mentions
from shop.order_notes.mentions import Colleague
from shop.order_notes.models import NoteMention, OrderNote
from shop.orders.models import ERASED, Order

MOST = 200
"""Notes on one order, withdrawn ones included."""
LONGEST = 2000
LONGEST_KEY = 64
_MOST_STAFF = 1000


@dataclass(frozen=True)
class Note:
    """A note as it is shown; `text` is empty once it is withdrawn. `mentions` are accounts and the time when they
    marked it as done.
    """

    id: int
    author: Actor
    text: str
    at: datetime
    withdrawn_at: datetime | None
    mentions: dict[int, datetime | None]

    def can_be_withdrawn_by(self, actor: Actor) -> bool:
        return self.withdrawn_at is None and self.author == actor

    def waits_for(self, actor: Actor) -> bool:
        """True if the note mentions the account of `actor`, who has not marked it as done."""
        return actor.user_id in self.mentions and self.mentions[actor.user_id] is None


@dataclass(frozen=True)
class People:
    """Colleagues, sorted by address, and addresses of accounts by id."""

    colleagues: list[Colleague]
    emails: dict[int, str]


@transactional
def write(order_id: int, text: str, *, by: Actor, form_key: str) -> int:
    """Write a note and return its id; `form_key` makes it safe to repeat. Raises Refusal `form_used` when another text
    or another person has used it.

    Raises Forbidden; BadInput: `note_needed`, `bad_note`, `bad_form`, and what `mentions.found` raises; and Refusal
    `too_many_notes`.
    """
    rights.demand(by, Permission.ORDER_NOTE)
    if not 0 < len(form_key) <= LONGEST_KEY or texts.is_unusable(form_key):
        raise BadInput("bad_form", "The form is not complete. Open the page of the order and write the note again.")
    tidy = _tidy(text)
    mentioned = mentions.found(tidy, colleagues())
    alone_until_commit(db.session, f"notes on order {order_id}")
    values = {"order_id": order_id, "form_key": form_key, "author": by, "text": tidy, "at": clock.now()}
    new = insert(OrderNote).values(values).on_conflict_do_nothing(index_elements=["order_id", "form_key"])
    note_id = db.session.scalar(new.returning(OrderNote.id))
    if note_id is None:
        _demand_same(order_id, form_key, tidy, by)
        before = select(OrderNote.id).where(OrderNote.order_id == order_id, OrderNote.form_key == form_key)
        return int(db.session.scalars(before).one())
    if _count(order_id) > MOST:
        raise Refusal("too_many_notes", f"An order can have {MOST} notes, and this one has as many.")
    db.session.add_all(NoteMention(note_id=note_id, user_id=one.id) for one in mentioned)
    number = db.session.scalars(select(Order.number).where(Order.id == order_id)).one()
    after = {"order": number, "mentions": [one.id for one in mentioned]}
    audit.record(by, Act.NOTE_WRITTEN, _subject(note_id), after=after)
    return int(note_id)


@transactional
def withdraw(note_id: int, *, by: Actor, order_id: int | None = None) -> None:
    """Withdraw one's own note: its text goes to the audit log, and it leaves the lists of what colleagues have to
    do. No effect on one that is withdrawn. With `order_id` the note has to be on this order. Raises Forbidden, and
    Refusal `unknown_note` and `not_own_note`.
    """
    rights.demand(by, Permission.ORDER_NOTE)
    note = _locked(note_id, order_id)
    if note.author != by:
        raise Refusal("not_own_note", "Only the person who wrote a note can withdraw it.")
    if note.withdrawn_at is not None:
        return
    at, text = clock.now(), note.text
    db.session.execute(update(OrderNote).where(OrderNote.id == note_id).values(text="", withdrawn_at=at))
    close_mentions([note_id])
    audit.record(by, Act.NOTE_WITHDRAWN, _subject(note_id), personal={"text": text})


@transactional
def mark_done(note_id: int, *, by: Actor, order_id: int | None = None) -> None:
    """Take a note that mentions the actor from the list of what they have to do. No effect when that was done before.
    With `order_id` the note has to be on this order. Raises Forbidden, and Refusal `unknown_note`.
    """
    rights.demand(by, Permission.ORDER_READ)
    _locked(note_id, order_id)
    mine = _open(NoteMention.note_id == note_id, NoteMention.user_id == by.user_id)
    if changed(mine.values(done_at=clock.now())):
        audit.record(by, Act.NOTE_DONE, _subject(note_id))


def of_order(order_id: Any, limit: int) -> Select[Any]:
    """Select the newest notes on an order, with their mentions; for `noted`."""
    columns = (OrderNote.id, OrderNote.author, OrderNote.text, OrderNote.at, OrderNote.withdrawn_at)
    newest = select(*columns).where(OrderNote.order_id == order_id).order_by(OrderNote.id.desc()).limit(limit)
    note = newest.subquery()
    query = select(note, NoteMention.user_id, NoteMention.done_at)
    return query.outerjoin(NoteMention, NoteMention.note_id == note.c.id).order_by(note.c.id.desc())


def noted(rows: Iterable[Mapping[str, Any]]) -> list[Note]:
    """The notes, the newest first, from rows of `of_order`."""
    found: dict[int, Note] = {}
    for row in rows:
        new = Note(row["id"], row["author"], row["text"], row["at"], row["withdrawn_at"], {})
        mentioned = found.setdefault(row["id"], new).mentions
        if row["user_id"] is not None:
            mentioned[row["user_id"]] = row["done_at"]
    return list(found.values())


def waiting_for(user_id: Any) -> Select[Any]:
    """Select the notes that mention this account and wait for it, the oldest first, with their orders."""
    columns: tuple[Any, ...] = (OrderNote.id.label("note_id"), Order.number)
    columns += (OrderNote.text, OrderNote.author, OrderNote.at)
    query = select(*columns).join(NoteMention, NoteMention.note_id == OrderNote.id)
    mine = (NoteMention.user_id == user_id, NoteMention.done_at.is_(None))
    return query.join(Order, Order.id == OrderNote.order_id).where(*mine).order_by(NoteMention.id)


def colleagues() -> list[Colleague]:
    """The accounts of staff that are not disabled."""
    return people(()).colleagues


def people(ids: Iterable[int]) -> People:
    """The colleagues, and the addresses of these accounts. One statement."""
    rows = db.session.execute(_people(), {"ids": list(set(ids))}).all()
    active = sorted((email, user_id, roles) for user_id, email, roles, is_active in rows if is_active)
    colleagues = [Colleague(user_id, email, _reads_orders(roles)) for email, user_id, roles in active]
    return People(colleagues, {user_id: email for user_id, email, _, _ in rows})


@lru_cache(maxsize=256)
def _reads_orders(roles: str) -> bool:
    """True if accounts with these roles, a text in JSON, may open orders."""
    return Permission.ORDER_READ in permissions_of(json.loads(roles))


@cache
def _people() -> CompoundSelect[Any]:
    """Made once, because that takes longer than the query."""
    columns = (User.id, User.email, cast(User.roles, Text).label("roles"))
    active = select(*columns, true().label("is_active")).where(IS_STAFF, User.disabled_at.is_(None))
    named = select(*columns, false()).where(User.id.in_(bindparam("ids", expanding=True)))
    return union_all(select(active.order_by(User.email).limit(_MOST_STAFF).subquery()), named)


def erase(order_ids: Sequence[Any]) -> None:
    """Erase the texts of the notes on these orders, in the caller's transaction, which erases the data of their
    customers.
    """
    of_orders = select(OrderNote.id).where(OrderNote.order_id.in_(order_ids), OrderNote.text != "")
    erased = list(db.session.scalars(of_orders))
    db.session.execute(update(OrderNote).where(OrderNote.id.in_(erased)).values(text=ERASED))
    close_mentions(erased)


def close_mentions(note_ids: Sequence[Any]) -> None:
    """Take notes from the lists of those whom they mention, in the caller's transaction."""
    db.session.execute(_open(NoteMention.note_id.in_(note_ids)).values(done_at=clock.now()))


def _tidy(text: str) -> str:
    """The text with single spaces and line breaks. Raises BadInput."""
    lines = [texts.tidy(line) for line in text.splitlines()]
    tidy = "\n".join(lines).strip()
    if not tidy:
        raise BadInput("note_needed", "Write a note first.")
    if len(tidy) > LONGEST or any(texts.is_unusable(line) for line in lines):
        raise BadInput("bad_note", f"A note is a text of at most {LONGEST} characters.")
    return tidy


def _demand_same(order_id: int, form_key: str, text: str, by: Actor) -> None:
    written = select(OrderNote).where(OrderNote.order_id == order_id, OrderNote.form_key == form_key)
    note = db.session.scalars(written.execution_options(populate_existing=True)).one()
    if (note.text, note.author) != (text, by):
        message = "This form was sent before, with another note, and this note was not written. Send it again."
        raise Refusal("form_used", message)


def _count(order_id: int) -> int:
    return db.session.scalar(select(func.count()).where(OrderNote.order_id == order_id)) or 0


def _locked(note_id: int, order_id: int | None) -> OrderNote:
    note = db.session.get(OrderNote, note_id, with_for_update=True, populate_existing=True)
    if note is None or order_id not in (None, note.order_id):
        raise Refusal("unknown_note", "There is no such note.")
    return note


def _open(*which: Any) -> Any:
    return update(NoteMention).where(*which, NoteMention.done_at.is_(None))


def _subject(note_id: int) -> Subject:
    return Subject(SubjectKind.NOTE, str(note_id))
