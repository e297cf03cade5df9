"""Issued documents, their lines and their files, and the last number of each year."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Date, ForeignKey, LargeBinary, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.column_types import EnumText
from shop.core.db import Base, MinorUnits, UtcDateTime
from shop.documents.kinds import DocumentKind, DocumentLineKind


class DocumentYear(Base):
    """The last number of a year. Each transaction that issues documents locks this row first, so that numbers have no
    gaps and documents of one order are computed one after the other.
    """

    __tablename__ = "document_years"
    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last: Mapped[int]

    __table_args__ = (CheckConstraint("last >= 0", name="last_not_negative"),)


class Document(Base):
    """A document as it was issued; rows are inserted and never changed, but for the erased `customer` of a guest.

    (`order_id`, `cause`) is unique: `paid`, `refund:<refund>` or `cancel:<refund>`. Amounts are positive for each kind;
    tax, delivery and discount divide the total as `shop.pricing.split` describes. `refers_to` is the number of the
    receipt that a credit note corrects, or of the credit note that is cancelled. `issued_on` is the date in the shop's
    time zone, whose year is that of the number.
    """

    __tablename__ = "documents"
    number: Mapped[str] = mapped_column(Text, primary_key=True)
    year: Mapped[int]
    sequence: Mapped[int]
    kind: Mapped[DocumentKind] = mapped_column(EnumText(DocumentKind))
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    cause: Mapped[str] = mapped_column(Text)
    refers_to: Mapped[str | None] = mapped_column(ForeignKey("documents.number"))
    issued_at: Mapped[datetime] = mapped_column(UtcDateTime)
    issued_on: Mapped[date] = mapped_column(Date)
    language: Mapped[str] = mapped_column(Text)
    currency: Mapped[str] = mapped_column(Text)
    total_amount: Mapped[MinorUnits]
    tax_amount: Mapped[MinorUnits]
    delivery_amount: Mapped[MinorUnits]
    discount_amount: Mapped[MinorUnits]
    seller: Mapped[dict[str, Any]] = mapped_column(JSON)
    customer: Mapped[dict[str, Any]] = mapped_column(JSON)

    __table_args__ = (
        UniqueConstraint("year", "sequence"),
        UniqueConstraint("order_id", "cause"),
        CheckConstraint("kind IN ('receipt', 'credit_note', 'cancellation')", name="kind_known"),
        CheckConstraint("sequence > 0", name="sequence_positive"),
        CheckConstraint("total_amount >= 0", name="total_not_negative"),
    )


class DocumentLine(Base):
    """A line of a document. The total is the sum of quantity × unit amount of the lines that are not `is_included`.

    `rate` is that of a tax, or the one that a product or the delivery is taxed with, in thousandths of a percent.
    """

    __tablename__ = "document_lines"
    number: Mapped[str] = mapped_column(ForeignKey("documents.number"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[DocumentLineKind] = mapped_column(EnumText(DocumentLineKind))
    name: Mapped[str] = mapped_column(Text)
    quantity: Mapped[int]
    unit_amount: Mapped[MinorUnits]
    rate: Mapped[int | None]
    is_included: Mapped[bool]

    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        CheckConstraint("kind IN ('item', 'delivery', 'discount', 'tax', 'refund', 'difference')", name="kind_known"),
    )


class DocumentFile(Base):
    """The PDF of a document, made once."""

    __tablename__ = "document_files"
    number: Mapped[str] = mapped_column(ForeignKey("documents.number"), primary_key=True)
    pdf: Mapped[bytes] = mapped_column(LargeBinary)
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
