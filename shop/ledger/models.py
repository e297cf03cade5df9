"""Journals and their entries."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from shop.core.db import Base, MinorUnits, UtcDateTime


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
