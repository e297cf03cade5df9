"""Rows of the list of what needs a person: one statement for the things, one for their people and next steps."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Row,
    Select,
    Text,
    bindparam,
    case,
    cast,
    func,
    literal,
    null,
    select,
    type_coerce,
    union_all,
)

from shop.accounts import staff
from shop.accounts.models import User
from shop.accounts.permissions import Permission
from shop.alerts import claims, requests, store
from shop.alerts.models import ToDoClaim
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
_NAME, _COUNT, _TO_SHIP = "name", "count", "to ship"
_NO_TIME = cast(null(), UtcDateTime)


def things(reader: Actor, permissions: Collection[Permission], limit: int) -> list[Row[Any]]:
    """The first `limit` things of each kind that the reader may read, each with its `owner`. One statement."""
    readable = frozenset(_PARTS.keys() & set(permissions))
    return list(db.session.execute(_things(readable, limit), {"reader": reader.user_id}))


@cache
def _things(readable: frozenset[Permission], limit: int) -> Select[Any]:
    """Made once for each set of permissions, because that takes longer than the query."""
    parts = [_requests(limit), *(_PARTS[one](limit) for one in _PARTS if one in readable)]
    found = union_all(*(select(part.subquery()) for part in parts)).subquery("things")
    return select(found, ToDoClaim.owner).outerjoin(ToDoClaim, ToDoClaim.thing == found.c.claim)


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
    counts_orders: bool = False,
) -> Context:
    """People and next steps of things; alerts and orders to ship are counted if wanted. One statement, or none."""
    known = set(actors)
    parts = next_steps.parts(order_ids, webhook_ids)
    if ids := {actor.user_id for actor in known if actor.user_id is not None}:
        parts.append(next_steps.row(_NAME, User.id, _NO_TIME, User.email).where(User.id.in_(ids)))
    if counts_alerts:
        counted = store.counted_by_rule().subquery()
        parts.append(next_steps.row(_COUNT, counted.c.number, _NO_TIME, counted.c.rule))
    if counts_orders:
        parts.append(next_steps.row(_TO_SHIP, to_ship.counted(), _NO_TIME, cast(null(), Text)))
    rows = list(db.session.execute(union_all(*parts))) if parts else []
    emails = {row.id: row.name for row in rows if row.kind == _NAME}
    return Context(
        staff.labels_of(known, emails),
        next_steps.earliest(row for row in rows if row.kind not in (_NAME, _COUNT, _TO_SHIP)),
        {row.name: row.id for row in rows if row.kind == _COUNT},
        next((row.id for row in rows if row.kind == _TO_SHIP), 0),
    )


def _alerts(limit: int) -> Select[Any]:
    first = store.most_severe(without=_LISTED_ITSELF, limit=limit).subquery()
    alert = {column.name: column for column in first.c}
    return _thing(
        claim=_claim("alert", alert["id"]),
        kind=literal("alert", Text),
        id=cast(alert["id"], Text),
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


def _requests(limit: int) -> Select[Any]:
    one = requests.waiting().order_by("requested_at", "id").limit(limit).subquery().c
    return _thing(
        claim=_claim("approval", case((one.kind == "roles", requests.ROLES), else_="") + one.id),
        kind=literal("approval", Text),
        id=one.id,
        what=one.kind,
        detail=type_coerce(one.destination, Text),
        number=one.number,
        order_id=one.order_id,
        amount=one.amount,
        currency=one.currency,
        by=one.requested_by,
        at=one.requested_at,
    )


def _disputes(limit: int) -> Select[Any]:
    found = _thing(
        claim=_claim("dispute", Dispute.id),
        kind=literal("dispute", Text),
        id=cast(Dispute.id, Text),
        what=Dispute.provider,
        detail=Dispute.reason,
        about=type_coerce(Dispute.kind, Text),
        number=Order.number,
        order_id=Dispute.order_id,
        amount=Dispute.amount,
        currency=Dispute.currency,
        at=Dispute.opened_at,
        due=Dispute.respond_by,
    )
    of_orders = found.select_from(Dispute).join(Order, Order.id == Dispute.order_id)
    first = of_orders.where(Dispute.state == DisputeState.OPEN)
    return first.order_by(func.coalesce(Dispute.respond_by, Dispute.opened_at), Dispute.id).limit(limit)


def _notes(limit: int) -> Select[Any]:
    note = notes.waiting_for(bindparam("reader", type_=BigInteger)).limit(limit).subquery().c
    return _thing(
        kind=literal("note", Text),
        id=cast(note.note_id, Text),
        what=note.text,
        number=note.number,
        by=note.author,
        at=note.at,
    )


def _returns(state: ReturnState, limit: int) -> Select[Any]:
    """Returns in a state that waits for staff, the oldest first."""
    one = returns.waiting(state).order_by(Return.requested_at, Return.id).limit(limit).subquery().c
    return _thing(
        claim=_claim("return", one.id),
        kind=literal("return", Text),
        id=cast(one.id, Text),
        what=type_coerce(one.state, Text),
        detail=one.reference,
        about=type_coerce(one.reason, Text),
        number=one.number,
        order_id=one.order_id,
        amount=one.amount,
        currency=one.currency,
        at=one.requested_at,
    )


_PARTS: Mapping[Permission, Callable[[int], Select[Any]]] = {
    Permission.ALERT_READ: _alerts,
    Permission.DISPUTE_READ: _disputes,
    Permission.ORDER_READ: _notes,
    Permission.RETURN_DECIDE: partial(_returns, ReturnState.REQUESTED),
    Permission.REFUND_REQUEST: partial(_returns, ReturnState.RECEIVED),
}
"""Things by the permission to read them; each request is readable for other people."""


def _thing(**columns: Any) -> Select[Any]:
    """Select these columns, and null for the others."""
    empty = {name: cast(null(), kind) for name, kind in _TYPES.items()}
    return select(*(one.label(name) for name, one in (empty | columns).items()))


def _claim(kind: str, id: Any) -> Any:
    """As `claims.thing`, of a column."""
    return literal(claims.thing(kind, "0").removesuffix("0"), Text) + cast(id, Text)
