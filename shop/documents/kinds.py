"""Kinds of documents and of their lines. The values are stored and must not change."""

from __future__ import annotations

from enum import StrEnum


class DocumentKind(StrEnum):
    """Kind of a document. A cancellation takes back the credit of a refund that has failed later."""

    RECEIPT = "receipt"
    CREDIT_NOTE = "credit_note"
    CANCELLATION = "cancellation"


class DocumentLineKind(StrEnum):
    """Kind of a line. DIFFERENCE is the amount by which the accepted amount differs from the order's total."""

    ITEM = "item"
    DELIVERY = "delivery"
    DISCOUNT = "discount"
    TAX = "tax"
    REFUND = "refund"
    DIFFERENCE = "difference"
