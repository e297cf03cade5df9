"""Tables of shipments."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.actor import Actor
from shop.core.column_types import ActorText, EnumText
from shop.core.db import Base, UtcDateTime
from shop.fulfilment.states import ShipmentState


class Shipment(Base):
    """A package of an order: PACKED, then SHIPPED, or CANCELLED before it has left.

    `number` counts the packages of the order, cancelled ones included. `form_key` names the form that packed it, so
    that a form that is sent twice packs once. Carrier, tracking number and its link are as they were when the package
    was shipped; empty ones are unknown. They change only while the order is locked.
    """

    __tablename__ = "shipments"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    number: Mapped[int]
    form_key: Mapped[str] = mapped_column(Text)
    state: Mapped[ShipmentState] = mapped_column(EnumText(ShipmentState))
    carrier: Mapped[str] = mapped_column(Text, default="")
    tracking_number: Mapped[str] = mapped_column(Text, default="")
    tracking_url: Mapped[str] = mapped_column(Text, default="")
    packed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    packed_by: Mapped[Actor] = mapped_column(ActorText)
    shipped_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cancelled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        UniqueConstraint("order_id", "number"),
        Index("ix_shipments_form", "order_id", "form_key", unique=True),
        CheckConstraint("state IN ('PACKED', 'SHIPPED', 'CANCELLED')", name="state_known"),
        CheckConstraint("(state = 'SHIPPED') = (shipped_at IS NOT NULL)", name="shipped_at_a_time"),
    )


class ShipmentLine(Base):
    """Units of a line of the order in a package."""

    __tablename__ = "shipment_lines"
    shipment_id: Mapped[int] = mapped_column(ForeignKey("shipments.id"), primary_key=True)
    sku: Mapped[str] = mapped_column(Text, primary_key=True)
    order_id: Mapped[int]
    quantity: Mapped[int]

    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        ForeignKeyConstraint(["order_id", "sku"], ["order_lines.order_id", "order_lines.sku"]),
        Index("ix_shipment_lines_order", "order_id", "sku"),
    )
