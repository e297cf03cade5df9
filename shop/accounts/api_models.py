"""API keys of staff, and API sessions: sign-ins by the API, whose refresh tokens are rotated."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.actor import Actor
from shop.core.column_types import ActorText
from shop.core.db import Base, UtcDateTime


class ApiKey(Base):
    """A key by which a program acts as a member of staff, within `scopes`: permissions of the owner.

    The key is shown once; only the SHA-256 of its secret is stored. `last_used_at` is exact to a minute.
    """

    __tablename__ = "api_keys"
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(Text, unique=True)
    secret_hash: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    scopes: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_by: Mapped[Actor | None] = mapped_column(ActorText)


class ApiSession(Base):
    """A sign-in by the API. Times are wall time.

    Refresh tokens are derived from `id` and `generation` and never stored; `rotated_at` is when the present generation
    replaced the one before. `epoch` is the session epoch of the account under which the password was proven. `device`
    is the beginning of the user agent; `last_used_at` is exact to a minute, and None until the first request.
    """

    __tablename__ = "api_sessions"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    epoch: Mapped[int]
    generation: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    rotated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    device: Mapped[str] = mapped_column(Text, default="", server_default="")
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        Index(
            "ix_api_sessions_active",
            "user_id",
            "created_at",
            postgresql_where=text("revoked_at IS NULL"),
            sqlite_where=text("revoked_at IS NULL"),
        ),
    )
