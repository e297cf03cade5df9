"""Orders with units to pack or to ship, for staff: a list, the longest paid first, its filters, and the pick list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, exists, func, literal, select, tuple_

from shop.core import days, filter_values, keyset
from shop.core.countries import SHIPS_TO
from shop.core.db import db
from shop.core.errors import BadInput
from shop.core.keyset import Page, Place, Position
from shop.core.line_kinds import LineKind
from shop.fulfilment import find
from shop.fulfilment.decide import Line
from shop.orders.fulfilment_states import DONE, FulfilmentState
from shop.orders.models import Order, OrderLine, is_to_ship
from shop.payments.providers.types import DisputeState
from shop.payments.records.models import REFUND_UNDER_WAY, Refund
from shop.payments.records.settlement_models import Dispute

ON_A_PAGE = 50
COUNTED = 1000
"""Orders that a count looks at."""
MOST_CHOSEN = 50
"""Orders that a pick list, a file of packing slips or a form for several orders has."""
OPEN_STATES = tuple(state for state in FulfilmentState if state not in DONE)
NAMES = ("state", "country", "from", "to")


@dataclass(frozen=True)
class Filters:
    """Filters of the list. Days of payment are in the shop's zone, both included."""

    states: tuple[FulfilmentState, ...] = ()
    countries: tuple[str, ...] = ()
    paid_from: date | None = None
    paid_to: date | None = None

    @classmethod
    def parse(cls, parameters: Mapping[str, Sequence[str]]) -> Filters:
        """Read the parameters of an address. Raises BadInput for unknown names and values."""
        given = filter_values.given(parameters, NAMES)
        states = filter_values.members("state", given["state"], OPEN_STATES)
        countries = filter_values.known("country", given["country"], sorted(SHIPS_TO))
        return cls(states, countries, *filter_values.days(given))

    def pairs(self) -> list[tuple[str, str]]:
        """As parameters of an address."""
        named = {"state": self.states, "country": self.countries, "from": self.paid_from, "to": self.paid_to}
        return filter_values.pairs(named)


@dataclass(frozen=True)
class Row:
    """An order in the list. `is_refunding`: a refund is under way; `is_disputed`: a dispute is open or was lost."""

    id: int
    number: str
    paid_at: datetime
    fulfilment: FulfilmentState
    name: str
    city: str
    country: str
    delivery: str | None
    in_review: bool
    is_refunding: bool
    is_disputed: bool
    lines: list[Line] = field(default_factory=list)

    @property
    def position(self) -> Position:
        return Position(self.paid_at, self.id)

    @property
    def left(self) -> list[Line]:
        """Lines with units that are left to pack."""
        return [line for line in self.lines if line.left]

    @property
    def packed(self) -> int:
        """Units in packages that have not left."""
        return sum(line.packed for line in self.lines)


def listed(filters: Filters, zone: ZoneInfo, place: Place = keyset.FIRST) -> tuple[Page[Row], int]:
    """A page of the orders that match, the longest paid first, and the number of all, counted up to COUNTED + 1. Two
    statements.
    """
    which = _conditions(filters, zone)
    counted = select(Order.id).where(*which).limit(COUNTED + 1).subquery()
    number = select(func.count()).select_from(counted).scalar_subquery().label("number_of_all")
    found = [dict(row) for row in db.session.execute(_page(which, place).add_columns(number)).mappings()]
    total = max((row.pop("number_of_all") for row in found), default=0)
    return keyset.page(_with_lines(found), place, ON_A_PAGE), total


def first() -> tuple[list[Row], int]:
    """The first page of all orders with units to pack or ship, and their number as `listed` counts it."""
    page, total = listed(Filters(), ZoneInfo("UTC"))
    return page.rows, total


def counted(dialect: str) -> Any:
    """Subquery: the number of orders with units to pack or ship, counted up to COUNTED."""
    some = select(Order.id).where(is_to_ship(dialect)).limit(COUNTED).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


