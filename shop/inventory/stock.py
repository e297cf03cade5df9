"""Reserve, release, confirm: one conditional UPDATE for each SKU, always in the order of SKUs so that none wait in a
circle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import bindparam, select, update

from shop.core import clock
from shop.core.db import changed, db, rows, rows_of_each, table
from shop.core.errors import Refusal
from shop.core.later import change_last, do_last
from shop.inventory.models import Reservation, Stock, StockMovement

_STOCK, _RESERVATIONS = table(Stock), table(Reservation)
_LET_GO = (  # one statement for what goes back and for what is sold: then a unit changes all of its SKUs in their order
    update(_STOCK)
    .where(_STOCK.c.sku == bindparam("of"))
    .values(reserved=_STOCK.c.reserved - bindparam("units"), on_hand=_STOCK.c.on_hand - bindparam("sold"))
)
_TURN = (
    update(_RESERVATIONS)
    .where(_RESERVATIONS.c.order_id == bindparam("order"), _RESERVATIONS.c.state == bindparam("source"))
    .values(state=bindparam("target"))
    .returning(_RESERVATIONS.c.sku, _RESERVATIONS.c.quantity)
)


class OutOfStock(Refusal):
    """Fewer units than wanted can be sold. `details["short"]` lists sku and what is available."""

    def __init__(self, short: list[dict[str, int | str]]) -> None:
        super().__init__("out_of_stock", "Some of what you want is no longer in stock.", short=short)


def available(skus: Iterable[str]) -> dict[str, int]:
    """Units of each SKU that can still be sold; 0 for a SKU that is not known."""
    wanted = list(skus)
    found = db.session.execute(select(Stock.sku, Stock.on_hand - Stock.reserved).where(Stock.sku.in_(wanted))).all()
    return dict.fromkeys(wanted, 0) | {row[0]: row[1] for row in found}


def receive(sku: str, quantity: int, kind: str = "receipt") -> None:
    """Book units in (or out, when negative and `kind` is adjustment). Part of the caller's unit."""
    if not changed(update(Stock).where(Stock.sku == sku).values(on_hand=Stock.on_hand + quantity)):
        db.session.add(Stock(sku=sku, on_hand=quantity, reserved=0))
        db.session.flush()
    db.session.add(StockMovement(sku=sku, quantity=quantity, kind=kind, at=clock.now()))


def reserve(order_id: int, quantities: Mapping[str, int]) -> None:
    """Hold units for an order. Part of the caller's unit. Raises OutOfStock, and then the unit must not be
    committed.
    """
    short = [sku for sku in sorted(quantities) if not _take(sku, quantities[sku])]
    if short:
        left = available(short)
        raise OutOfStock([{"sku": sku, "available": left[sku]} for sku in short])
    db.session.add_all(Reservation(order_id=order_id, sku=sku, quantity=quantities[sku]) for sku in sorted(quantities))
    db.session.flush()


def release(order_id: int) -> None:
    """Give back what an order holds. Harmless when it holds nothing."""
    for sku, quantity in _turn(order_id, "HELD", "RELEASED"):
        change_last(_LET_GO, of=sku, units=quantity, sold=0)


def confirm(order_id: int) -> None:
    """At the end of the unit, what an order holds leaves the shelf, because it was paid. Harmless the second time."""
    do_last(_sell, order_id)


def _sell(order_ids: list[int]) -> None:
    turned = rows_of_each(_TURN, [{"order": one, "source": "HELD", "target": "SOLD"} for one in sorted(order_ids)])
    for sku, quantity in (row for found in turned for row in found):
        change_last(_LET_GO, of=sku, units=quantity, sold=quantity)


def hold_again(order_id: int) -> bool:
    """Hold again what was released, all of it or nothing. False when some of it has been sold meanwhile."""
    with db.session.begin_nested() as savepoint:
        turned = _turn(order_id, "RELEASED", "HELD")  # first, so that of two at once only one takes units
        if not all(_take(sku, quantity) for sku, quantity in turned):
            savepoint.rollback()
            return False
    return True


def _take(sku: str, quantity: int) -> bool:
    return bool(
        changed(
            update(Stock)
            .where(Stock.sku == sku, Stock.on_hand - Stock.reserved >= quantity)
            .values(reserved=Stock.reserved + quantity)
        )
    )


def _turn(order_id: int, source: str, target: str) -> list[tuple[str, int]]:
    return sorted((sku, quantity) for sku, quantity in rows(_TURN, order=order_id, source=source, target=target))
