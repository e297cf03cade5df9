"""Data of the seller that replace those of the settings."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, Text
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.actor import Actor
from shop.core.column_types import ActorText
from shop.core.db import Base, UtcDateTime


class SellerData(Base):
    """The seller on new receipts and on pages: one row at most, without which the settings count."""

    __tablename__ = "seller_data"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text)
    tax_id: Mapped[str] = mapped_column(Text)
    email: Mapped[str] = mapped_column(Text)
    version: Mapped[int]
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_by: Mapped[Actor] = mapped_column(ActorText)

    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)
