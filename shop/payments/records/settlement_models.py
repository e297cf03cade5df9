"""Tables of settlement files, settlement lines, discrepancies and disputes."""

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

from shop.core.actor import Actor
from shop.core.column_types import ActorText, EnumText
from shop.core.db import Base, MinorUnits, UtcDateTime
from shop.core.money import Money
from shop.payments.providers.types import DisputeKind, DisputeState
from shop.payments.records.types import Source

_STILL_OPEN = text("closed_at IS NULL")
_TO_FETCH = text("due_at IS NOT NULL")
_NOT_READ = text("read_at IS NULL")
_DISPUTED = text(f"state = '{DisputeState.OPEN}'")


class SettlementFile(Base):
    """The settlement file of a provider's business day: when the clock fetches it, and when one was read.

    `expected_at` is the time of the clock's first attempt, empty for days that it does not fetch; `due_at` that of the
    next one, empty when none is left. `error` is the result of the last attempt that failed. `read_at` is when a file
    of the complete day was last reconciled, by the clock or by staff, and `lines` its number of lines.
    """

    __tablename__ = "settlement_files"
    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    expected_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    attempts: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None] = mapped_column(Text)
    read_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lines: Mapped[int | None]

    __table_args__ = (
        Index("ix_settlement_files_due", "due_at", postgresql_where=_TO_FETCH, sqlite_where=_TO_FETCH),
        Index("ix_settlement_files_missing", "expected_at", postgresql_where=_NOT_READ, sqlite_where=_NOT_READ),
    )


class SettlementLineRow(Base):
    """A settlement line as it is booked, about one of our journals (`fact`).

    `line_id` is the acquirer's first id of the line, `day` the acquirer's business day. Amounts are signed minor units;
    `fee` is the acquirer's fee. If a later file changes the line, the difference is booked and `version` counts up.
    """

    __tablename__ = "settlement_lines"
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

    __table_args__ = (Index("ix_settlement_lines_day", "provider", "day"),)

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)

    @property
    def fee_money(self) -> Money:
        return Money(self.fee, self.currency)


class Discrepancy(Base):
    """A difference between the settlement file of a day and the ledger. Open until `closed_at`.

    `cause` is one of `shop.payments.settlement.discrepancies.CAUSES`. `about` is our journal, or the acquirer's line
    when there is no journal. `ours` and `theirs` are amounts in minor units of `currency` (for a fee discrepancy,
    fees); empty on the side that has no entry. One that staff have accepted is closed, and stays so while the files
    have the same amounts.
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
    accepted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    accepted_by: Mapped[Actor | None] = mapped_column(ActorText)
    accepted_reason: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        UniqueConstraint("provider", "day", "cause", "about"),
        CheckConstraint(
            "cause IN ('missing_there', 'missing_here', 'amount', 'fee', 'unknown', 'twice')", name="cause_known"
        ),
        Index("ix_discrepancies_open", "provider", "day", postgresql_where=_STILL_OPEN, sqlite_where=_STILL_OPEN),
        Index("ix_discrepancies_unmatched", "opened_at", "id", postgresql_where=_STILL_OPEN, sqlite_where=_STILL_OPEN),
    )


class Dispute(Base):
    """A dispute of a capture by the customer's bank. `dispute_id` is the acquirer's id.

    `kind` is chargeback (the money is withdrawn until the dispute is won) or inquiry (no money is withdrawn), `state`
    OPEN, WON or LOST. `respond_by` is the deadline for evidence.
    """

    __tablename__ = "disputes"
    id: Mapped[int] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(Text)
    dispute_id: Mapped[str] = mapped_column(Text)
    capture_id: Mapped[int] = mapped_column(ForeignKey("captures.id"), index=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), index=True)
    kind: Mapped[DisputeKind] = mapped_column(EnumText(DisputeKind))
    reason: Mapped[str] = mapped_column(Text, default="")
    state: Mapped[DisputeState] = mapped_column(EnumText(DisputeState))
    amount: Mapped[MinorUnits]
    currency: Mapped[str] = mapped_column(Text)
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    respond_by: Mapped[datetime | None] = mapped_column(UtcDateTime)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    source: Mapped[Source] = mapped_column(EnumText(Source))
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        UniqueConstraint("provider", "dispute_id"),
        CheckConstraint("kind IN ('chargeback', 'inquiry')", name="kind_known"),
        CheckConstraint("state IN ('OPEN', 'WON', 'LOST')", name="state_known"),
        CheckConstraint("amount > 0", name="amount_positive"),
        Index("ix_disputes_open", "respond_by", postgresql_where=_DISPUTED, sqlite_where=_DISPUTED),
    )

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)


def charged_back(capture_id: Any, *states: str) -> ScalarSelect[int]:
    """SQL expression: minor units of a capture's chargebacks in any of `states`."""
    return (
        select(func.coalesce(func.sum(Dispute.amount), 0))
        .where(Dispute.capture_id == capture_id, Dispute.kind == DisputeKind.CHARGEBACK, Dispute.state.in_(states))
        .correlate_except(Dispute)
        .scalar_subquery()
    )
