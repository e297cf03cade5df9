"""Roll-ups of a day in the shop's zone, and the time until which the facts are in them."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, Date, Text
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.db import Base, MinorUnits, UtcDateTime


class DayFigure(Base):
    """A figure of a day: the number of facts, and the sum of their amounts in minor units.

    `subject` and `state` name the figure (see `shop.statistics.decide`). `currency`, `provider` and `method` are empty
    where a fact has none. Rows exist only for facts that happened.
    """

    __tablename__ = "statistics_days"
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    subject: Mapped[str] = mapped_column(Text, primary_key=True)
    state: Mapped[str] = mapped_column(Text, primary_key=True)
    currency: Mapped[str] = mapped_column(Text, primary_key=True)
    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    method: Mapped[str] = mapped_column(Text, primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)
    amount: Mapped[MinorUnits]


class StatisticsProgress(Base):
    """Single row: all facts before `up_to`, and none after it, are in the roll-ups.

    The days are those of `zone`; `version` is that of the figures. When one of them differs from the present one, the
    roll-ups are made again from the beginning.
    """

    __tablename__ = "statistics_progress"
    id: Mapped[int] = mapped_column(primary_key=True)
    up_to: Mapped[datetime] = mapped_column(UtcDateTime)
    zone: Mapped[str] = mapped_column(Text)
    version: Mapped[int]
