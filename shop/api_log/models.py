"""Calls of the API."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.db import Base, UtcDateTime


class ApiCall(Base):
    """A call of the API. `route` is the rule, such as `/api/v1/orders/<int:order_id>`, `path` the address without order
    tokens. `caller` is guest, user, key or order, `user_id` the account and `key_id` the API key; both are kept when
    these are deleted. `ms` is the duration in milliseconds. `body` is the request's, redacted and cut.
    """

    __tablename__ = "api_calls"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    method: Mapped[str] = mapped_column(Text)
    route: Mapped[str] = mapped_column(Text)
    path: Mapped[str] = mapped_column(Text)
    status: Mapped[int]
    code: Mapped[str] = mapped_column(Text)
    ms: Mapped[int]
    caller: Mapped[str] = mapped_column(Text)
    user_id: Mapped[int | None]
    key_id: Mapped[int | None]
    address: Mapped[str] = mapped_column(Text)
    request_id: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)

    __table_args__ = (
        Index("ix_api_calls_at", "at", "id"),
        Index("ix_api_calls_request", "request_id"),
        Index("ix_api_calls_user", "user_id", "at", "id"),
        Index("ix_api_calls_key", "key_id", "at", "id"),
    )
