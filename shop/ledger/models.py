"""Journals and their entries."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from shop.core.db import Base, MinorUnits, UtcDateTime
from shop.core.money import Money


class Journal(Base):
    """One fact about money, named by what caused it: the same fact is never written twice."""

    __tablename__ = "journals"
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    order_id: Mapped[int | None] = mapped_column(ForeignKey("orders.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)

    entries: Mapped[list[LedgerEntry]] = relationship(order_by="LedgerEntry.line")


class LedgerEntry(Base):
    """One side of a journal, in minor units: positive debits the account, negative credits it."""

    __tablename__ = "ledger_entries"
    journal_key: Mapped[str] = mapped_column(ForeignKey("journals.key"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(Text)
    currency: Mapped[str] = mapped_column(Text)
    amount: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (Index("ix_ledger_entries_account", "account", "currency"),)


class StoreCredit(Base):
    """What a customer has with us in one currency. `balance` includes what is held; the difference can be spent.

    The ledger says the same: `balance` is what stands on the customer's account. It is kept here too because a
    conditional UPDATE of one row is what decides between two checkouts at once.
    """

    __tablename__ = "store_credits"
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    currency: Mapped[str] = mapped_column(Text, primary_key=True)
    balance: Mapped[MinorUnits] = mapped_column(default=0)
    held: Mapped[MinorUnits] = mapped_column(default=0)

    __table_args__ = (
        CheckConstraint("held >= 0", name="held_not_negative"),
        CheckConstraint("balance >= held", name="nothing_spent_twice"),
    )


class CreditHold(Base):
    """Store credit for one order: HELD while it may be paid, then USED or RELEASED. `refunded_amount` came back."""

    __tablename__ = "credit_holds"
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    currency: Mapped[str] = mapped_column(Text)
    amount: Mapped[MinorUnits]
    state: Mapped[str] = mapped_column(Text, default="HELD")
    refunded_amount: Mapped[MinorUnits] = mapped_column(default=0)

    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("refunded_amount BETWEEN 0 AND amount", name="never_over_refunded"),
        CheckConstraint("state IN ('HELD', 'USED', 'RELEASED')", name="state_known"),
    )


class Funds(Base):
    """What acquirers have handed over in one currency and has not been paid out, as on the ledger's SETTLED account.

    `promised` is asked for by payouts that nobody has decided about. A file may take money back, so `settled` may fall
    below it; then a payout is refused when it is to be approved.
    """

    __tablename__ = "funds"
    currency: Mapped[str] = mapped_column(Text, primary_key=True)
    settled: Mapped[MinorUnits] = mapped_column(default=0)
    promised: Mapped[MinorUnits] = mapped_column(default=0)

    __table_args__ = (CheckConstraint("promised >= 0", name="promised_not_negative"),)


class Payout(Base):
    """Settled money on its way out: REQUESTED by one person, APPROVED or REJECTED by another."""

    __tablename__ = "payouts"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    currency: Mapped[str] = mapped_column(Text)
    amount: Mapped[MinorUnits]
    state: Mapped[str] = mapped_column(Text, default="REQUESTED", index=True)
    asked_by: Mapped[str] = mapped_column(Text)
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    note: Mapped[str] = mapped_column(Text, default="")
    decided_by: Mapped[str | None] = mapped_column(Text)
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("state IN ('REQUESTED', 'APPROVED', 'REJECTED')", name="state_known"),
        CheckConstraint("decided_by <> asked_by OR state <> 'APPROVED'", name="two_people"),
    )

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)