def chosen(numbers: Sequence[str]) -> list[Row]:
    """The orders with these numbers that have units to pack or ship, the longest paid first. Two statements. Raises
    BadInput for none and for more than MOST_CHOSEN.
    """
    wanted = list(dict.fromkeys(numbers))
    if not wanted:
        raise BadInput("nothing_selected", "Select at least one order.")
    if len(wanted) > MOST_CHOSEN:
        raise BadInput("too_many_orders", f"Select at most {MOST_CHOSEN} orders at once.")
    which = [is_to_ship(db.engine.dialect.name), Order.number.in_(filter_values.ids("number", wanted))]
    rows = db.session.execute(_shown(which)).mappings()
    return _with_lines([dict(row) for row in rows])


def next_after(order: Order, filters: Filters, zone: ZoneInfo) -> str | None:
    """The number of the order that the list has after this one; at its end, of its first other order. None if no other
    matches.
    """
    others = select(Order.number).where(*_conditions(filters, zone), Order.id != order.id)
    others = others.order_by(Order.paid_at, Order.id).limit(1)
    later = tuple_(Order.paid_at, Order.id) > tuple_(literal(order.paid_at, Order.paid_at.type), order.id)
    return db.session.scalar(others.where(later)) or db.session.scalar(others)


@dataclass
class Pick:
    """A product of a pick list: the units to take from the stock, and how many of them each order gets."""

    sku: str
    name: str
    units: int = 0
    orders: list[tuple[str, int]] = field(default_factory=list)


def pick_list(rows: Sequence[Row]) -> list[Pick]:
    """Units that are left to pack, by product. Pure."""
    found: dict[str, Pick] = {}
    for row in rows:
        for line in row.left:
            pick = found.setdefault(line.sku, Pick(line.sku, line.name))
            pick.units += line.left
            pick.orders.append((row.number, line.left))
    return sorted(found.values(), key=lambda pick: pick.sku)


def _conditions(filters: Filters, zone: ZoneInfo) -> list[ColumnElement[bool]]:
    which: list[Any] = [is_to_ship(db.engine.dialect.name)]
    if filters.states:
        which.append(Order.fulfilment.in_(filters.states))
    if filters.countries:
        which.append(Order.country.in_(filters.countries))
    if filters.paid_from:
        which.append(Order.paid_at >= days.midnight(filters.paid_from, zone))
    if filters.paid_to:
        which.append(Order.paid_at < days.midnight(filters.paid_to + timedelta(days=1), zone))
    return which


def _page(which: list[ColumnElement[bool]], place: Place) -> Select[Any]:
    """Select the orders of a page, in the direction of the search: the list is sorted by time, the earliest first."""
    which = list(which)
    row = tuple_(Order.paid_at, Order.id)
    if place.after is not None:
        which.append(row > tuple_(literal(place.after.at, Order.paid_at.type), place.after.id))
    if place.before is not None:
        which.append(row < tuple_(literal(place.before.at, Order.paid_at.type), place.before.id))
    return _shown(which, backwards=place.is_backwards).limit(ON_A_PAGE + 1)


def _shown(which: list[Any], *, backwards: bool = False) -> Select[Any]:
    delivery = (
        select(OrderLine.name)
        .where(OrderLine.order_id == Order.id, OrderLine.kind == LineKind.DELIVERY)
        .limit(1)
        .scalar_subquery()
    )
    refunding = exists(select(Refund.id).where(Refund.order_id == Order.id, REFUND_UNDER_WAY))
    disputed = exists().where(Dispute.order_id == Order.id, Dispute.state != DisputeState.WON)
    columns = (Order.id, Order.number, Order.paid_at, Order.fulfilment, Order.name, Order.city, Order.country)
    flags = (Order.review_since.is_not(None).label("in_review"), refunding.label("is_refunding"))
    sorting = (Order.paid_at.desc(), Order.id.desc()) if backwards else (Order.paid_at, Order.id)
    query = select(*columns, delivery.label("delivery"), *flags, disputed.label("is_disputed"))
    return query.where(*which).order_by(*sorting)


def _with_lines(found: list[dict[str, Any]]) -> list[Row]:
    of_orders = find.lines([row["id"] for row in found]) if found else {}
    return [Row(**row, lines=of_orders[row["id"]]) for row in found]
