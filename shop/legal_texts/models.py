"""Versions of legal texts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.actor import Actor
from shop.core.column_types import ActorText
from shop.core.db import Base, UtcDateTime


class LegalText(Base):
    """A version of the text of a page in a language; never changed. The newest one counts; an empty one means the text
    that comes with the shop.
    """

    __tablename__ = "legal_texts"
    page: Mapped[str] = mapped_column(Text, primary_key=True)
    locale: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[str] = mapped_column(Text)
    saved_at: Mapped[datetime] = mapped_column(UtcDateTime)
    saved_by: Mapped[Actor] = mapped_column(ActorText)
