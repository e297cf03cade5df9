"""Read the fulfilment of orders: lines with the places of their units, packages, and the view of the order page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, case, func, select

from shop.core.db import db, table
from shop.core.line_kinds import LineKind
from shop.fulfilment.decide import SHIPPABLE, Line
from shop.fulfilment.models import Shipment, ShipmentLine
from shop.fulfilment.states import ShipmentState
from shop.orders.fulfilment_states import FulfilmentState
from shop.orders.models import Order, OrderLine
from shop.orders.states import OrderState

_LINES, _SHIPMENTS, _UNITS = table(OrderLine), table(Shipment), table(ShipmentLine)


@dataclass(frozen=True)
class PackedLine:
    """Units of a line in a package."""

    sku: str
    name: str
    quantity: int


@dataclass(frozen=True)
class Package:
    """A package of an order, with its tracking; empty texts are unknown."""

    order_id: int
    number: int
    state: ShipmentState
    carrier: str
    tracking_number: str
    tracking_url: str
    packed_at: datetime
    shipped_at: datetime | None
    lines: tuple[PackedLine, ...]

    @property
    def is_shipped(self) -> bool:
        return self.state is ShipmentState.SHIPPED


@dataclass(frozen=True)
class Shipping:
    """Shipping of a paid order for its page. `left` are the units that are still to be packed; none once the order
    is refunded in full, and then `is_stopped` tells whether some were.
    """

    state: FulfilmentState
    packages: tuple[Package, ...]
    left: tuple[PackedLine, ...]
    is_stopped: bool = False


def lines(order_ids: Collection[int]) -> dict[int, list[Line]]:
    """The lines of these orders, with the places of their units, in the order of the lines. One statement."""
    packed, shipped = (
        func.coalesce(func.sum(case((_SHIPMENTS.c.state == state, _UNITS.c.quantity), else_=0)), 0).label(state.lower())
        for state in (ShipmentState.PACKED, ShipmentState.SHIPPED)
    )
    same = and_(_UNITS.c.order_id == _LINES.c.order_id, _UNITS.c.sku == _LINES.c.sku)
    columns = [_LINES.c[name] for name in ("order_id", "sku", "name", "quantity", "withdrawn")]
    query = (
        select(*columns, packed, shipped)
        .select_from(
            _LINES.outerjoin(_UNITS, same).outerjoin(_SHIPMENTS, _SHIPMENTS.c.id == _UNITS.c.shipment_id),
        )
        .where(_LINES.c.order_id.in_(order_ids), _LINES.c.kind == LineKind.ITEM)
        .group_by(_LINES.c.order_id, _LINES.c.sku)
        .order_by(_LINES.c.order_id, _LINES.c.position)
    )
    found: dict[int, list[Line]] = {order_id: [] for order_id in order_ids}
    for row in db.session.execute(query):
        places = {"packed": int(row.packed), "shipped": int(row.shipped), "withdrawn": row.withdrawn}
        found[row.order_id].append(Line(row.sku, row.name, row.quantity, **places))
    return found


def shipped(order_id: int) -> dict[str, int]:
    """The units of an order that have been shipped, by SKU; only lines with some."""
    return {line.sku: line.shipped for line in lines([order_id])[order_id] if line.shipped}


def packages(order_ids: Iterable[int], *, cancelled: bool = False) -> dict[int, list[Package]]:
    """The packages of these orders by their number, with cancelled ones only if wanted. One statement."""
    columns = ("order_id", "number", "state", "carrier", "tracking_number", "tracking_url", "packed_at", "shipped_at")
    query = (
        select(*(_SHIPMENTS.c[name] for name in columns), _UNITS.c.sku, _UNITS.c.quantity, _LINES.c.name)
        .join(_UNITS, _UNITS.c.shipment_id == _SHIPMENTS.c.id)
        .join(_LINES, and_(_LINES.c.order_id == _UNITS.c.order_id, _LINES.c.sku == _UNITS.c.sku))
        .where(_SHIPMENTS.c.order_id.in_(list(order_ids)))
        .order_by(_SHIPMENTS.c.order_id, _SHIPMENTS.c.number, _LINES.c.position)
    )
    if not cancelled:
        query = query.where(_SHIPMENTS.c.state != ShipmentState.CANCELLED)
    values: dict[tuple[int, int], dict[str, object]] = {}
    contents: dict[tuple[int, int], list[PackedLine]] = {}
    for row in db.session.execute(query).mappings():
        key = (row["order_id"], row["number"])
        values.setdefault(key, {name: row[name] for name in columns})
        contents.setdefault(key, []).append(PackedLine(row["sku"], row["name"], row["quantity"]))
    found: dict[int, list[Package]] = {}
    for key, named in values.items():
        package = Package(**named, lines=tuple(contents[key]))  # type: ignore[arg-type]
        found.setdefault(key[0], []).append(package)
    return found


def package(order_id: int, number: int) -> Package | None:
    """The package of this number, a cancelled one too."""
    found = packages([order_id], cancelled=True).get(order_id, [])
    return next((one for one in found if one.number == number), None)


def shipping(order: Order) -> Shipping | None:
    """The shipping of an order for its page; None for one that was never paid. One statement, or none before packing,
    and the lines of the order.
    """
    if order.paid_at is None or order.state not in SHIPPABLE | {OrderState.REFUNDED}:
        return None
    is_packed = order.fulfilment is not FulfilmentState.TO_PACK
    made = tuple(packages([order.id]).get(order.id, ())) if is_packed else ()
    in_packages: Counter[str] = Counter()
    for line in (one for package in made for one in package.lines):
        in_packages[line.sku] += line.quantity
    units = [(item, item.quantity - item.withdrawn - in_packages[item.sku]) for item in order.lines]
    left = tuple(PackedLine(item.sku, item.name, number) for item, number in units if number > 0)
    if order.state is OrderState.REFUNDED:
        gone = tuple(one for one in made if one.is_shipped)
        return Shipping(order.fulfilment, gone, (), is_stopped=bool(left) or len(gone) < len(made))
    return Shipping(order.fulfilment, made, left)
