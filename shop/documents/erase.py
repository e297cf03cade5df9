"""Erase the customer of documents together with the personal data of their orders."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select, update

from shop.core.db import db
from shop.documents.models import Document, DocumentFile


def customers(order_ids: Sequence[int]) -> None:
    """Erase the customer in the documents of these orders, and their PDFs. Number, lines and amounts stay."""
    db.session.execute(update(Document).where(Document.order_id.in_(order_ids)).values(customer={}))
    theirs = select(Document.number).where(Document.order_id.in_(order_ids))  # only now none of them can get a PDF
    db.session.execute(delete(DocumentFile).where(DocumentFile.number.in_(theirs)))
