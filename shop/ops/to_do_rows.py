"""Rows of the list of what needs a person: one statement for the things, one for their people and next steps."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, partial
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CompoundSelect,
    Row,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    false,
    func,
    literal,
    null,
    or_,
    select,
    true,
    type_coerce,
    union_all,
)

from shop.accounts import staff
from shop.accounts.models import User
from shop.accounts.permissions import Permission
from shop.alerts import claims, requests, store
from shop.alerts.models import ToDoClaim
from shop.alerts.states import Severity
from shop.core.actor import Actor
from shop.core.column_types import ActorText
from shop.core.db import UtcDateTime, db
from shop.explain import next_steps
from shop.explain.next_step import Step
from shop.fulfilment import to_ship
from shop.order_notes import notes
from shop.orders.models import Order
from shop.payments.providers.types import DisputeState
from shop.payments.records.settlement_models import Dispute
from shop.returns import pages as returns
from shop.returns.models import Return
from shop.returns.states import ReturnState

_TYPES: Mapping[str, Any] = {
    **dict.fromkeys(("claim", "kind", "id"), Text),
    **dict.fromkeys(("what", "detail", "about", "number"), Text),
    "order_id": BigInteger,
    **{"amount": BigInteger, "currency": Text, "observed": JSON, "expected": JSON},
    **{"by": ActorText, "at": UtcDateTime, "due": UtcDateTime},
}
"""Columns of a thing. `what` and `detail` are the rule and severity of an alert, the kind of a request and the
destination of a refund, the provider and the reason of a dispute, the state and the reference of a return, or the text
of a note. `about` is the subject of an alert, the kind of a dispute or the reason of a return.
"""
_LISTED_ITSELF = ("OPS_APPROVAL_WAITS", "OPS_DISPUTE_DUE")
"""Rules of alerts about requests and disputes, which are in the list themselves."""
KINDS = ("alert", "approval", "dispute", "note", "return")
_NAME, _COUNT, _TO_SHIP = "name", "count", "to ship"
_NO_TIME = cast(null(), UtcDateTime)


@dataclass(frozen=True)
class Things:
    """The most urgent things, and the numbers of all of them by kind and of the reader's own ones."""

    rows: list[Row[Any]]
    kinds: Mapping[str, int]
    mine: int


class Owner(StrEnum):
    """Owner of things to do, as a filter."""

    ME = "me"
    NONE = "none"


def things(
    reader: Actor, permissions: Collection[Permission], owner: Owner | None, *, most: int, limit: int | None
) -> Things:
    """Things that the reader may read, the first `most` of each kind: numbers of them, and the most urgent ones of an
    owner, up to `limit`. By deadline and severity, then the oldest first. One statement.
    """
    query = _things(frozenset(_READ_WITH & set(permissions)), owner, most, limit)
    rows = db.session.execute(query, {"reader": reader.user_id, "me": reader}).all()
    first = rows[0]._mapping
    kinds = {kind: first[f"number_of_{kind}"] for kind in KINDS}
    return Things([row for row in rows if row.kind], kinds, first["mine"])


@cache
def _things(readable: frozenset[Permission], owner: Owner | None, most: int, limit: int | None) -> Select[Any]:
    """The query for a set of permissions. It is cached, because making it takes longer than running it."""
    parts = [_requests(most, readable), *(_PARTS[one](most) for one in _PARTS if one in readable)]
    one = union_all(*(select(part.subquery()) for part in parts)).subquery("thing")
    me = bindparam("me", type_=ActorText)
    by = case((one.c.kind == "alert", one.c.by), (one.c.kind == "note", me))
    owned = func.coalesce(ToDoClaim.owner, by, type_=ActorText).label("owned_by")
    found = select(one, ToDoClaim.owner, owned).outerjoin(ToDoClaim, ToDoClaim.thing == one.c.claim).cte("things")
    numbers = {f"number_of_{kind}": found.c.kind == kind for kind in KINDS} | {"mine": found.c.owned_by == me}
    counted = select(*(func.count().filter(which).label(name) for name, which in numbers.items())).subquery("numbers")
    of_owner = {Owner.ME: found.c.owned_by == me, Owner.NONE: found.c.owned_by.is_(None), None: true()}[owner]
    shown = select(found).where(of_owner).order_by(*_urgency(found.c)).limit(limit).subquery("shown")
    return select(shown, counted).select_from(counted).outerjoin(shown, true()).order_by(*_urgency(shown.c))


def _urgency(of: Any) -> tuple[Any, ...]:
    is_bad = or_(of.kind == "dispute", and_(of.kind == "alert", of.detail.startswith(f"{Severity.P1} ")))
    by_date = (case((of.due.is_(None), 1), else_=0), func.coalesce(of.due, of.at), of.at)
    return (case((is_bad, 0), else_=1), *by_date, of.kind, of.id)


@dataclass(frozen=True)
class Context:
    """Display names of people, next steps as in `next_steps.steps`, numbers of open alerts by rule, and the number of
    orders to pack and ship.
    """

    names: Mapping[Actor, str]
    steps: Mapping[tuple[str, int], Step]
    alerts: Mapping[str, int]
    to_ship: int = 0


