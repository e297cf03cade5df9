"""Accounts, their second factors, requests for roles that need a second admin, and counters of failed sign-ins."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from flask_login import UserMixin
from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from shop.accounts.decide import LinkPurpose
from shop.core.actor import Actor
from shop.core.column_types import ActorText, EnumText
from shop.core.db import Base, UtcDateTime

NO_PASSWORD = ""
"""`password_hash` of an account whose invitation was not accepted yet. No password matches it."""
WITHOUT_PASSWORD = "!"  # noqa: S105 - no password
"""First character of the `password_hash` of an account whose owner signs in with an identity alone. A random text
follows, so that mailed links are bound to it, too. No password matches it.
"""


class User(UserMixin, Base):  # type: ignore[misc]
    """An account. `email` is stored in lower case; `roles` holds some of `permissions.Role`, empty for customers.

    `email_verified_at` is set once the owner has opened a link that was mailed to `email`. Only sign-ins that were
    started under the present `session_epoch` are valid: raising it ends all of them, also while Redis is away.
    `language` is the locale that the owner has chosen, None for none. `disabled_at` is set while the account must not
    be used. `access_version` is raised by each change of `roles` and `disabled_at` by staff; a change that was decided
    on an older version is refused. `second_factor_at` is set while sign-ins need a second factor: a code of an app (see
    TotpSecret) or a Passkey. `password_hash` begins with WITHOUT_PASSWORD if the owner has chosen none.
    `cart_id` is the cart of the account on all devices; it may no longer exist. `deleted_at` is set once the owner has
    deleted the account, which then is disabled and has neither name nor address (see `shop.accounts.closing`).
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
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    access_version: Mapped[int] = mapped_column(default=0)
    second_factor_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cart_id: Mapped[str | None] = mapped_column(Text, unique=True, index=True)

    __table_args__ = (CheckConstraint("email = lower(email)", name="email_lower_case"),)

    @property
    def has_password(self) -> bool:
        """True if a password signs in to the account."""
        return self.password_hash != NO_PASSWORD and not self.password_hash.startswith(WITHOUT_PASSWORD)


IS_STAFF = func.json_array_length(User.roles) > 0
"""Condition for accounts with a role. A partial index has it, because nearly all accounts are of customers."""
Index("ix_users_email_prefix", User.email, postgresql_ops={"email": "text_pattern_ops"})
Index("ix_users_staff", User.email, postgresql_where=IS_STAFF, sqlite_where=IS_STAFF)


class RoleRequestState(StrEnum):
    """State of a request for roles. LAPSED: the account was changed before the decision."""

    REQUESTED = "REQUESTED"
    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    LAPSED = "LAPSED"


class RoleRequest(Base):
    """A request to give an account roles that need two admins: REQUESTED by one admin, decided by another.

    An account has at most one open request.
    """

    __tablename__ = "role_requests"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    roles: Mapped[list[str]] = mapped_column(JSON)
    reason: Mapped[str] = mapped_column(Text)
    state: Mapped[RoleRequestState] = mapped_column(EnumText(RoleRequestState), default=RoleRequestState.REQUESTED)
    requested_by: Mapped[Actor] = mapped_column(ActorText)
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
    decided_by: Mapped[Actor | None] = mapped_column(ActorText)
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        CheckConstraint("state IN ('REQUESTED', 'APPROVED', 'DECLINED', 'LAPSED')", name="state_known"),
        CheckConstraint("decided_by <> requested_by OR state <> 'APPROVED'", name="two_people"),
    )


_IS_OPEN = RoleRequest.state == RoleRequestState.REQUESTED
Index("ix_role_requests_open", RoleRequest.user_id, unique=True, postgresql_where=_IS_OPEN, sqlite_where=_IS_OPEN)


class TotpSecret(Base):
    """Secrets of an authenticator app, encrypted: the one that counts, and one that waits for its first code.

    `last_step` is the newest time step whose code was used.
    """

    __tablename__ = "totp_secrets"
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True, autoincrement=False)
    secret: Mapped[str | None] = mapped_column(Text)
    pending: Mapped[str | None] = mapped_column(Text)
    last_step: Mapped[int] = mapped_column(BigInteger, default=0)


class RecoveryCode(Base):
    """A code that can be used once in place of one of the authenticator app; only its hash is stored."""

    __tablename__ = "recovery_codes"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    code_hash: Mapped[str] = mapped_column(Text)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (Index("ix_recovery_codes_code", "user_id", "code_hash", unique=True),)


class Passkey(Base):
    """A passkey (WebAuthn). The id of its credential and the public key (COSE) are in base64url.

    `sign_count` is the newest counter of its signatures; it stays 0 for an authenticator that does not count.
    """

    __tablename__ = "passkeys"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    credential_id: Mapped[str] = mapped_column(Text, unique=True)
    public_key: Mapped[str] = mapped_column(Text)
    sign_count: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Identity(Base):
    """A person's account at an OpenID Connect issuer, by which the owner signs in. `subject` is the issuer's id of the
    person, `email` the address that the issuer had verified when the identity was added.
    """

    __tablename__ = "identities"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    issuer: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    email: Mapped[str] = mapped_column(Text)
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (UniqueConstraint("issuer", "subject"),)


class SpentIdToken(Base):
    """An ID token that was used, by a hash of what its signature covers. `expires_at` is wall time."""

    __tablename__ = "spent_id_tokens"
    digest: Mapped[str] = mapped_column(Text, primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class AccountLink(Base):
    """A link in a mail about an account, which can be used once. The link holds `secret` and a signature of it.

    `user_id` is None for a request about an address without an account: the row is written all the same, so that the
    request takes as long, and causes no mail. `email` is the recipient, None for no mail; `account_email` is the
    address of the account when the link was made, and `bound` a hash of what else may not have changed since (see
    `shop.accounts.decide`). `identity` has `issuer`, `subject` and `email` of the one that it adds. `created_at`,
    `expires_at` and `used_at` are wall time.
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
    identity: Mapped[dict[str, str] | None] = mapped_column(JSON)


class SignInFailures(Base):
    """Consecutive wrong passwords for one e-mail address, whether or not it has an account.

    `account` is a keyed hash of the address and, for the rows that delay, of the network or the browser; `of_account`
    is that of the address alone, by which staff find and clear all rows of an account. `at` and
    `blocked_until` are wall time: advancing the shop's clock ends no delay.
    """

    __tablename__ = "sign_in_failures"
    account: Mapped[str] = mapped_column(Text, primary_key=True)
    of_account: Mapped[str | None] = mapped_column(Text, index=True)
    failures: Mapped[int] = mapped_column(default=0)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    blocked_until: Mapped[datetime | None] = mapped_column(UtcDateTime)


class SavedAddress(Base):
    """A delivery address of an account. At most one of an account is its default. `region` is as in orders."""

    __tablename__ = "saved_addresses"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(Text)
    line1: Mapped[str] = mapped_column(Text)
    line2: Mapped[str] = mapped_column(Text)
    city: Mapped[str] = mapped_column(Text)
    region: Mapped[str] = mapped_column(Text)
    postcode: Mapped[str] = mapped_column(Text)
    country: Mapped[str] = mapped_column(Text)
    phone: Mapped[str] = mapped_column(Text)
    is_default: Mapped[bool] = mapped_column(default=False)
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)


Index(
    "ix_saved_addresses_default",
    SavedAddress.user_id,
    unique=True,
    postgresql_where=SavedAddress.is_default,
    sqlite_where=SavedAddress.is_default,
)
