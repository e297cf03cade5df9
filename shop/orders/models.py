"""Orders, their lines and their numbered events."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, Text, TextClause, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from shop.core.actor import Actor
from shop.core.column_types import ActorText, EnumText
from shop.core.db import Base, MinorUnits, UtcDateTime
from shop.core.line_kinds import LineKind
from shop.core.money import Money
from shop.orders.fulfilment_states import DONE, FulfilmentState
from shop.orders.states import PAYABLE, OrderState

_KNOWN = ", ".join(f"'{s}'" for s in OrderState)
_LIVE = "state IN ({})".format(", ".join(f"'{s}'" for s in sorted(PAYABLE)))
IS_LIVE = text(f"orders.{_LIVE}")
"""Condition that the order may still be paid, with literals: a partial index is used only for literals in the query."""
_PAID = "state IN ('PAID', 'PARTIALLY_REFUNDED')"
_NOT_DONE = "fulfilment NOT IN ({})".format(", ".join(f"'{s}'" for s in sorted(DONE)))
_TO_SHIP = f"{_PAID} AND {_NOT_DONE}"


def is_to_ship(dialect: str) -> TextClause:
    """Condition that units of the order may have to be packed or shipped, with literals as above.

    SQLite gets the hint that nearly all orders are paid: without statistics it takes them for few, and reads all by
    their state instead of the small index.
    """
    paid = f"likelihood(orders.{_PAID}, 0.99)" if dialect == "sqlite" else f"orders.{_PAID}"
    return text(f"{paid} AND orders.{_NOT_DONE}")


_UPLOADED = text("image LIKE 'media/%'")
_IN_REVIEW = text("review_since IS NOT NULL")
ERASED = "(erased)"
"""Value that replaces the personal data of a guest whose retention period is over."""


class Order(Base):
    """An order. `state` is written by `shop.orders.move` only.

    `paid_by` names the payment that paid it, or is `states.STORE_CREDIT`. `credit_amount` is the part of the total paid
    by store credit; `accepted_amount` is what staff accepted in place of the total, after a mismatch. `tax_amount`,
    `delivery_amount` and `discount_amount` divide the total for the ledger, the latter two without tax. `form_digest`
    is a digest of the checkout form: the same form from the same browser is the same order. `region` is the state,
    prefecture or province, by its key in `shop.core.postal.regions` where that has one. `fulfilment` is written by
    `shop.fulfilment` only.
    """

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(Text, unique=True)
    token: Mapped[str] = mapped_column(Text, unique=True)
    checkout_key: Mapped[str] = mapped_column(Text, unique=True)
    form_digest: Mapped[str | None] = mapped_column(Text)
    state: Mapped[OrderState] = mapped_column(EnumText(OrderState))
    currency: Mapped[str] = mapped_column(Text)
    total_amount: Mapped[MinorUnits]
    credit_amount: Mapped[MinorUnits] = mapped_column(default=0)
    accepted_amount: Mapped[int | None] = mapped_column(BigInteger)
    tax_amount: Mapped[MinorUnits] = mapped_column(default=0, server_default="0")
    delivery_amount: Mapped[MinorUnits] = mapped_column(default=0, server_default="0")
    discount_amount: Mapped[MinorUnits] = mapped_column(default=0, server_default="0")
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"), index=True)
    email: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    line1: Mapped[str] = mapped_column(Text)
    line2: Mapped[str] = mapped_column(Text, default="")
    city: Mapped[str] = mapped_column(Text)
    region: Mapped[str] = mapped_column(Text, default="", server_default="")
    postcode: Mapped[str] = mapped_column(Text, default="")
    country: Mapped[str] = mapped_column(Text)
    phone: Mapped[str] = mapped_column(Text, default="", server_default="")
    locale: Mapped[str] = mapped_column(Text, default="en")
    placed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    pay_by: Mapped[datetime] = mapped_column(UtcDateTime)
    cancel_requested_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    review_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    paid_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    paid_by: Mapped[str | None] = mapped_column(Text)
    event_seq: Mapped[int] = mapped_column(default=0)
    fulfilment: Mapped[FulfilmentState] = mapped_column(
        EnumText(FulfilmentState), default=FulfilmentState.TO_PACK, server_default="TO_PACK"
    )

    all_lines: Mapped[list[OrderLine]] = relationship(order_by="OrderLine.position")

    __table_args__ = (
        CheckConstraint(f"state IN ({_KNOWN})", name="state_known"),
        CheckConstraint("total_amount >= 0", name="total_not_negative"),
        CheckConstraint("credit_amount BETWEEN 0 AND total_amount", name="credit_within_total"),
        Index("ix_orders_live", "pay_by", postgresql_where=text(_LIVE), sqlite_where=text(_LIVE)),
        Index("ix_orders_state_placed", "state", "placed_at"),
        Index("ix_orders_placed", "placed_at", "id"),
        Index("ix_orders_amount", "currency", "total_amount"),
        Index("ix_orders_email", "email", postgresql_ops={"email": "text_pattern_ops"}),
        Index("ix_orders_to_ship", "paid_at", "id", postgresql_where=text(_TO_SHIP), sqlite_where=text(_TO_SHIP)),
        Index("ix_orders_in_review", "review_since", postgresql_where=_IN_REVIEW, sqlite_where=_IN_REVIEW),
    )

    @property
    def lines(self) -> list[OrderLine]:
        """The products."""
        return [line for line in self.all_lines if line.kind == LineKind.ITEM]

    @property
    def charges(self) -> list[OrderLine]:
        """Discount, delivery and tax. Tax that the prices include is not added to the total."""
        return [line for line in self.all_lines if line.kind != LineKind.ITEM]

    @property
    def goods(self) -> Money:
        """Sum of the products, before the discount."""
        return sum((line.total for line in self.lines), Money(0, self.currency))

    @property
    def total(self) -> Money:
        return Money(self.total_amount, self.currency)

    @property
    def credit(self) -> Money:
        return Money(self.credit_amount, self.currency)

    @property
    def to_pay(self) -> Money:
        """The amount to capture: total less store credit."""
        return Money(self.total_amount - self.credit_amount, self.currency)

    @property
    def accepted(self) -> Money:
        """The final price of the order: its total, unless staff have accepted another amount."""
        return self.total if self.accepted_amount is None else Money(self.accepted_amount, self.currency)


class OrderLine(Base):
    """A line of an order at the agreed price, in minor units of the order's currency; the total is the sum of the lines
    that are not `is_included`.

    `kind` is item, delivery, discount or tax. `sku` is the product's, or names the charge. `rate` is that of a tax, or
    the one that a product or a delivery is taxed with, in thousandths of a percent. `withdrawn` units are not shipped,
    because staff took them out of the fulfilment.
    """

    __tablename__ = "order_lines"
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    sku: Mapped[str] = mapped_column(Text, primary_key=True)
    position: Mapped[int]
    name: Mapped[str] = mapped_column(Text)
    slug: Mapped[str] = mapped_column(Text)
    image: Mapped[str] = mapped_column(Text)
    quantity: Mapped[int]
    unit_amount: Mapped[MinorUnits]
    currency: Mapped[str] = mapped_column(Text)
    kind: Mapped[LineKind] = mapped_column(EnumText(LineKind), default=LineKind.ITEM, server_default="item")
    rate: Mapped[int | None]
    is_included: Mapped[bool] = mapped_column(default=False, server_default=false())
    withdrawn: Mapped[int] = mapped_column(default=0, server_default="0")

    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        CheckConstraint("kind IN ('item', 'delivery', 'discount', 'tax')", name="kind_known"),
        Index("ix_order_lines_media", "image", postgresql_where=_UPLOADED, sqlite_where=_UPLOADED),
    )

    @property
    def unit_price(self) -> Money:
        return Money(self.unit_amount, self.currency)

    @property
    def total(self) -> Money:
        return self.unit_price * self.quantity


class OrderEvent(Base):
    """An event in an order's history, numbered 1..n without gaps. State transitions carry `source` and `target`."""

    __tablename__ = "order_events"
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    source: Mapped[str | None] = mapped_column(Text)
    target: Mapped[str | None] = mapped_column(Text)
    because: Mapped[str | None] = mapped_column(Text)
    actor: Mapped[Actor] = mapped_column(ActorText)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    data: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)

    __table_args__ = (Index("ix_order_events_at", "at"),)


class OrderOrigin(Base):
    """The client that placed an order, for the limits on unpaid orders and the poll schedule.

    `visitor` is the id of the cart, as in the browser's cookie; `network` is as `client_network` returns it. Retention
    deletes the row some days after the order's end.
    """

    __tablename__ = "order_origins"
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    visitor: Mapped[str] = mapped_column(Text, index=True)
    network: Mapped[str] = mapped_column(Text, index=True)
