"""Tax rates, delivery methods, and discount codes with their uses."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, Text, text, true
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.actor import Actor
from shop.core.column_types import ActorText, EnumText
from shop.core.db import Base, MinorUnits, UtcDateTime
from shop.pricing.states import UseState

_ONE_USE = text("state = 'HELD' AND once_per_email")


class TaxRate(Base):
    """Tax of a country. `rate` is in thousandths of a percent, and so is `reduced_rate`, null where reduced products
    have the same rate; prices contain the tax if `is_included`. A country without a row has no tax. `texts` has
    translations of `name`. Here and in the other tables `version` counts changes (see `shop.core.versions`).
    """

    __tablename__ = "tax_rates"
    country: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    rate: Mapped[int]
    reduced_rate: Mapped[int | None]
    is_included: Mapped[bool]
    texts: Mapped[dict[str, dict[str, str]]] = mapped_column(JSON, default=dict, server_default=text("'{}'"))
    version: Mapped[int] = mapped_column(default=1, server_default=text("1"))

    __table_args__ = (
        CheckConstraint("rate BETWEEN 0 AND 100000", name="rate_sane"),
        CheckConstraint("reduced_rate BETWEEN 0 AND 100000", name="reduced_rate_sane"),
    )


class DeliveryMethod(Base):
    """A delivery method. `prices` and `free_from` map currencies to minor units. It delivers to `countries`, to all if
    there are none; with `exceptions` to all others, also to a country that the shop ships to later. `countries` then
    has those of the day when it was saved, for a version that knows no exceptions. `texts` has translations of `name`.
    One that is not offered delivers nowhere.
    """

    __tablename__ = "delivery_methods"
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    prices: Mapped[dict[str, int]] = mapped_column(JSON)
    free_from: Mapped[dict[str, int]] = mapped_column(JSON)
    countries: Mapped[list[str]] = mapped_column(JSON)
    exceptions: Mapped[list[str]] = mapped_column(JSON, default=list, server_default=text("'[]'"))
    position: Mapped[int]
    texts: Mapped[dict[str, dict[str, str]]] = mapped_column(JSON, default=dict, server_default=text("'{}'"))
    is_offered: Mapped[bool] = mapped_column(default=True, server_default=true())
    version: Mapped[int] = mapped_column(default=1, server_default=text("1"))


class DiscountCode(Base):
    """A discount code. `percent` is null where it takes off an amount. `uses` counts orders that are not ended unpaid.
    `changed_by` is the member of staff who changed it last, null for the demo.

    Every transaction that uses or releases the code locks this row first, which decides between concurrent orders.
    """

    __tablename__ = "discount_codes"
    code: Mapped[str] = mapped_column(Text, primary_key=True)
    percent: Mapped[int | None]
    starts_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    use_limit: Mapped[int | None]
    uses: Mapped[int] = mapped_column(default=0)
    once_per_email: Mapped[bool]
    is_active: Mapped[bool] = mapped_column(default=True)
    changed_by: Mapped[Actor | None] = mapped_column(ActorText)
    version: Mapped[int] = mapped_column(default=1, server_default=text("1"))

    __table_args__ = (
        CheckConstraint("percent BETWEEN 1 AND 100", name="percent_sane"),
        CheckConstraint("uses >= 0", name="uses_not_negative"),
        CheckConstraint("uses <= use_limit", name="never_over_used"),
    )


class DiscountValue(Base):
    """A discount code in one of the currencies in which it is valid. `amount` is null for a percentage.

    `budget` is the most that all discounts may sum to, `spent` their sum for orders that are not ended unpaid.
    """

    __tablename__ = "discount_values"
    code: Mapped[str] = mapped_column(ForeignKey("discount_codes.code"), primary_key=True)
    currency: Mapped[str] = mapped_column(Text, primary_key=True)
    amount: Mapped[int | None] = mapped_column(BigInteger)
    budget: Mapped[int | None] = mapped_column(BigInteger)
    spent: Mapped[MinorUnits] = mapped_column(default=0)

    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("spent >= 0", name="spent_not_negative"),
        CheckConstraint("spent <= budget", name="never_over_spent"),
    )


class DiscountUse(Base):
    """The use of a discount code by an order, and the discount in minor units.

    `email_digest` is a keyed hash of the customer's address, erased with a guest's data. With `once_per_email` the
    unique index allows the address one use; `uses.use` also counts uses from when the code could be used often.
    """

    __tablename__ = "discount_uses"
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    code: Mapped[str] = mapped_column(ForeignKey("discount_codes.code"))
    currency: Mapped[str] = mapped_column(Text)
    amount: Mapped[MinorUnits]
    state: Mapped[UseState] = mapped_column(EnumText(UseState), default=UseState.HELD)
    once_per_email: Mapped[bool]
    email_digest: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        CheckConstraint("amount >= 0", name="amount_not_negative"),
        CheckConstraint("state IN ('HELD', 'RELEASED')", name="state_known"),
        Index("ix_discount_uses_code", "code"),
        Index(
            "ix_discount_uses_once",
            "code",
            "email_digest",
            unique=True,
            postgresql_where=_ONE_USE,
            sqlite_where=_ONE_USE,
        ),
    )
