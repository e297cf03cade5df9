"""Stock, reservations and movements."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.actor import Actor
from shop.core.column_types import ActorText, EnumText
from shop.core.db import Base, UtcDateTime
from shop.inventory.states import ReservationState

_LIMITED = text("low_at IS NOT NULL")


class Stock(Base):
    """Units of one SKU. `on_hand` includes `reserved`; their difference is available and never negative.

    `low_at` is the number of available units from which on staff are alerted, and `low_since` the time of the check
    that found as few; it is empty while there are more.
    """

    __tablename__ = "stock"
    sku: Mapped[str] = mapped_column(Text, primary_key=True)
    on_hand: Mapped[int]
    reserved: Mapped[int] = mapped_column(default=0)
    low_at: Mapped[int | None]
    low_since: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        Index("ix_stock_limit", "sku", postgresql_where=_LIMITED, sqlite_where=_LIMITED),
        CheckConstraint("reserved >= 0", name="reserved_not_negative"),
        CheckConstraint("on_hand >= reserved", name="nothing_sold_twice"),
    )


class Reservation(Base):
    """Units of one SKU for one order: HELD while it may be paid, then SOLD or RELEASED."""

    __tablename__ = "reservations"
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    sku: Mapped[str] = mapped_column(ForeignKey("stock.sku"), primary_key=True)
    quantity: Mapped[int]
    state: Mapped[ReservationState] = mapped_column(EnumText(ReservationState), default=ReservationState.HELD)

    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        CheckConstraint("state IN ('HELD', 'SOLD', 'RELEASED')", name="state_known"),
        Index("ix_reservations_sku_state", "sku", "state"),
    )


class StockMovement(Base):
    """Units received or corrected: receipt, adjustment, return. Sold units are counted by reservations.

    `on_hand` is the number after it; movements that no person made have no `by`. `form_id` is the id of the form that
    made it: a form that is sent twice moves units once.
    """

    __tablename__ = "stock_movements"
    id: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(ForeignKey("stock.sku"), index=True)
    quantity: Mapped[int]
    kind: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    form_id: Mapped[str | None] = mapped_column(Text)
    on_hand: Mapped[int | None]
    reason: Mapped[str | None] = mapped_column(Text)
    by: Mapped[Actor | None] = mapped_column(ActorText)

    __table_args__ = (Index("ix_stock_movements_form", "form_id", unique=True),)
