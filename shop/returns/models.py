"""Returns of an order, their lines, and the refunds that were requested for them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.actor import Actor
from shop.core.column_types import ActorText, EnumText
from shop.core.db import Base, MinorUnits, UtcDateTime
from shop.core.money import Money
from shop.returns.states import WAITING_FOR_STAFF, ReturnReason, ReturnState

_KNOWN = ", ".join(f"'{s}'" for s in ReturnState)
_WAITING = "state IN ({})".format(", ".join(f"'{s}'" for s in sorted(WAITING_FOR_STAFF)))
IS_WAITING = text(f"order_returns.{_WAITING}")
"""Condition of a return that waits for staff, with literals for its partial index."""


class Return(Base):
    """A return of units of an order. `reference` is the order's number with `-R1`, `-R2` and so on.

    `form_key` is the key of the form that requested it: a form that is sent twice requests one return. `comment` is the
    customer's text, `message` that of staff to the customer. `goods_amount` and `delivery_amount` are computed when the
    units arrive: what they cost, tax and discount included. `granted_amount` is the sum of the refunds that were
    requested when it was closed.
    """

    __tablename__ = "order_returns"
    id: Mapped[int] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(Text, unique=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    form_key: Mapped[str] = mapped_column(Text)
    state: Mapped[ReturnState] = mapped_column(EnumText(ReturnState))
    reason: Mapped[ReturnReason] = mapped_column(EnumText(ReturnReason))
    comment: Mapped[str] = mapped_column(Text, default="")
    message: Mapped[str] = mapped_column(Text, default="")
    currency: Mapped[str] = mapped_column(Text)
    goods_amount: Mapped[MinorUnits] = mapped_column(default=0)
    delivery_amount: Mapped[MinorUnits] = mapped_column(default=0)
    granted_amount: Mapped[int | None] = mapped_column(BigInteger)
    requested_by: Mapped[Actor] = mapped_column(ActorText)
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
    decided_by: Mapped[Actor | None] = mapped_column(ActorText)
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    received_by: Mapped[Actor | None] = mapped_column(ActorText)
    received_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    closed_by: Mapped[Actor | None] = mapped_column(ActorText)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        UniqueConstraint("order_id", "form_key"),
        CheckConstraint(f"state IN ({_KNOWN})", name="state_known"),
        CheckConstraint("goods_amount >= 0 AND delivery_amount >= 0", name="amounts_not_negative"),
        CheckConstraint("granted_amount BETWEEN 0 AND goods_amount + delivery_amount", name="granted_within_amount"),
        Index("ix_order_returns_requested", "requested_at", "id"),
        Index("ix_order_returns_state", "state", "requested_at", "id"),
        Index(
            "ix_order_returns_waiting",
            "requested_at",
            postgresql_where=text(_WAITING),
            sqlite_where=text(_WAITING),
        ),
    )

    @property
    def amount(self) -> Money:
        """Price of the units that arrived, with the delivery if all of the order is returned."""
        return Money(self.goods_amount + self.delivery_amount, self.currency)

    @property
    def delivery(self) -> Money:
        return Money(self.delivery_amount, self.currency)

    @property
    def granted(self) -> Money | None:
        return None if self.granted_amount is None else Money(self.granted_amount, self.currency)


class ReturnLine(Base):
    """Units of one line of the order: `quantity` was requested; `restocked` and `not_restocked` have arrived.

    `amount` is what the arrived units cost.
    """

    __tablename__ = "order_return_lines"
    return_id: Mapped[int] = mapped_column(ForeignKey("order_returns.id"), primary_key=True)
    sku: Mapped[str] = mapped_column(Text, primary_key=True)
    quantity: Mapped[int]
    restocked: Mapped[int] = mapped_column(default=0)
    not_restocked: Mapped[int] = mapped_column(default=0)
    amount: Mapped[MinorUnits] = mapped_column(default=0)

    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        CheckConstraint("restocked >= 0 AND not_restocked >= 0", name="arrived_not_negative"),
        CheckConstraint("restocked + not_restocked <= quantity", name="arrived_within_quantity"),
        CheckConstraint("amount >= 0", name="amount_not_negative"),
    )

    @property
    def arrived(self) -> int:
        return self.restocked + self.not_restocked


class ReturnRefund(Base):
    """A refund that was requested for a return."""

    __tablename__ = "order_return_refunds"
    refund_id: Mapped[str] = mapped_column(ForeignKey("refunds.id"), primary_key=True)
    return_id: Mapped[int] = mapped_column(ForeignKey("order_returns.id"), index=True)
