"""Files of uploaded pictures."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, Text
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.db import Base, UtcDateTime


class MediaFile(Base):
    """The files of a picture, which are named by the digest of their content. `uses` counts the products that show it.

    Retention removes pictures that are not used since `unused_since` and are in no order.
    """

    __tablename__ = "media_files"
    digest: Mapped[str] = mapped_column(Text, primary_key=True)
    uses: Mapped[int]
    unused_since: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        CheckConstraint("uses >= 0", name="uses_not_negative"),
        CheckConstraint("(uses = 0) = (unused_since IS NOT NULL)", name="since_while_unused"),
    )
