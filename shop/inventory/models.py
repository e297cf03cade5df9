"""Stock, reservations and movements."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.column_types import EnumText
from shop.core.db import Base, UtcDateTime
from shop.inventory.states import ReservationState


class Stock(Base):
    """Units of one SKU. `on_hand` includes `reserved`; their difference is available and never negative."""

    __tablename__ = "stock"
    sku: Mapped[str] = mapped_column(Text, primary_key=True)
    on_hand: Mapped[int]
    reserved: Mapped[int] = mapped_column(default=0)

    __table_args__ = (
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
    """Units received or corrected: receipt, adjustment, return. Sold units are counted by reservations."""

    __tablename__ = "stock_movements"
    id: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(ForeignKey("stock.sku"), index=True)
    quantity: Mapped[int]
    kind: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
