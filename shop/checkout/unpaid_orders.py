"""Count the orders, units and value that a client's unpaid orders reserve, under locks, so that concurrent checkouts
cannot exceed a limit together.

The rules are in `shop.checkout.unpaid_limits`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import current_app
from sqlalchemy import ColumnElement, Subquery, Text, bindparam, case, exists, func, select, true, type_coerce
from sqlalchemy.orm import Mapped, aliased, mapped_column

from shop.checkout.unpaid_limits import ADDRESS, EMAIL, VISITOR, Amount, CountedBy
from shop.core import clock, logs, metrics
from shop.core.client_address import UNKNOWN
from shop.core.column_types import EnumText
from shop.core.db import Base, UtcDateTime, db, insert, transactional
from shop.core.line_kinds import LineKind
from shop.orders import origins
from shop.orders.models import IS_LIVE, Order, OrderLine

log = logs.get()
EPISODE = timedelta(minutes=10)
"""Longest pause between refusals that are counted together."""
_LOCKS = 0x5E771ED
"""First key of the PostgreSQL advisory locks on client names."""


@dataclass(frozen=True)
class Client:
    """The client that places an order: the browser by its cart, the customer if signed in, the e-mail address, the
    network.
    """

    visitor: str
    user_id: int | None
    email: str
    network: str

    @property
    def counted_by(self) -> tuple[CountedBy, ...]:
        """Keys by which this client's orders are counted.

        Guests may enter any e-mail address, so a signed-in customer is not counted by it.
        """
        email = (EMAIL,) if self.user_id is None else ()
        address = (ADDRESS,) if self.network and self.network != UNKNOWN else ()
        return (VISITOR, *email, *address)

    def lock_numbers(self) -> list[int]:
        """Numbers of the advisory locks on this client's names, in the order in which they are taken.

        Two names with one number only wait for each other.
        """
        names = {VISITOR: self.visitor, EMAIL: self.email, ADDRESS: self.network}
        keys = {f"{counted_by} {names[counted_by]}" for counted_by in self.counted_by}
        if self.user_id is not None:
            keys.add(f"user {self.user_id}")
        return sorted({_number(key) for key in keys})


class ReservationRefusal(Base):
    """Refusals of a network by these limits since `first_at`, without a pause of EPISODE between."""

    __tablename__ = "reservation_refusals"
    network: Mapped[str] = mapped_column(Text, primary_key=True)
    first_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    refusals: Mapped[int]
    counted_by: Mapped[CountedBy] = mapped_column(EnumText(CountedBy))


_EARLIER = aliased(Order)
_HAS_PAID = exists().where(_EARLIER.user_id == bindparam("user"), _EARLIER.paid_at.is_not(None))


def most(currency: str) -> dict[CountedBy, Amount]:
    """Limits of the settings for each key of counting, with values in minor units of `currency`."""
    config = current_app.config
    value = config["UNPAID_VALUE_PER_VISITOR"].get(currency, 10**15)
    factors = {VISITOR: 1, EMAIL: config["UNPAID_EMAIL_FACTOR"], ADDRESS: config["UNPAID_ADDRESS_FACTOR"]}
    return {
        counted_by: Amount(
            config["UNPAID_ORDERS_PER_VISITOR"] * factor, config["UNPAID_UNITS_PER_VISITOR"] * factor, value * factor
        )
        for counted_by, factor in factors.items()
    }


def lock_columns(client: Client) -> list[ColumnElement[Any]]:
    """Columns for the RETURNING list of a statement that lock the client's names until the transaction ends, so that no
    other transaction counts under them. None on SQLite, which has a single writer.
    """
    if db.engine.dialect.name != "postgresql":
        return []
    return [func.pg_advisory_xact_lock(_LOCKS, number) for number in client.lock_numbers()]


def reserved(counted_by: CountedBy, *, signed_in: bool) -> Subquery:
    """Subquery with one row: the orders, units and value that unpaid orders reserve now, by one key of counting.

    Orders under review do not count: they have received money. By address nothing counts against a customer who has
    paid before: others share the address, and the limit of one visitor applies. Bind parameters: visitor, user, email,
    network and currency.
    """
    which = {
        VISITOR: origins.is_own(bindparam("visitor"), bindparam("user") if signed_in else None),
        EMAIL: Order.email == bindparam("email"),
        ADDRESS: origins.is_from(bindparam("network")) & (~_HAS_PAID if signed_in else true()),
    }[counted_by]
    of_order = select(func.sum(OrderLine.quantity)).where(
        OrderLine.order_id == Order.id, OrderLine.kind == LineKind.ITEM
    )
    value = case((Order.currency == bindparam("currency"), Order.total_amount), else_=0)
    return (
        select(
            func.count().label("orders"),
            func.coalesce(func.sum(of_order.scalar_subquery()), 0).label("units"),
            func.coalesce(func.sum(value), 0).label("value"),
        )
        .select_from(Order)
        .where(IS_LIVE, Order.review_since.is_(None), which)
        .subquery(f"by_{counted_by}")
    )


def note_refusal(network: str, counted_by: CountedBy) -> None:
    """Count a refusal in its own transaction. Repeated refusals raise an alert."""
    at = clock.now()
    row = ReservationRefusal
    statement = insert(row).values(network=network, first_at=at, last_at=at, refusals=1, counted_by=counted_by)
    continues = row.last_at > type_coerce(at - EPISODE, UtcDateTime)
    statement = statement.on_conflict_do_update(
        index_elements=[row.network],
        set_={
            "first_at": case((continues, row.first_at), else_=type_coerce(at, UtcDateTime)),
            "last_at": at,
            "refusals": case((continues, row.refusals + 1), else_=1),
            "counted_by": counted_by,
        },
    )

    transactional(db.session.execute)(statement)
    metrics.UNPAID_REFUSED.labels(counted_by).inc()
    log.warning("reservation.refused", network=network, counted_by=counted_by)


def _number(key: str) -> int:
    """A signed 32-bit number for a name. Two names with one number only wait for each other."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big", signed=True)
