"""Accounts, and counters of failed sign-ins."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from flask_login import UserMixin
from sqlalchemy import JSON, CheckConstraint, Text
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.db import Base, UtcDateTime


class Role(StrEnum):
    """Role of a staff account. A customer has none."""

    SUPPORT = "support"
    FINANCE = "finance"
    ADMIN = "admin"


class User(UserMixin, Base):  # type: ignore[misc]
    """An account. `email` is stored in lower case; `roles` holds some of `Role`, empty for customers."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    password_hash: Mapped[str] = mapped_column(Text)
    roles: Mapped[list[str]] = mapped_column(JSON, default=list)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_signed_in_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (CheckConstraint("email = lower(email)", name="email_lower_case"),)


class SignInFailures(Base):
    """Consecutive wrong passwords for one e-mail address, whether or not it has an account.

    `account` is a keyed hash of the address and, for the rows that delay, of the network or the browser. `at` and
    `blocked_until` are wall time: advancing the shop's clock ends no delay.
    """

    __tablename__ = "sign_in_failures"
    account: Mapped[str] = mapped_column(Text, primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    blocked_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
