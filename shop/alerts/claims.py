"""Owners of things to do. The primary key decides races: of two people who claim a thing, the first one owns it. Only
a thing that exists and is open can be claimed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from sqlalchemy import ColumnElement, delete, select

from shop.accounts import rights, staff
from shop.accounts.permissions import Permission
from shop.alerts import requests
from shop.alerts.models import IS_OPEN, Alert, ToDoClaim
from shop.core import audit, clock
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import db, insert, transactional
from shop.core.errors import BadInput, Refusal
from shop.payments.providers.types import DisputeState
from shop.payments.records.settlement_models import Dispute
from shop.returns.models import Return
from shop.returns.states import WAITING_FOR_STAFF

KINDS = frozenset({"alert", "approval", "dispute", "return"})
LONGEST = 60
"""Characters of the id of a thing."""
_MOST_DIGITS = 9


def thing(kind: str, id: str) -> str:
    """The key of a thing. Raises BadInput `unknown_thing`."""
    if kind not in KINDS or not 0 < len(id) <= LONGEST or not (id.isascii() and id.isprintable()):
        raise BadInput("unknown_thing", f"Only these can be claimed: {', '.join(sorted(KINDS))}.")
    return f"{kind} {id}"


@transactional
def claim(key: str, by: Actor) -> None:
    """Make `by` the owner of the thing `key`. Raises Forbidden, and Refusal: `claimed`, which names the owner, and
    `not_to_do` for a thing that is not open.
    """
    rights.demand(by, Permission.ALERT_ACKNOWLEDGE)
    kind, _, id = key.partition(" ")
    if not _IS_OPEN[kind](id):
        raise Refusal("not_to_do", f"There is no {kind} {id} that is open. It may have been done meanwhile.")
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


def _is_open(model: type[Alert | Dispute | Return], is_open: ColumnElement[bool], id: str) -> bool:
    """True if the row with this number is open."""
    number = int(id) if id.isdigit() and len(id) <= _MOST_DIGITS else 0
    return db.session.scalar(select(model.id).where(model.id == number, is_open)) is not None


_IS_OPEN: Mapping[str, Callable[[str], bool]] = {
    "alert": partial(_is_open, Alert, IS_OPEN),
    "approval": requests.waits,
    "dispute": partial(_is_open, Dispute, Dispute.state == DisputeState.OPEN),
    "return": partial(_is_open, Return, Return.state.in_(WAITING_FOR_STAFF)),
}


def _owner(key: str) -> str:
    owner = db.session.scalar(select(ToDoClaim.owner).where(ToDoClaim.thing == key))
    return staff.label(owner) if owner else "Another person"
