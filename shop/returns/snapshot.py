"""Snapshot of an order and its returns, read under the order's lock. Pure: no database, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shop.core.actor import Actor
from shop.orders.states import OrderState
from shop.returns.amounts import Price, Units
from shop.returns.states import ARRIVED, ENDED_WITHOUT, ReturnReason, ReturnState


@dataclass(frozen=True)
class Sent:
    """Units that the customer has: the number of each SKU, and the time from which the days for returns count;
    None while the order is not paid.
    """

    units: Units
    since: datetime | None


@dataclass(frozen=True)
class LineRow:
    """Units of a line of a return, as `models.ReturnLine` has them."""

    quantity: int
    restocked: int = 0
    not_restocked: int = 0

    @property
    def arrived(self) -> int:
        return self.restocked + self.not_restocked


@dataclass(frozen=True)
class ReturnRow:
    """A return of the order with its lines by SKU."""

    id: int
    reference: str
    form_key: str
    state: ReturnState
    reason: ReturnReason
    comment: str
    message: str
    goods_amount: int
    delivery_amount: int
    granted_amount: int | None
    requested_at: datetime
    requested_by: Actor
    decided_by: Actor | None
    received_by: Actor | None
    closed_by: Actor | None
    lines: Mapping[str, LineRow] = field(default_factory=dict)

    @property
    def amount(self) -> int:
        return self.goods_amount + self.delivery_amount

    @property
    def moved_by(self) -> Actor:
        """Actor who brought it into its state."""
        return self.closed_by or self.received_by or self.decided_by or self.requested_by


@dataclass(frozen=True)
class Snapshot:
    """An order that can be returned in part, and its returns by the time of their requests."""

    order_id: int
    number: str
    state: OrderState
    currency: str
    names: Mapping[str, str]
    price: Price
    sent: Sent
    returns: tuple[ReturnRow, ...] = ()

    def find(self, return_id: int) -> ReturnRow:
        """The return with this id. Raises StopIteration."""
        return next(one for one in self.returns if one.id == return_id)

    def left(self) -> dict[str, int]:
        """Units of each SKU that were sent and are in no return that counts. Of a return that has arrived only the
        units that arrived count.
        """
        taken = dict.fromkeys(self.sent.units, 0)
        for one in self.returns:
            for sku, line in one.lines.items() if one.state not in ENDED_WITHOUT else ():
                taken[sku] = taken.get(sku, 0) + (line.arrived if one.state in ARRIVED else line.quantity)
        return {sku: max(0, units - taken[sku]) for sku, units in self.sent.units.items()}

    def arrived(self) -> dict[str, int]:
        """Units of each SKU that have arrived in all returns."""
        found = dict.fromkeys(self.names, 0)
        for one in self.returns:
            for sku, line in one.lines.items() if one.state in ARRIVED else ():
                found[sku] = found.get(sku, 0) + line.arrived
        return found
