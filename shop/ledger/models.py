"""Journals and their entries."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from shop.core.actor import Actor
from shop.core.column_types import ActorText, EnumText
from shop.core.db import Base, MinorUnits, UtcDateTime
from shop.ledger.hold_states import HoldState


class Journal(Base):
    """A movement of money, identified by its cause, so that it is never booked twice.

    `actor` is who decided it; None where the cause has a record of its own (a capture, a refund, a payout, an order).
    """

    __tablename__ = "journals"
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    order_id: Mapped[int | None] = mapped_column(ForeignKey("orders.id"), index=True)
    actor: Mapped[Actor | None] = mapped_column(ActorText)
    at: Mapped[datetime] = mapped_column(UtcDateTime)

    entries: Mapped[list[LedgerEntry]] = relationship(order_by="LedgerEntry.line")


class LedgerEntry(Base):
    """An entry of a journal, in minor units: positive debits the account, negative credits it."""

    __tablename__ = "ledger_entries"
    journal_key: Mapped[str] = mapped_column(ForeignKey("journals.key"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(Text)
    currency: Mapped[str] = mapped_column(Text)
    amount: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (Index("ix_ledger_entries_account", "account", "currency"),)


class StoreCredit(Base):
    """The store credit of a customer in one currency. `balance` includes `held`; the rest can be spent.

    The ledger has the same `balance` on the customer's account. It is also kept here because a conditional UPDATE of
    one row decides between two concurrent checkouts.
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
    """Store credit held for one order: HELD while the order may be paid, then USED or RELEASED. `refunded_amount` was
    returned to the customer.
    """

    __tablename__ = "credit_holds"
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    currency: Mapped[str] = mapped_column(Text)
    amount: Mapped[MinorUnits]
    state: Mapped[HoldState] = mapped_column(EnumText(HoldState), default=HoldState.HELD)
    refunded_amount: Mapped[MinorUnits] = mapped_column(default=0)

    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("refunded_amount BETWEEN 0 AND amount", name="never_over_refunded"),
        CheckConstraint("state IN ('HELD', 'USED', 'RELEASED')", name="state_known"),
    )


class Funds(Base):
    """Money that acquirers have paid in one currency and that is not paid out, as on the ledger's bank account.

    `promised` is the sum of undecided payouts. A settlement file may take money back, so `settled` may fall below it; a
    payout is then refused at its approval.
    """

    __tablename__ = "funds"
    currency: Mapped[str] = mapped_column(Text, primary_key=True)
    settled: Mapped[MinorUnits] = mapped_column(default=0)
    promised: Mapped[MinorUnits] = mapped_column(default=0)

    __table_args__ = (CheckConstraint("promised >= 0", name="promised_not_negative"),)
