"""Carts and checkout sagas."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from shop.checkout.saga_states import SagaState
from shop.core.column_types import EnumText
from shop.core.db import Base, MinorUnits, UtcDateTime

_DUE = text("due_at IS NOT NULL")


class Cart(Base):
    """A visitor's cart. `checkout_key` identifies the next order: two tabs that show one cart place one order.

    `last_form_id` is the id of the "Order again" form if that made the last change.
    """

    __tablename__ = "carts"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    currency: Mapped[str] = mapped_column(Text)
    checkout_key: Mapped[str] = mapped_column(Text)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_form_id: Mapped[str | None] = mapped_column(Text)


class CartLine(Base):
    """A SKU of a cart. `seen_amount` is the price that the visitor was shown, in minor units of the cart's currency."""

    __tablename__ = "cart_lines"
    cart_id: Mapped[str] = mapped_column(ForeignKey("carts.id"), primary_key=True)
    sku: Mapped[str] = mapped_column(ForeignKey("products.sku"), primary_key=True)
    quantity: Mapped[int]
    seen_amount: Mapped[MinorUnits]
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (CheckConstraint("quantity BETWEEN 1 AND 99", name="quantity_sane"),)


class Saga(Base):
    """The saga of one checkout: RUNNING until its last step is done, then DONE; UNDONE when its order ended without
    money.

    Each step has a column with the time when it was done. `undone_at` is when the completed steps were undone. `due_at`
    is when a saga that is still RUNNING is resumed.
    """

    __tablename__ = "sagas"
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    provider: Mapped[str] = mapped_column(Text)
    state: Mapped[SagaState] = mapped_column(EnumText(SagaState), default=SagaState.RUNNING)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    tries: Mapped[int] = mapped_column(default=0)
    stock_reserved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    code_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    credit_held_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    payment_opened_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    undone_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        CheckConstraint("state IN ('RUNNING', 'DONE', 'UNDONE')", name="state_known"),
        Index("ix_sagas_due", "due_at", postgresql_where=_DUE, sqlite_where=_DUE),
    )
