"""Journals and their entries."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from shop.core.db import Base, UtcDateTime


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
