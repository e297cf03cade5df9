"""Bulk creation of orders, and of single rows: copy a few really placed orders in SQL.

A copy differs from its original in names, references, addresses and times alone, so every invariant of the shop still
holds. It has no documents, mails and origins; originals with store credit or a code cannot be copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Column, Connection, MetaData, Table, Text, cast, func, insert, literal, select, text, update

from shop.core import clock
from shop.core.db import Base, UtcDateTime, db
from shop.inventory import models as inventory
from shop.ledger.models import Journal
from shop.orders.models import Order
from shop.payments.records.models import Payment, PaymentUpdateRow

STEP = 30
"""Seconds between consecutive orders."""
ID_DIGITS = 7
"""Last digits of an id that are random; a copy has its number there."""


def copied_id(original: str, number: int) -> str:
    """The id of a copy. The original has the number 0."""
    return f"{original[:-ID_DIGITS]}{number:0{ID_DIGITS}}" if number else original


@dataclass(frozen=True)
class _Copied:
    """A table whose rows belong to an order by `column`; `owner` selects the values for an order's id.

    `named` columns get the copy's number appended, `numbers`, which hold the number of an order, without a dash, and
    `addresses` get it in front; in `ids`, made by `shop.core.ids`, it replaces the last digits. `moved` columns hold
    ids of another table, or of this one. `changed` are other values of the copies.
    """

    table: str
    column: str = "order_id"
    owner: Any = None
    named: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    moved: Mapping[str, str] = field(default_factory=lambda: {"order_id": "orders"})
    changed: Mapping[str, Any] = field(default_factory=dict)


def _plan(order_id: int) -> tuple[_Copied, ...]:
    payments = select(Payment.id).where(Payment.order_id == order_id)
    events = select(PaymentUpdateRow.webhook_event_id).where(
        PaymentUpdateRow.payment_id.in_(payments), PaymentUpdateRow.webhook_event_id.is_not(None)
    )
    journals = select(Journal.key).where(Journal.order_id == order_id)
    number = select(Order.number).where(Order.id == order_id)
    return (
        _Copied(
            "orders",
            "id",
            named=("token", "checkout_key"),
            numbers=("number",),
            addresses=("email",),
            ids=("paid_by",),
            moved={"id": "orders"},
        ),
        _Copied("order_lines"),
        _Copied("order_events"),
        _Copied("reservations"),
        _Copied("sagas"),
        _Copied("payments", ids=("id",)),
        _Copied(
            "captures", "payment_id", payments, named=("capture_id",), ids=("payment_id",), moved={"id": "captures"}
        ),
        _Copied("refunds", ids=("id", "payment_id"), moved={"capture_id": "captures", "order_id": "orders"}),
        _Copied(
            "disputes",
            named=("dispute_id",),
            moved={"id": "disputes", "capture_id": "captures", "order_id": "orders"},
        ),
        _Copied(
            "webhook_events",
            "id",
            events,
            named=("dedupe_key",),
            ids=("reference",),
            moved={"id": "webhook_events"},
        ),
        _Copied(
            "payment_updates",
            "payment_id",
            payments,
            ids=("payment_id",),
            moved={"id": "payment_updates", "webhook_event_id": "webhook_events"},
        ),
        _Copied("alerts", numbers=("subject", "order_no"), moved={"id": "alerts", "order_id": "orders"}),
        _Copied("journals", named=("key",)),
        _Copied("ledger_entries", "journal_key", journals, ("journal_key",), moved={}),
        _Copied("outbox", "subject", number, numbers=("subject",), moved={"id": "outbox"}),
    )


def copy_orders(order_id: int, times: int, step: int = STEP) -> None:
    """Add `times` copies of an order, each `step` seconds older than the one before.

    Writes directly; no other process may use the database. An order that waits for its payment needs `step=0`, or its
    copies have expired.
    """
    with _numbered(times) as (connection, copies):
        moved: dict[str, Any] = {}
        for copied in _plan(order_id):
            _copy(connection, copied, order_id, copies, moved, step)
        _receive_units(connection, order_id, times)


def copy_row(table: str, key: Any, times: int, step: int = STEP, **columns: Any) -> None:
    """Add `times` copies of the row with the id `key`, which belongs to no order, each `step` seconds older.

    `columns` are fields of `_Copied`: the columns that differ between copies, and `changed` values.
    """
    moved = {} if "id" in columns.get("ids", ()) else {"id": table}
    with _numbered(times) as (connection, copies):
        _copy(connection, _Copied(table, "id", moved=moved, **columns), key, copies, {}, step)


@contextmanager
def _numbered(times: int) -> Iterator[tuple[Connection, Table]]:
    """A transaction, and a table with the numbers 1 … `times` for as long as it lasts."""
    db.session.rollback()
    with db.engine.connect() as connection:
        copies = _numbers(connection, times)
        yield connection, copies
        copies.drop(connection)
        connection.commit()


def _numbers(connection: Connection, times: int) -> Table:
    """A table with the numbers 1 … `times`."""
    copies = Table("copies", MetaData(), Column("number", Base.metadata.tables["orders"].c.id.type, primary_key=True))
    copies.create(connection)
    one = select(literal(1).label("number")).cte(recursive=True)
    every = one.union_all(select(one.c.number + 1).where(one.c.number < times))
    connection.execute(insert(copies).from_select(["number"], select(every.c.number)))
    return copies


def _copy(
    connection: Connection, copied: _Copied, order_id: Any, copies: Table, moved: dict[str, Any], step: int
) -> None:
    """Copy one table's rows. `moved` records how an id of this table maps to that of the copy."""
    table, number = Base.metadata.tables[copied.table], copies.c.number
    column = table.c[copied.column]
    belongs = column == order_id if copied.owner is None else column.in_(copied.owner)
    if "id" in copied.moved:
        first, last = connection.execute(select(func.min(table.c.id), func.max(table.c.id)).where(belongs)).one()
        if first is None:
            return
        top = connection.scalar(select(func.max(table.c.id))) or 0
        moved[copied.table] = number * (last - first + 1) + (top - last)
    pattern = select(table).where(belongs).cte("pattern").prefix_with("MATERIALIZED")
    values: dict[str, Any] = {}
    for each in pattern.c:
        values[each.name] = each
        if each.name in copied.changed:
            values[each.name] = literal(copied.changed[each.name], each.type)
        elif each.name in copied.named:
            values[each.name] = each + "-" + cast(number, Text)
        elif each.name in copied.numbers:
            values[each.name] = each + cast(number, Text)
        elif each.name in copied.addresses:
            values[each.name] = cast(number, Text) + "-" + each
        elif each.name in copied.ids:
            digits = func.substr(cast(10**ID_DIGITS + number, Text), 2)
            values[each.name] = func.substr(each, 1, func.length(each) - ID_DIGITS).concat(digits)
        elif copied.moved.get(each.name) in moved:
            values[each.name] = each + moved[copied.moved[each.name]]
        elif isinstance(each.type, UtcDateTime):
            values[each.name] = _earlier(connection, each, number * step)
    chosen = select(*values.values()).select_from(copies.join(pattern, text("true"))).order_by(number)
    connection.execute(insert(table).from_select(list(values), chosen, include_defaults=False))
    if "id" in copied.moved and connection.dialect.name == "postgresql":
        sequence = func.pg_get_serial_sequence(copied.table, "id")
        connection.execute(select(func.setval(sequence, select(func.max(table.c.id)).scalar_subquery())))


def _earlier(connection: Connection, at: Any, seconds: Any) -> Any:
    if connection.dialect.name == "postgresql":
        return at - seconds * literal(timedelta(seconds=1))
    return func.strftime("%Y-%m-%d %H:%M:%f000", at, "-" + cast(seconds, Text) + " seconds")


def _receive_units(connection: Connection, order_id: int, times: int) -> None:
    """Add the stock receipts for what the copies have sold or reserved."""
    units = select(inventory.Reservation).where(
        inventory.Reservation.order_id == order_id, inventory.Reservation.state.in_(("SOLD", "HELD"))
    )
    for one in connection.execute(units).all():
        quantity = one.quantity * times
        receipt = {"sku": one.sku, "quantity": quantity, "kind": "receipt", "at": clock.wall()}
        connection.execute(insert(inventory.StockMovement).values(receipt))
        if one.state == "HELD":
            stock = inventory.Stock
            held = {"on_hand": stock.on_hand + quantity, "reserved": stock.reserved + quantity}
            connection.execute(update(stock).where(stock.sku == one.sku).values(held))
