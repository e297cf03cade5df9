"""Reserve and release stock: one conditional UPDATE per SKU, always in the order of SKUs, which avoids deadlocks.

The capture that pays an order sells its units: `payments/updates/write.py`, in the same command as the payment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from sqlalchemy import bindparam, select, update

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.core import audit, clock, reasons
from shop.core.actor import Actor
from shop.core.audit import Act, Entry, Subject, SubjectKind
from shop.core.db import changed, db, insert, table, transactional
from shop.core.errors import BadInput, Refusal
from shop.core.prefix import in_order
from shop.inventory.models import Reservation, Stock, StockMovement
from shop.inventory.refusals import OutOfStock
from shop.inventory.states import ReservationState

_STOCK, _RESERVATIONS = table(Stock), table(Reservation)
_RELEASE = update(_STOCK).where(_STOCK.c.sku == bindparam("of")).values(reserved=_STOCK.c.reserved - bindparam("units"))
_RESTOCK = update(_STOCK).where(_STOCK.c.sku == bindparam("of")).values(on_hand=_STOCK.c.on_hand + bindparam("units"))
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
    _move(sku, quantity, kind)


def take_back(sku: str, quantity: int, *, by: Actor, reason: str, form_id: str) -> None:
    """Put returned units into stock in the caller's transaction, once for each `form_id`. The stock movement `return`
    records it.
    """
    _move(sku, quantity, "return", by=by, reason=reason, form_id=form_id)


@transactional
def restock(sku: str, quantity: int, *, by: Actor, reason: str = "", form_id: str | None = None) -> int:
    """Receive units of a SKU and return the available units. The stock movement `receipt` records it. A form that is
    sent twice, with the same `form_id`, is carried out once.

    Raises Forbidden, and BadInput `bad_quantity` for less than one unit, or when more than MOST_ON_HAND would be on
    hand.
    """
    rights.demand(by, Permission.STOCK_WRITE)
    if not 1 <= quantity <= MOST_ON_HAND:
        raise BadInput("bad_quantity", f"Quantity must be a whole number from 1 to {MOST_ON_HAND:,}.")
    on_hand = _move(sku, quantity, "receipt", by=by, reason=reason, form_id=form_id)
    if on_hand is None:
        return available([sku])[sku]
    if on_hand > MOST_ON_HAND:
        raise _too_many()
    audit.record_all(by, [_received(sku, quantity, on_hand, reason)])
    return available([sku])[sku]


def restock_all(units: Mapping[str, int], *, by: Actor, reason: str) -> None:
    """As `restock` for many SKUs, in the caller's transaction, which has called `moved` for them.

    Raises Forbidden, and BadInput `bad_quantity`.
    """
    if not units:
        return
    rights.demand(by, Permission.STOCK_WRITE)
    db.session.execute(_RESTOCK, [{"of": sku, "units": units[sku]} for sku in sorted(units)])
    found = db.session.execute(select(_STOCK.c.sku, _STOCK.c.on_hand).where(_STOCK.c.sku.in_(units))).all()
    if any(on_hand > MOST_ON_HAND for _, on_hand in found):
        raise _too_many()
    of_all = {"kind": "receipt", "at": clock.now(), "by": by, "reason": reason}
    rows = [of_all | {"sku": sku, "quantity": units[sku], "on_hand": on_hand} for sku, on_hand in sorted(found)]
    db.session.execute(table(StockMovement).insert(), rows)
    audit.record_all(by, [_received(sku, units[sku], on_hand, reason) for sku, on_hand in sorted(found)])


@transactional
def correct(sku: str, on_hand: int, *, seen: int, by: Actor, reason: str) -> None:
    """Set the units on hand after a count that showed `seen` units before; no effect if there are as many already.

    Raises Forbidden; BadInput `bad_quantity`, `reason_needed`, `bad_reason`; Refusal `stock_changed` if the shop has
    another number than `seen` by now, and `units_reserved` if orders reserve more.
    """
    rights.demand(by, Permission.STOCK_WRITE)
    why = reasons.needed(reason)
    if not 0 <= on_hand <= MOST_ON_HAND:
        raise BadInput("bad_quantity", f"Enter a whole number from 0 to {MOST_ON_HAND:,}.")
    _ensure([sku])
    as_seen = (Stock.sku == sku, Stock.on_hand == seen, Stock.reserved <= on_hand)
    if not changed(update(Stock).where(*as_seen).values(on_hand=on_hand)):
        now = db.session.execute(select(Stock.on_hand, Stock.reserved).where(Stock.sku == sku)).one()
        if now.on_hand == on_hand:
            return
        if now.on_hand != seen:
            message = f"The shop has {now.on_hand:,} units on hand now, not {seen:,}. Nothing was saved. Count again."
            raise Refusal("stock_changed", message)
        message = f"Orders reserve {now.reserved:,} units, so at least as many are on hand. Cancel orders first."
        raise Refusal("units_reserved", message)
    if on_hand != seen:
        moved = {"sku": sku, "quantity": on_hand - seen, "kind": "adjustment", "at": clock.now()}
        db.session.add(StockMovement(**moved, on_hand=on_hand, by=by, reason=why))
        before, after = {"on_hand": seen}, {"on_hand": on_hand}
        audit.record(by, Act.STOCK_CORRECTED, _subject(sku), before=before, after=after, reason=why)


@transactional
def set_low_at(sku: str, low_at: int | None, *, by: Actor) -> None:
    """Set the number of available units from which on staff are alerted; None: no alert.

    Raises Forbidden, and BadInput `bad_quantity`.
    """
    rights.demand(by, Permission.STOCK_WRITE)
    if low_at is not None and not 0 <= low_at <= MOST_ON_HAND:
        raise BadInput("bad_quantity", f"Enter a whole number from 0 to {MOST_ON_HAND:,}, or nothing.")
    _ensure([sku])
    before = db.session.scalar(select(Stock.low_at).where(Stock.sku == sku).with_for_update())
    if before != low_at:
        cleared = {"low_since": None} if low_at is None else {}
        db.session.execute(update(Stock).where(Stock.sku == sku).values(low_at=low_at, **cleared))
        audit.record(by, Act.STOCK_LIMIT_SET, _subject(sku), before={"low_at": before}, after={"low_at": low_at})


@transactional
def note_crossings(now_low: Iterable[str], over: Iterable[str], at: datetime) -> None:
    """Note the SKUs whose available units have reached their limit at the time `at`, and those that have more again."""
    since_none, since_some = Stock.low_since.is_(None), Stock.low_since.is_not(None)
    db.session.execute(update(Stock).where(Stock.sku.in_(list(now_low)), since_none).values(low_since=at))
    db.session.execute(update(Stock).where(Stock.sku.in_(list(over)), since_some).values(low_since=None))


def find(sku: str) -> Stock:
    """The stock of a SKU as the database has it now; one without units if there is none."""
    return db.session.get(Stock, sku, populate_existing=True) or Stock(sku=sku, on_hand=0, reserved=0)


def movements(sku: str, limit: int = 50) -> list[StockMovement]:
    """The newest movements of a SKU. One statement."""
    of = select(StockMovement).where(StockMovement.sku == sku)
    return list(db.session.scalars(of.order_by(StockMovement.id.desc()).limit(limit)))


def moved(skus: Collection[str]) -> set[str]:
    """The SKUs of which units were ever received, corrected or returned. The others stay without movements until the
    caller's transaction ends: other movements wait for it, or count as later ones.
    """
    if not skus:
        return set()
    _ensure(skus)
    of = select(Stock.sku).where(Stock.sku.in_(skus)).order_by(in_order(Stock.sku))  # as `reserve`, which sorts them
    db.session.execute(of.with_for_update(key_share=True))
    return set(db.session.scalars(select(StockMovement.sku).where(StockMovement.sku.in_(skus)).distinct()))


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


def _move(
    sku: str, quantity: int, kind: str, *, by: Actor | None = None, reason: str = "", form_id: str | None = None
) -> int | None:
    """Add units, record the movement, and return the units on hand; None for a form that was carried out before."""
    values = {"sku": sku, "quantity": quantity, "kind": kind, "at": clock.now(), "form_id": form_id}
    _ensure([sku])
    movement = insert(StockMovement).values(**values, by=by, reason=reason or None)
    number = db.session.scalar(movement.on_conflict_do_nothing(index_elements=["form_id"]).returning(StockMovement.id))
    if number is None:
        return None
    more = update(Stock).where(Stock.sku == sku).values(on_hand=Stock.on_hand + quantity).returning(Stock.on_hand)
    on_hand = int(db.session.scalars(more).one())
    db.session.execute(update(StockMovement).where(StockMovement.id == number).values(on_hand=on_hand))
    return on_hand


def _ensure(skus: Collection[str]) -> None:
    """Insert the rows of SKUs that have none."""
    rows = [{"sku": sku, "on_hand": 0, "reserved": 0} for sku in sorted(skus)]
    db.session.execute(insert(Stock, plain=True).on_conflict_do_nothing(index_elements=["sku"]), rows)


def _too_many() -> BadInput:
    return BadInput("bad_quantity", f"There cannot be more than {MOST_ON_HAND:,} units of a product on hand.")


def _received(sku: str, quantity: int, on_hand: int, reason: str) -> Entry:
    before, after = {"on_hand": on_hand - quantity}, {"on_hand": on_hand}
    return Entry(Act.STOCK_RECEIVED, _subject(sku), before=before, after=after, reason=reason)


def _subject(sku: str) -> Subject:
    return Subject(SubjectKind.PRODUCT, sku)