def context(
    actors: Iterable[Actor],
    order_ids: Collection[int],
    webhook_ids: Collection[int],
    *,
    counts_alerts: bool,
    counts_orders: bool,
) -> Context:
    """People and next steps of things; alerts and orders to ship are counted if wanted. One statement."""
    known = set(actors)
    ids = {"people": [actor.user_id for actor in known if actor.user_id is not None]}
    ids |= {"orders": list(order_ids), "webhooks": list(webhook_ids)}
    rows = db.session.execute(_context(counts_alerts, counts_orders, db.engine.dialect.name), ids).all()
    emails = {row.id: row.name for row in rows if row.kind == _NAME}
    return Context(
        staff.labels_of(known, emails),
        next_steps.earliest(row for row in rows if row.kind not in (_NAME, _COUNT, _TO_SHIP)),
        {row.name: row.id for row in rows if row.kind == _COUNT},
        next((row.id for row in rows if row.kind == _TO_SHIP), 0),
    )


@cache
def _context(counts_alerts: bool, counts_orders: bool, dialect: str) -> CompoundSelect[Any]:
    """Select them, made once for each kind of database, as `_things`; the ids are parameters."""
    ids: dict[str, Any] = {name: bindparam(name, expanding=True) for name in ("orders", "webhooks", "people")}
    parts = next_steps.parts(ids["orders"], ids["webhooks"])
    parts.append(next_steps.row(_NAME, User.id, _NO_TIME, User.email).where(User.id.in_(ids["people"])))
    if counts_alerts:
        counted = store.counted_by_rule().subquery()
        parts.append(next_steps.row(_COUNT, counted.c.number, _NO_TIME, counted.c.rule))
    if counts_orders:
        parts.append(next_steps.row(_TO_SHIP, to_ship.counted(dialect), _NO_TIME, cast(null(), Text)))
    return union_all(*parts)


def _alerts(limit: int) -> Select[Any]:
    first = store.most_severe(without=_LISTED_ITSELF, limit=limit).subquery()
    alert = {column.name: column for column in first.c}
    return _thing(
        "alert",
        alert["id"],
        claim=_claim("alert", alert["id"]),
        what=alert["rule"],
        detail=type_coerce(alert["severity"], Text) + " " + type_coerce(alert["state"], Text),
        about=alert["subject"],
        number=alert["order_no"],
        order_id=alert["order_id"],
        observed=alert["observed"],
        expected=alert["expected"],
        by=alert["acknowledged_by"],
        at=func.coalesce(alert["waits_since"], alert["detected_at"]),
    )


def _requests(limit: int, readable: frozenset[Permission]) -> Select[Any]:
    """Requests about money are for readers of orders, those about roles for readers of accounts."""
    each = requests.waiting().subquery()
    is_readable = {Permission.ORDER_READ: each.c.kind != "roles", Permission.USER_READ: each.c.kind == "roles"}
    which = or_(false(), *(which for needed, which in is_readable.items() if needed in readable))
    one = select(each).where(which).order_by(each.c.requested_at, each.c.id).limit(limit).subquery().c
    return _thing(
        "approval",
        one.id,
        claim=_claim("approval", case((one.kind == "roles", requests.ROLES), else_="") + one.id),
        what=one.kind,
        detail=type_coerce(one.destination, Text),
        **_named(one, "number", "order_id", "amount", "currency"),
        by=one.requested_by,
        at=one.requested_at,
    )


def _disputes(limit: int) -> Select[Any]:
    found = _thing(
        "dispute",
        Dispute.id,
        claim=_claim("dispute", Dispute.id),
        what=Dispute.provider,
        detail=Dispute.reason,
        about=type_coerce(Dispute.kind, Text),
        number=Order.number,
        **_named(Dispute, "order_id", "amount", "currency"),
        at=Dispute.opened_at,
        due=Dispute.respond_by,
    )
    of_orders = found.select_from(Dispute).join(Order, Order.id == Dispute.order_id)
    first = of_orders.where(Dispute.state == DisputeState.OPEN)
    return first.order_by(func.coalesce(Dispute.respond_by, Dispute.opened_at), Dispute.id).limit(limit)


def _notes(limit: int) -> Select[Any]:
    note = notes.waiting_for(bindparam("reader", type_=BigInteger)).limit(limit).subquery().c
    return _thing(
        "note",
        note.note_id,
        what=note.text,
        number=note.number,
        by=note.author,
        at=note.at,
    )


def _returns(state: ReturnState, limit: int) -> Select[Any]:
    """Returns in a state that waits for staff, the oldest first."""
    one = returns.waiting(state).order_by(Return.requested_at, Return.id).limit(limit).subquery().c
    return _thing(
        "return",
        one.id,
        claim=_claim("return", one.id),
        what=type_coerce(one.state, Text),
        detail=one.reference,
        about=type_coerce(one.reason, Text),
        **_named(one, "number", "order_id", "amount", "currency"),
        at=one.requested_at,
    )


_PARTS: Mapping[Permission, Callable[[int], Select[Any]]] = {
    Permission.ALERT_READ: _alerts,
    Permission.DISPUTE_READ: _disputes,
    Permission.ORDER_READ: _notes,
    Permission.RETURN_DECIDE: partial(_returns, ReturnState.REQUESTED),
    Permission.REFUND_REQUEST: partial(_returns, ReturnState.RECEIVED),
}
"""Things by the permission to read them; for requests see `_requests`."""
_READ_WITH = _PARTS.keys() | {Permission.USER_READ}


def _thing(kind: str, id: Any, **columns: Any) -> Select[Any]:
    """Select a thing with these columns, and null for the others."""
    found = {name: cast(null(), of) for name, of in _TYPES.items()} | columns
    found |= {"kind": literal(kind, Text), "id": cast(id, Text)}
    return select(*(one.label(name) for name, one in found.items()))


def _named(of: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(of, name) for name in names}


def _claim(kind: str, id: Any) -> Any:
    """As `claims.thing`, of a column."""
    return literal(claims.thing(kind, "0").removesuffix("0"), Text) + cast(id, Text)
