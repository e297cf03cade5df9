"""Carts, and how far a checkout has come."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.db import Base, MinorUnits, UtcDateTime

_DUE = text("due_at IS NOT NULL")


class Cart(Base):
    """What a visitor means to buy. `checkout_key` names the next order: two tabs that show one cart place one order."""

    __tablename__ = "carts"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    currency: Mapped[str] = mapped_column(Text)
    checkout_key: Mapped[str] = mapped_column(Text)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class CartLine(Base):
    """One SKU of a cart. `seen_amount` is the price that the visitor was shown, in minor units of the cart's
    currency.
    """

    __tablename__ = "cart_lines"
    cart_id: Mapped[str] = mapped_column(ForeignKey("carts.id"), primary_key=True)
    sku: Mapped[str] = mapped_column(ForeignKey("products.sku"), primary_key=True)
    quantity: Mapped[int]
    seen_amount: Mapped[MinorUnits]
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (CheckConstraint("quantity BETWEEN 1 AND 99", name="quantity_sane"),)


class Saga(Base):
    """One checkout: RUNNING until its last step is done, then DONE; UNDONE when its order ended without money.

    `due_at` is when somebody has to look whether it was left half done.
    """

    __tablename__ = "sagas"
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    provider: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, default="RUNNING")
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    tries: Mapped[int] = mapped_column(default=0)

    __table_args__ = (
        CheckConstraint("state IN ('RUNNING', 'DONE', 'UNDONE')", name="state_known"),
        Index("ix_sagas_due", "due_at", postgresql_where=_DUE, sqlite_where=_DUE),
    )


class SagaStep(Base):
    """A step that is done, and when it was undone."""

    __tablename__ = "saga_steps"
    order_id: Mapped[int] = mapped_column(ForeignKey("sagas.order_id"), primary_key=True)
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    done_at: Mapped[datetime] = mapped_column(UtcDateTime)
    undone_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
