"""Reserve and release stock: one conditional UPDATE per SKU, always in the order of SKUs, which avoids deadlocks.

The capture that pays an order sells its units: `payments/updates/write.py`, in the same command as the payment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import bindparam, select, update

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.core import audit, clock
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import changed, db, table, transactional
from shop.core.errors import BadInput
from shop.inventory.models import Reservation, Stock, StockMovement
from shop.inventory.refusals import OutOfStock
from shop.inventory.states import ReservationState

_STOCK, _RESERVATIONS = table(Stock), table(Reservation)
_RELEASE = update(_STOCK).where(_STOCK.c.sku == bindparam("of")).values(reserved=_STOCK.c.reserved - bindparam("units"))
_RESERVE = (
    update(_STOCK)
    .where(_STOCK.c.sku == bindparam("of"), _STOCK.c.on_hand - _STOCK.c.reserved >= bindparam("units"))
    .values(reserved=_STOCK.c.reserved + bindparam("units"))
)
_TURN = (
    update(_RESERVATIONS)
    .where(_RESERVATIONS.c.order_id == bindparam("order"), _RESERVATIONS.c.state == bindparam("source"))
    .values(state=bindparam("target"))
    .returning(_RESERVATIONS.c.sku, _RESERVATIONS.c.quantity)
)


MOST_ON_HAND = 1_000_000
"""Units of one SKU that `restock` allows."""


def available(skus: Iterable[str]) -> dict[str, int]:
    """Available units of each SKU; 0 for an unknown SKU."""
    wanted = list(skus)
    found = db.session.execute(select(Stock.sku, Stock.on_hand - Stock.reserved).where(Stock.sku.in_(wanted))).all()
    return dict.fromkeys(wanted, 0) | {row[0]: row[1] for row in found}


def receive(sku: str, quantity: int, kind: str = "receipt") -> None:
    """Record received units, or a correction with `kind` adjustment, in the caller's transaction."""
    if not changed(update(Stock).where(Stock.sku == sku).values(on_hand=Stock.on_hand + quantity)):
        db.session.add(Stock(sku=sku, on_hand=quantity, reserved=0))
        db.session.flush()
    db.session.add(StockMovement(sku=sku, quantity=quantity, kind=kind, at=clock.now()))


@transactional
def restock(sku: str, quantity: int, *, by: Actor) -> int:
    """Receive units of a SKU and return the available units. The stock movement `receipt` records it.

    Raises Forbidden, and BadInput `bad_quantity` for less than one unit, or when more than MOST_ON_HAND would be on
    hand.
    """
    rights.demand(by, Permission.STOCK_WRITE)
    if quantity < 1:
        raise BadInput("bad_quantity", "Quantity must be a whole number of at least 1.")
    receive(sku, quantity)
    on_hand = db.session.scalars(select(Stock.on_hand).where(Stock.sku == sku)).one()
    if on_hand > MOST_ON_HAND:
        raise BadInput("bad_quantity", f"There cannot be more than {MOST_ON_HAND:,} units of a product on hand.")
    before, after = {"on_hand": on_hand - quantity}, {"on_hand": on_hand}
    audit.record(by, Act.STOCK_RECEIVED, Subject(SubjectKind.PRODUCT, sku), before=before, after=after)
    return available([sku])[sku]


def reserve(order_id: int, quantities: Mapping[str, int]) -> None:
    """Reserve units for an order. Part of the caller's transaction. Raises OutOfStock, after which the transaction must
    not be committed.
    """
    skus = sorted(quantities)
    short = [sku for sku in skus if not _reserve_units(sku, quantities[sku])]
    if short:
        left = available(short)
        raise OutOfStock([{"sku": sku, "available": left[sku]} for sku in short])
    held = [
        {"order_id": order_id, "sku": sku, "quantity": quantities[sku], "state": ReservationState.HELD} for sku in skus
    ]
    db.session.execute(_RESERVATIONS.insert(), held)


def release(order_id: int) -> None:
    """Release the reservations of an order. No effect if there are none."""
    for sku, quantity in _turn(order_id, ReservationState.HELD, ReservationState.RELEASED):
        db.session.execute(_RELEASE, {"of": sku, "units": quantity})


def _reserve_units(sku: str, quantity: int) -> bool:
    return bool(changed(_RESERVE, {"of": sku, "units": quantity}))


def _turn(order_id: int, source: str, target: str) -> list[tuple[str, int]]:
    turned = db.session.execute(_TURN, {"order": order_id, "source": source, "target": target})
    return sorted((row.sku, row.quantity) for row in turned)
