"""Owners of things to do. The primary key decides races: of two people who claim a thing, the first one owns it."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import delete, select

from shop.accounts import rights, staff
from shop.accounts.permissions import Permission
from shop.alerts.models import ToDoClaim
from shop.core import audit, clock
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import db, insert, transactional
from shop.core.errors import BadInput, Refusal

KINDS = frozenset({"alert", "approval", "dispute"})
LONGEST = 60
"""Characters of the id of a thing."""


def thing(kind: str, id: str) -> str:
    """The key of a thing. Raises BadInput `unknown_thing`."""
    if kind not in KINDS or not 0 < len(id) <= LONGEST or not (id.isascii() and id.isprintable()):
        raise BadInput("unknown_thing", f"Only these can be claimed: {', '.join(sorted(KINDS))}.")
    return f"{kind} {id}"


@transactional
def claim(key: str, by: Actor) -> None:
    """Make `by` the owner of the thing `key`. Raises Forbidden, and Refusal `claimed`, which names the owner."""
    rights.demand(by, Permission.ALERT_ACKNOWLEDGE)
    new = insert(ToDoClaim).values(thing=key, owner=by, claimed_at=clock.now())
    if db.session.scalar(new.on_conflict_do_nothing(index_elements=["thing"]).returning(ToDoClaim.thing)) is None:
        raise Refusal("claimed", f"{_owner(key)} has already claimed this.")
    audit.record(by, Act.TO_DO_CLAIMED, Subject(SubjectKind.TO_DO, key), after={"owner": by})


@transactional
def release(key: str, by: Actor) -> None:
    """Take the owner away, who may be another person and absent. Raises Forbidden, and Refusal `not_claimed`."""
    rights.demand(by, Permission.ALERT_ACKNOWLEDGE)
    owner = db.session.scalar(delete(ToDoClaim).where(ToDoClaim.thing == key).returning(ToDoClaim.owner))
    if owner is None:
        raise Refusal("not_claimed", "This item has no owner.")
    audit.record(by, Act.TO_DO_RELEASED, Subject(SubjectKind.TO_DO, key), before={"owner": owner})


def owners(keys: Iterable[str]) -> dict[str, Actor]:
    """The owners of things, of those that have one. One statement."""
    rows = db.session.execute(select(ToDoClaim.thing, ToDoClaim.owner).where(ToDoClaim.thing.in_(list(keys))))
    return {row.thing: row.owner for row in rows}


def _owner(key: str) -> str:
    owner = db.session.scalar(select(ToDoClaim.owner).where(ToDoClaim.thing == key))
    return staff.label(owner) if owner else "Another person"
