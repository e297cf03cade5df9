"""Look up issued documents."""

from __future__ import annotations

from sqlalchemy import select

from shop.core.db import db
from shop.documents.models import Document, DocumentLine


def of_order(order_id: int) -> list[Document]:
    """The documents of an order, in the order of their numbers."""
    found = select(Document).where(Document.order_id == order_id).order_by(Document.year, Document.sequence)
    return list(db.session.scalars(found))


def by_number(order_id: int, number: str) -> Document | None:
    """A document of this order; None for an unknown number and for one of another order."""
    return db.session.scalars(
        select(Document).where(Document.number == number, Document.order_id == order_id)
    ).one_or_none()


def by_cause(order_id: int, cause: str) -> Document | None:
    """The document of an order with this cause."""
    return db.session.scalars(
        select(Document).where(Document.order_id == order_id, Document.cause == cause)
    ).one_or_none()


def lines(number: str) -> list[DocumentLine]:
    """The lines of a document."""
    found = select(DocumentLine).where(DocumentLine.number == number).order_by(DocumentLine.position)
    return list(db.session.scalars(found))
