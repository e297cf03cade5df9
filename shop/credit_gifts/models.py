"""Table of gifts of store credit."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.actor import Actor
from shop.core.column_types import ActorText, EnumText
from shop.core.db import Base, MinorUnits, UtcDateTime
from shop.core.money import Money


class GiftState(StrEnum):
    """State of a gift of store credit."""

    REQUESTED = "REQUESTED"
    APPROVED = "APPROVED"
    DECLINED = "DECLINED"


class CreditGift(Base):
    """Store credit for a customer: REQUESTED by one person, APPROVED or DECLINED by another. `key` is the idempotency
    key of the request, once per customer. The journal `credit_given:<user_id>:<key>` is written at the approval.
    """

    __tablename__ = "credit_gifts"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    key: Mapped[str] = mapped_column(Text)
    currency: Mapped[str] = mapped_column(Text)
    amount: Mapped[MinorUnits]
    reason: Mapped[str] = mapped_column(Text, default="")
    state: Mapped[GiftState] = mapped_column(EnumText(GiftState), default=GiftState.REQUESTED, index=True)
    requested_by: Mapped[Actor] = mapped_column(ActorText)
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
    decided_by: Mapped[Actor | None] = mapped_column(ActorText)
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        UniqueConstraint("user_id", "key"),
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("state IN ('REQUESTED', 'APPROVED', 'DECLINED')", name="state_known"),
        CheckConstraint("decided_by <> requested_by OR state <> 'APPROVED'", name="two_people"),
    )

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)
