"""Table of payouts."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Text
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.actor import Actor
from shop.core.column_types import ActorText, EnumText
from shop.core.db import Base, MinorUnits, UtcDateTime
from shop.core.money import Money


class PayoutState(StrEnum):
    """State of a payout."""

    REQUESTED = "REQUESTED"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"


class Payout(Base):
    """A payout of settled money: REQUESTED by one person, APPROVED or REJECTED by another."""

    __tablename__ = "payouts"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    currency: Mapped[str] = mapped_column(Text)
    amount: Mapped[MinorUnits]
    state: Mapped[PayoutState] = mapped_column(EnumText(PayoutState), default=PayoutState.REQUESTED, index=True)
    requested_by: Mapped[Actor] = mapped_column(ActorText)
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
    note: Mapped[str] = mapped_column(Text, default="")
    decided_by: Mapped[Actor | None] = mapped_column(ActorText)
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("state IN ('REQUESTED', 'APPROVED', 'REJECTED')", name="state_known"),
        CheckConstraint("decided_by <> requested_by OR state <> 'APPROVED'", name="two_people"),
    )

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)
