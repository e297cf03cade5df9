"""Decisions about packing and shipping: what a request changes in the units of an order. Pure.

Every unit of a line is in one of four places: left to pack, packed, shipped, or withdrawn, which is taken out of the
fulfilment because its money was refunded. So no more units are shipped than were bought.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from shop.fulfilment.refusals import CountsChanged, NothingToPack, NotShippable, TooMany, bad_input
from shop.orders.fulfilment_states import FulfilmentState
from shop.orders.states import OrderState

SHIPPABLE = frozenset({OrderState.PAID, OrderState.PARTIALLY_REFUNDED})
"""States of the money in which an order is packed and shipped."""
Units = Mapping[str, int]
"""Numbers of units by SKU."""


@dataclass(frozen=True)
class Line:
    """A line of an order, by its SKU, and the places of its units."""

    sku: str
    name: str
    ordered: int
    packed: int = 0
    shipped: int = 0
    withdrawn: int = 0

    @property
    def left(self) -> int:
        """Units that are left to pack."""
        return self.ordered - self.packed - self.shipped - self.withdrawn


@dataclass(frozen=True)
class Snapshot:
    """The state of an order's money, and its lines."""

    state: OrderState
    lines: tuple[Line, ...]

    @property
    def fulfilment(self) -> FulfilmentState:
        return state_of(self.lines)

    @property
    def left(self) -> dict[str, int]:
        """All units that are left to pack."""
        return {line.sku: line.left for line in self.lines if line.left}


def state_of(lines: Sequence[Line]) -> FulfilmentState:
    """The state of the fulfilment of an order with these lines."""
    left, packed, shipped = (sum(getattr(line, name) for line in lines) for name in ("left", "packed", "shipped"))
    if shipped:
        return FulfilmentState.PARTLY_SHIPPED if left or packed else FulfilmentState.SHIPPED
    if packed:
        return FulfilmentState.PARTLY_PACKED if left else FulfilmentState.PACKED
    return FulfilmentState.TO_PACK if left else FulfilmentState.NOTHING_TO_SHIP


def pack(order: Snapshot, units: Units) -> Snapshot:
    """The order after these units were packed. Raises NotShippable, NothingToPack, TooMany, and BadInput for a SKU or
    a number that cannot be.
    """
    _demand_shippable(order)
    _demand_possible(order, units)
    if not any(units.values()):
        raise NothingToPack
    for line in order.lines:
        if units.get(line.sku, 0) > line.left:
            raise TooMany(line.name, line.left)
    return _with(order, lambda line: replace(line, packed=line.packed + units.get(line.sku, 0)))


def ship(order: Snapshot, units: Units) -> Snapshot:
    """The order after a package of these units has left. Raises NotShippable."""
    _demand_shippable(order)
    return _moved(order, units, shipped=True)


def unpack(order: Snapshot, units: Units) -> Snapshot:
    """The order after a package of these units was cancelled, whatever the state of its money."""
    return _moved(order, units, shipped=False)


def withdraw(order: Snapshot, units: Units, seen: Units) -> Snapshot:
    """The order with these numbers of units withdrawn in all; `seen` are the numbers that the reader saw. Lines that
    `units` does not name stay as they are.

    Numbers that are reached already need no `seen`, so that a repetition changes nothing. Raises CountsChanged,
    TooMany for more than are withdrawn or left to pack, and BadInput.
    """
    _demand_possible(order, units)
    for line in order.lines:
        wanted = units.get(line.sku, line.withdrawn)
        if wanted == line.withdrawn:
            continue
        if seen.get(line.sku) != line.withdrawn:
            raise CountsChanged
        if wanted > line.withdrawn + line.left:
            raise TooMany(line.name, line.withdrawn + line.left)
    return _with(order, lambda line: replace(line, withdrawn=units.get(line.sku, line.withdrawn)))


def _demand_shippable(order: Snapshot) -> None:
    if order.state not in SHIPPABLE:
        raise NotShippable(order.state)


def _demand_possible(order: Snapshot, units: Units) -> None:
    if units.keys() - {line.sku for line in order.lines}:
        raise bad_input("unknown_line", "Choose products of this order.", "units")
    if any(number < 0 for number in units.values()):
        raise bad_input("bad_quantity", "Enter whole numbers of units.", "units")


def _moved(order: Snapshot, units: Units, *, shipped: bool) -> Snapshot:
    def after(line: Line) -> Line:
        number = units.get(line.sku, 0)
        return replace(line, packed=line.packed - number, shipped=line.shipped + (number if shipped else 0))

    return _with(order, after)


def _with(order: Snapshot, after: Callable[[Line], Line]) -> Snapshot:
    return replace(order, lines=tuple(after(line) for line in order.lines))
