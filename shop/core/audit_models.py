"""Tables of the audit log: entries, their erasable personal values, and seals.

Columns are text that is hashed as it is stored, so that a changed value is found whatever the database made of it.
Triggers of migration 0028 refuse every change but the first seal of an entry and the deletion of personal values.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.db import Base, UtcDateTime


class AuditSeal(Base):
    """A seal over entries. `entries` is JSON, a list of [id, hash]; `previous` is the hash of the seal before it; `mac`
    an HMAC over all other columns, with the key `key_id` of the key ring. Numbers are 1, 2, 3, … without gaps.
    """

    __tablename__ = "audit_seals"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    previous: Mapped[str] = mapped_column(Text)
    key_id: Mapped[str] = mapped_column(Text)
    entries: Mapped[str] = mapped_column(Text)
    mac: Mapped[str] = mapped_column(Text)

    __table_args__ = (CheckConstraint("number > 0", name="number_positive"),)


class AuditEntry(Base):
    """An act: `actor` is the text form of an actor, `before` and `after` are JSON objects, and `personal_hash` is the
    salted hash of the personal values. `seal` is empty until the entry is sealed.
    """

    __tablename__ = "audit_log"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(Text)
    act: Mapped[str] = mapped_column(Text)
    subject_kind: Mapped[str] = mapped_column(Text)
    subject_id: Mapped[str] = mapped_column(Text)
    before: Mapped[str | None] = mapped_column(Text)
    after: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    request_id: Mapped[str] = mapped_column(Text)
    personal_hash: Mapped[str] = mapped_column(Text)
    seal: Mapped[int | None] = mapped_column(ForeignKey("audit_seals.number"))

    __table_args__ = (
        Index("ix_audit_log_at", "at", "id"),
        Index("ix_audit_log_actor", "actor", "at", "id"),
        Index("ix_audit_log_act", "act", "at", "id"),
        Index("ix_audit_log_kind", "subject_kind", "at", "id"),
        Index("ix_audit_log_subject", "subject_id", "subject_kind", "at", "id"),
        Index("ix_audit_log_request", "request_id", "at", "id"),
        Index("ix_audit_log_seal", "seal", "id"),
        {"sqlite_autoincrement": True},
    )


class AuditPersonal(Base):
    """Personal values of an entry, a JSON object. The salt is erased with them, so that the hash that stays does not
    allow guessing them.
    """

    __tablename__ = "audit_personal"
    entry_id: Mapped[int] = mapped_column(ForeignKey("audit_log.id"), primary_key=True, autoincrement=False)
    salt: Mapped[str] = mapped_column(Text)
    personal: Mapped[str] = mapped_column(Text)
