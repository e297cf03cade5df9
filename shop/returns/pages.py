"""Returns for staff: the list with filters and keyset pages, and a return with its lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Select, bindparam, func, literal, select, tuple_

from shop.core import filter_values, ids, keyset
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.keyset import Page, Place, Position
from shop.core.money import Money
from shop.orders.models import Order, OrderLine
from shop.returns import load
from shop.returns.models import Return, ReturnLine
from shop.returns.states import ReturnReason, ReturnState

ON_A_PAGE = 50
COUNTED = 10_000
"""Returns are counted up to this number."""
FILTERS = ("state", "reason", "order")
_COLUMNS: tuple[Any, ...] = (Return.id, Return.reference, Return.state, Return.reason)
_COLUMNS += (Return.requested_at, Return.currency)
_OF_ORDER = select(Return).where(Return.order_id == bindparam("order", type_=BigInteger)).order_by(Return.id.desc())
_AMOUNT = (Return.goods_amount + Return.delivery_amount).label("amount")


@dataclass(frozen=True)
class Filters:
    """Conditions that all have to hold; an empty one does not count. `order` is the number of an order."""

    states: tuple[ReturnState, ...] = ()
    reasons: tuple[ReturnReason, ...] = ()
    order: str = ""


@dataclass(frozen=True)
class Row:
    """A return in the list. `amount` is what its units cost, and zero before they have arrived."""

    id: int
    reference: str
    state: ReturnState
    reason: ReturnReason
    requested_at: datetime
    number: str
    units: int
    amount: Money
    granted: Money | None

    @property
    def position(self) -> Position:
        return Position(self.requested_at, self.id)


@dataclass(frozen=True)
class Line:
    """A line of a return with the name and the quantity of the order's line."""

    sku: str
    name: str
    bought: int
    quantity: int
    restocked: int
    not_restocked: int
    amount: Money


def parse(parameters: Mapping[str, Sequence[str]]) -> Filters:
    """The filters of an address. Raises BadInput with the known ones."""
    given = filter_values.given(parameters, FILTERS)
    order = filter_values.single("order", filter_values.ids("order", given["order"])) or ""
    return Filters(
        filter_values.members("state", given["state"], ReturnState),
        filter_values.members("reason", given["reason"], ReturnReason),
        ids.read_order_number(order) if order else "",
    )


def pairs(filters: Filters) -> list[tuple[str, str]]:
    """Parameters of an address."""
    return filter_values.pairs({"state": filters.states, "reason": filters.reasons, "order": filters.order or None})


def find(filters: Filters, place: Place = keyset.FIRST, limit: int = ON_A_PAGE, *, offset: int = 0) -> Page[Row]:
    """A page of the returns that match, the newest first. One statement."""
    units = select(func.sum(ReturnLine.quantity)).where(ReturnLine.return_id == Return.id).scalar_subquery()
    query = _matching(filters, *_COLUMNS, _AMOUNT, Return.granted_amount, Order.number, units.label("units"))
    at, columns = place.beyond, (Return.requested_at, Return.id)
    if at is not None:
        position = tuple_(literal(at.at, Return.requested_at.type), at.id)
        query = query.where(tuple_(*columns) > position if place.is_backwards else tuple_(*columns) < position)
    order = columns if place.is_backwards else tuple(column.desc() for column in columns)
    found = db.session.execute(query.order_by(*order).limit(limit + 1).offset(offset)).mappings()
    return keyset.page([_row(dict(one)) for one in found], place, limit)


def count(filters: Filters) -> int:
    """The number of returns that match, up to COUNTED + 1. One statement."""
    matching = _matching(filters, Return.id).limit(COUNTED + 1).subquery()
    return db.session.scalar(select(func.count()).select_from(matching)) or 0


def waiting(*states: ReturnState) -> Select[Any]:
    """Select the returns in these states with the numbers of their orders."""
    return _matching(Filters(states=states), *_COLUMNS, _AMOUNT, Return.order_id, Order.number)


def get(return_id: int) -> tuple[Return, str] | None:
    """A return and the number of its order, as the database has them now; None without one."""
    query = select(Return, Order.number).join(Order, Order.id == Return.order_id).where(Return.id == return_id)
    found = db.session.execute(query.execution_options(populate_existing=True)).one_or_none()
    return None if found is None else (found[0], found[1])


def id_of(reference: str) -> int:
    """The id of the return with this reference, in any case. Raises Refusal `unknown_return`."""
    found = db.session.scalar(select(Return.id).where(Return.reference == reference.strip().upper()))
    if found is None:
        raise load.unknown()
    return found


def lines(return_id: int) -> list[Line]:
    """The lines of a return, in the order of the order. One statement."""
    return lines_of([return_id])[return_id]


def lines_of(return_ids: Sequence[int]) -> dict[int, list[Line]]:
    """The lines of each return, in the order of the order. One statement."""
    query = select(ReturnLine, OrderLine.name, OrderLine.quantity, Return.currency)
    query = query.join(Return, Return.id == ReturnLine.return_id)
    query = query.join(OrderLine, (OrderLine.order_id == Return.order_id) & (OrderLine.sku == ReturnLine.sku))
    query = query.where(Return.id.in_(return_ids)).order_by(OrderLine.position)
    found: dict[int, list[Line]] = {return_id: [] for return_id in return_ids}
    for one, name, bought, currency in db.session.execute(query.execution_options(populate_existing=True)):
        units = (one.quantity, one.restocked, one.not_restocked)
        found[one.return_id].append(Line(one.sku, name, bought, *units, Money(one.amount, currency)))
    return found


def of_order(order_id: int) -> list[Return]:
    """The returns of an order, the newest first. One statement."""
    return list(db.session.scalars(_OF_ORDER, {"order": order_id}))


def people(one: Return) -> set[Actor]:
    """People who have changed the state of a return."""
    return {by for by in (one.requested_by, one.decided_by, one.received_by, one.closed_by) if by is not None}


def _matching(filters: Filters, *columns: Any) -> Select[Any]:
    query = select(*columns).join_from(Return, Order, Order.id == Return.order_id)
    if filters.states:
        query = query.where(Return.state.in_(filters.states))
    if filters.reasons:
        query = query.where(Return.reason.in_(filters.reasons))
    return query.where(Order.number == filters.order) if filters.order else query


def _row(found: dict[str, Any]) -> Row:
    currency, granted = found.pop("currency"), found.pop("granted_amount")
    amount = Money(found.pop("amount"), currency)
    return Row(**found, amount=amount, granted=None if granted is None else Money(granted, currency))
