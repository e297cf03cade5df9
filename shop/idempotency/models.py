"""Idempotency keys that have had an effect."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.db import Base, UtcDateTime


class IdempotencyKey(Base):
    """A key of a caller for a route, written in the transaction of its effect. Times are wall time.

    `id` is the SHA-256 of caller, route and key, `body_digest` that of address and body. `subject` is the id of the row
    that the call has created, empty if it creates none. `answer` is the body of the answer, None until it is known;
    meanwhile the call is in progress until `leased_until`. The answer may contain personal data and an order token, so
    the row is deleted after `expires_at`.
    """

    __tablename__ = "idempotency_keys"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    body_digest: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    leased_until: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    status: Mapped[int | None]
    answer: Mapped[str | None] = mapped_column(Text)
