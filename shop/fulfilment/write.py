"""Pack and ship orders. Each use case locks the order, decides by `shop.fulfilment.decide`, and writes the package, the
state of the fulfilment, an event and an audit entry. The lock decides races: refunds and other packages change the
order under the same one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, insert, select, update

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.core import audit, clock, logs, reasons, text
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import after_commit, db, table, transactional
from shop.core.errors import Refusal
from shop.core.event_types import (
    Event,
    ShipmentCancelled,
    ShipmentChanged,
    ShipmentLinesWithdrawn,
    ShipmentPacked,
    ShipmentShipped,
    ShipmentTrackingChanged,
)
from shop.fulfilment import decide, find
from shop.fulfilment.carriers import Tracking
from shop.fulfilment.decide import Snapshot, Units
from shop.fulfilment.models import Shipment, ShipmentLine
from shop.fulfilment.refusals import FormUsed, NothingToPack, NotPacked, SeveralPackages, bad_input, unknown_shipment
from shop.fulfilment.states import ShipmentState
from shop.orders import events
from shop.orders.models import OrderLine

log = logs.get()
LONGEST_KEY = 64
_SHIPMENTS, _LINES = table(Shipment), table(OrderLine)


@dataclass(frozen=True)
class _Locked:
    """A locked order: its id, its number for people, and its units."""

    id: int
    number: str
    snapshot: Snapshot


@transactional
def pack(order_id: int, units: Units, *, by: Actor, form_key: str) -> int:
    """Pack these units into a new package and return its number. `form_key` makes it safe to repeat: a form that is
    sent again returns the package that it has packed, and with other units is refused (FormUsed).

    Raises Forbidden, and what `decide.pack` raises.
    """
    rights.demand(by, Permission.FULFILMENT_WRITE)
    order = _lock(order_id)
    wanted = {sku: number for sku, number in units.items() if number}
    if (before := _by_form(order_id, _checked(form_key))) is not None:
        if _units_of(before.id) != wanted:
            raise FormUsed
        return int(before.number)
    after = decide.pack(order.snapshot, wanted)
    number = _add(order_id, wanted, {"state": ShipmentState.PACKED}, by, form_key)
    _record(order, after, number, wanted, ShipmentPacked, Act.SHIPMENT_PACKED, by)
    return number


@transactional
def ship(order_id: int, number: int, tracking: Tracking, *, by: Actor) -> None:
    """Mark a package as handed to its carrier: the customer gets a mail. No effect when it has left with the same
    tracking. Raises Forbidden, and Refusal: `unknown_shipment`, NotPacked, NotShippable.
    """
    rights.demand(by, Permission.FULFILMENT_WRITE)
    order, shipment = _lock(order_id), _shipment(order_id, number)
    if _has_left(shipment, tracking):
        return
    _send(order, shipment, tracking, by)


@transactional
def pack_and_ship(order_id: int, tracking: Tracking, *, by: Actor, form_key: str) -> int:
    """Ship all of an order that is left in one package, and return its number: in the package that contains all of it,
    or in a new one. Safe to repeat, as `pack` and `ship`.

    Raises what they raise, and SeveralPackages for an order whose packages cannot share a tracking number.
    """
    rights.demand(by, Permission.FULFILMENT_WRITE)
    order = _lock(order_id)
    if (before := _by_form(order_id, _checked(form_key))) is not None:
        if not _has_left(before, tracking):
            raise FormUsed
        return int(before.number)
    left, made = order.snapshot.left, _all(order_id)
    packed = [one for one in made if one.state is ShipmentState.PACKED]
    if packed and (left or len(packed) > 1):
        raise SeveralPackages
    if packed:
        _send(order, packed[0], tracking, by)
        return int(packed[0].number)
    if not left:
        return _repeated(made, tracking)
    after = decide.ship(decide.pack(order.snapshot, left), left)
    number = _add(order_id, left, _sent(tracking), by, form_key)
    _record(order, after, number, left, ShipmentShipped, Act.SHIPMENT_SHIPPED, by, tracking)
    return number


@transactional
def cancel(order_id: int, number: int, *, by: Actor) -> None:
    """Cancel the packing of a package that has not left: its units are left to pack again. No effect on a cancelled
    one. Raises Forbidden, and Refusal: `unknown_shipment`, NotPacked.
    """
    rights.demand(by, Permission.FULFILMENT_WRITE)
    order, shipment = _lock(order_id), _shipment(order_id, number)
    if shipment.state is ShipmentState.CANCELLED:
        return
    if shipment.state is not ShipmentState.PACKED:
        raise NotPacked(number, shipment.state)
    units = _units_of(shipment.id)
    _change(shipment.id, {"state": ShipmentState.CANCELLED, "cancelled_at": clock.now()})
    after = decide.unpack(order.snapshot, units)
    _record(order, after, number, units, ShipmentCancelled, Act.SHIPMENT_CANCELLED, by)


@transactional
def change_tracking(order_id: int, number: int, tracking: Tracking, *, by: Actor, reason: str) -> None:
    """Correct carrier and tracking number of a package that has left; no second mail is sent. Raises Forbidden,
    BadInput for the reason, and Refusal: `unknown_shipment`, `not_shipped`.
    """
    rights.demand(by, Permission.FULFILMENT_WRITE)
    order, shipment = _lock(order_id), _shipment(order_id, number)
    if shipment.state is not ShipmentState.SHIPPED:
        raise Refusal("not_shipped", "Only a package that has left has a tracking number to correct.")
    if _has_left(shipment, tracking):
        return
    values = _tracking(tracking)
    personal = {"before": {name: getattr(shipment, name) for name in values}, "after": values}
    _change(shipment.id, values)
    about = Subject(SubjectKind.ORDER, order.number)
    after = {"shipment": number, "carrier": tracking.carrier}
    audit.record(by, Act.TRACKING_CHANGED, about, after=after, reason=reasons.needed(reason), personal=personal)
    event = ShipmentTrackingChanged(number, sum(_units_of(shipment.id).values()), order.snapshot.fulfilment)
    _write_event(order, event, by, order.snapshot)


@transactional
def withdraw(order_id: int, units: Units, *, seen: Units, by: Actor, reason: str) -> None:
    """Set how many units of lines are not shipped, such as those whose money was refunded; `seen` are the numbers that
    the reader saw. No effect when they are reached. Raises Forbidden, and what `decide.withdraw` raises.
    """
    rights.demand(by, Permission.FULFILMENT_WRITE)
    order, why = _lock(order_id), reasons.needed(reason)
    after = decide.withdraw(order.snapshot, units, seen)
    if after == order.snapshot:
        return
    for line in after.lines:
        of_line = (_LINES.c.order_id == order_id, _LINES.c.sku == line.sku)
        db.session.execute(update(_LINES).where(*of_line).values(withdrawn=line.withdrawn))
    total = sum(line.withdrawn for line in after.lines)
    _write_event(order, ShipmentLinesWithdrawn(total, after.fulfilment), by, after)
    numbers = [{line.sku: line.withdrawn for line in one.lines} for one in (order.snapshot, after)]
    about = Subject(SubjectKind.ORDER, order.number)
    audit.record(by, Act.LINES_WITHDRAWN, about, before=numbers[0], after=numbers[1], reason=why)


def _lock(order_id: int) -> _Locked:
    """Lock the order and read its units, which change under this lock alone. Raises Refusal `unknown_order`."""
    orders = events.ORDERS
    query = select(orders.c.number, orders.c.state).where(orders.c.id == order_id).with_for_update()
    row = db.session.execute(query).one_or_none()
    if row is None:
        raise Refusal("unknown_order", "There is no such order.")
    return _Locked(order_id, row.number, Snapshot(row.state, tuple(find.lines([order_id])[order_id])))


def _all(order_id: int) -> Sequence[Row[Any]]:
    return db.session.execute(select(_SHIPMENTS).where(_SHIPMENTS.c.order_id == order_id)).all()


def _shipment(order_id: int, number: int) -> Row[Any]:
    found = next((one for one in _all(order_id) if one.number == number), None)
    if found is None:
        raise unknown_shipment(number)
    return found


def _by_form(order_id: int, form_key: str) -> Row[Any] | None:
    return next((one for one in _all(order_id) if one.form_key == form_key), None)


def _checked(form_key: str) -> str:
    if not 0 < len(form_key) <= LONGEST_KEY or text.is_unusable(form_key):
        raise bad_input("bad_form", "The form is not complete. Reload the page.", "key")
    return form_key


def _units_of(shipment_id: int) -> dict[str, int]:
    query = select(ShipmentLine.sku, ShipmentLine.quantity).where(ShipmentLine.shipment_id == shipment_id)
    return {row.sku: row.quantity for row in db.session.execute(query)}


def _has_left(shipment: Row[Any], tracking: Tracking) -> bool:
    """True if the package has left with this tracking."""
    same = all(getattr(shipment, name) == value for name, value in _tracking(tracking).items())
    return shipment.state is ShipmentState.SHIPPED and same


def _repeated(made: Sequence[Row[Any]], tracking: Tracking) -> int:
    """The number of the last package if it has left with this tracking: the form was sent twice."""
    last = max(made, key=lambda one: one.number, default=None)
    if last is None or not _has_left(last, tracking):
        raise NothingToPack
    return int(last.number)


def _tracking(tracking: Tracking) -> dict[str, str]:
    return {"carrier": tracking.carrier, "tracking_number": tracking.number, "tracking_url": tracking.url}


def _sent(tracking: Tracking) -> dict[str, Any]:
    return {"state": ShipmentState.SHIPPED, "shipped_at": clock.now(), **_tracking(tracking)}


def _send(order: _Locked, shipment: Row[Any], tracking: Tracking, by: Actor) -> None:
    if shipment.state is not ShipmentState.PACKED:
        raise NotPacked(shipment.number, shipment.state)
    units = _units_of(shipment.id)
    after = decide.ship(order.snapshot, units)
    _change(shipment.id, _sent(tracking))
    _record(order, after, shipment.number, units, ShipmentShipped, Act.SHIPMENT_SHIPPED, by, tracking)


def _add(order_id: int, units: Units, values: Mapping[str, Any], by: Actor, form_key: str) -> int:
    """Insert a package with its lines and return its number."""
    number = max((one.number for one in _all(order_id)), default=0) + 1
    row = {"order_id": order_id, "number": number, "form_key": form_key, "packed_at": clock.now(), "packed_by": by}
    row |= _tracking(Tracking("", "", "")) | dict(values)
    shipment_id = db.session.scalar(insert(_SHIPMENTS).returning(_SHIPMENTS.c.id), row)
    of_lines = [
        {"shipment_id": shipment_id, "order_id": order_id, "sku": sku, "quantity": quantity}
        for sku, quantity in units.items()
    ]
    db.session.execute(insert(table(ShipmentLine)), of_lines)
    return number


def _change(shipment_id: int, values: Mapping[str, Any]) -> None:
    db.session.execute(update(_SHIPMENTS).where(_SHIPMENTS.c.id == shipment_id).values(**values))


def _record(
    order: _Locked,
    after: Snapshot,
    number: int,
    units: Units,
    event: type[ShipmentChanged],
    act: Act,
    by: Actor,
    tracking: Tracking | None = None,
) -> None:
    """Write the state of the fulfilment, the event of a package, and the audit entry."""
    _write_event(order, event(number, sum(units.values()), after.fulfilment), by, after)
    change: dict[str, Any] = {"shipment": number, "units": dict(units), "fulfilment": after.fulfilment}
    personal = None
    if tracking is not None:
        change["carrier"], personal = tracking.carrier, _tracking(tracking)
    before = {"fulfilment": order.snapshot.fulfilment}
    about = Subject(SubjectKind.ORDER, order.number)
    audit.record(by, act, about, before=before, after=change, personal=personal)
    after_commit(lambda: log.info(f"fulfilment.{act.partition('.')[2]}", order=order.id, shipment=number))


def _write_event(order: _Locked, event: Event, by: Actor, after: Snapshot) -> None:
    orders = events.ORDERS
    values = {"fulfilment": after.fulfilment, "event_seq": orders.c.event_seq + 1}
    changed = update(orders).where(orders.c.id == order.id).values(values)
    seq = db.session.scalars(changed.returning(orders.c.event_seq)).one()
    events.write(events.About(order.id, order.number, seq, by, clock.now()), event)
