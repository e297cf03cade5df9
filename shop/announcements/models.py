"""Announcements."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, CheckConstraint, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.db import Base, UtcDateTime


class Announcement(Base):
    """A text by locale, English always, shown from `starts_at` until `ends_at`; None is no limit. `link` is a path of
    the shop or a web address, empty for none. `version` counts changes (see `shop.core.versions`).
    """

    __tablename__ = "announcements"
    id: Mapped[int] = mapped_column(primary_key=True)
    texts: Mapped[dict[str, str]] = mapped_column(JSON)
    link: Mapped[str] = mapped_column(Text)
    starts_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    version: Mapped[int]

    __table_args__ = (
        CheckConstraint("starts_at < ends_at", name="ends_after_start"),
        Index("ix_announcements_ends_at", "ends_at"),
    )
