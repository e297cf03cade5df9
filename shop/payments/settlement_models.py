"""What settlement files brought, what in them disagrees with our books, and disputes."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Date,
    ForeignKey,
    Index,
    ScalarSelect,
    Text,
    UniqueConstraint,
    func,
    select,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.db import Base, MinorUnits, UtcDateTime
from shop.core.money import Money

_STILL_OPEN = text("closed_at IS NULL")


class SettledLine(Base):
    """One line of a settlement file that is about a journal of ours (`fact`), as it is booked.

    `line_id` is theirs, as it was first called, `day` their business day. Amounts are signed minor units; `fee` is what
    they kept. A file that says something else later is booked as the difference, and `version` counts that.
    """

    __tablename__ = "settled_lines"
    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    line_id: Mapped[str] = mapped_column(Text, primary_key=True)
    day: Mapped[date] = mapped_column(Date)
    kind: Mapped[str] = mapped_column(Text)
    fact: Mapped[str] = mapped_column(ForeignKey("journals.key"), unique=True)
    amount: Mapped[MinorUnits]
    fee: Mapped[MinorUnits]
    currency: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    booked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    version: Mapped[int] = mapped_column(default=0)

    __table_args__ = (Index("ix_settled_lines_day", "provider", "day"),)


class Discrepancy(Base):
    """One difference between the settlement file of a day and our books. Open until `closed_at`.

    `cause` is one of `shop.payments.discrepancies.CAUSES`. `about` is the journal of ours that it is about, or their
    line when there is none. `ours` and `theirs` are amounts in minor units of `currency` (fees, when it is about a
    fee); empty on the side that has nothing.
    """

    __tablename__ = "discrepancies"
    id: Mapped[int] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(Text)
    day: Mapped[date] = mapped_column(Date)
    cause: Mapped[str] = mapped_column(Text)
    about: Mapped[str] = mapped_column(Text)
    order_id: Mapped[int | None] = mapped_column(ForeignKey("orders.id"), index=True)
    ours: Mapped[int | None] = mapped_column(BigInteger)
    theirs: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        UniqueConstraint("provider", "day", "cause", "about"),
        CheckConstraint(
            "cause IN ('missing_there', 'missing_here', 'amount', 'fee', 'unknown', 'twice')", name="cause_known"
        ),
        Index("ix_discrepancies_open", "provider", "day", postgresql_where=_STILL_OPEN, sqlite_where=_STILL_OPEN),
    )


class Dispute(Base):
    """A customer's bank wants a capture back. `dispute_id` is theirs.

    `kind` is chargeback (the money is gone until it is won) or inquiry (the bank only asks), `state` OPEN, WON or LOST.
    `respond_by` is until when evidence is taken.
    """

    __tablename__ = "disputes"
    id: Mapped[int] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(Text)
    dispute_id: Mapped[str] = mapped_column(Text)
    capture_id: Mapped[int] = mapped_column(ForeignKey("captures.id"), index=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), index=True)
    kind: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text, default="")
    state: Mapped[str] = mapped_column(Text)
    amount: Mapped[MinorUnits]
    currency: Mapped[str] = mapped_column(Text)
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    respond_by: Mapped[datetime | None] = mapped_column(UtcDateTime)
    heard_at: Mapped[datetime] = mapped_column(UtcDateTime)
    heard_from: Mapped[str] = mapped_column(Text)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        UniqueConstraint("provider", "dispute_id"),
        CheckConstraint("kind IN ('chargeback', 'inquiry')", name="kind_known"),
        CheckConstraint("state IN ('OPEN', 'WON', 'LOST')", name="state_known"),
        CheckConstraint("amount > 0", name="amount_positive"),
    )

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)


def charged_back(capture_id: Any, *states: str) -> ScalarSelect[int]:
    """What banks have of a capture, in minor units: its chargebacks in any of `states`. For use inside a query."""
    return (
        select(func.coalesce(func.sum(Dispute.amount), 0))
        .where(Dispute.capture_id == capture_id, Dispute.kind == "chargeback", Dispute.state.in_(states))
        .correlate_except(Dispute)
        .scalar_subquery()
    )
