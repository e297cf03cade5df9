"""Accounts, and counters of failed sign-ins."""

from __future__ import annotations

from datetime import datetime

from flask_login import UserMixin
from sqlalchemy import JSON, CheckConstraint, ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from shop.accounts.decide import LinkPurpose
from shop.core.column_types import EnumText
from shop.core.db import Base, UtcDateTime


class User(UserMixin, Base):  # type: ignore[misc]
    """An account. `email` is stored in lower case; `roles` holds some of `permissions.Role`, empty for customers.

    `email_verified_at` is set once the owner has opened a link that was mailed to `email`. Only sign-ins that were
    started under the present `session_epoch` are valid: raising it ends all of them, also while Redis is away.
    `language` is the locale that the owner has chosen, None for none.
    """

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    password_hash: Mapped[str] = mapped_column(Text)
    roles: Mapped[list[str]] = mapped_column(JSON, default=list)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_signed_in_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    email_verified_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    session_epoch: Mapped[int] = mapped_column(default=0)
    language: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (CheckConstraint("email = lower(email)", name="email_lower_case"),)


class AccountLink(Base):
    """A link in a mail about an account, which can be used once. The link holds `secret` and a signature of it.

    `user_id` is None for a request about an address without an account: the row is written all the same, so that the
    request takes as long, and causes no mail. `email` is the recipient, None for no mail; `account_email` is the
    address of the account when the link was made, and `bound` a hash of what else may not have changed since (see
    `shop.accounts.decide`). `created_at`, `expires_at` and `used_at` are wall time.
    """

    __tablename__ = "account_links"
    id: Mapped[int] = mapped_column(primary_key=True)
    secret: Mapped[str] = mapped_column(Text, unique=True)
    purpose: Mapped[LinkPurpose] = mapped_column(EnumText(LinkPurpose))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"), index=True)
    email: Mapped[str | None] = mapped_column(Text)
    account_email: Mapped[str | None] = mapped_column(Text)
    bound: Mapped[str] = mapped_column(Text)
    language: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


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
