"""Documents that mails attach."""

from __future__ import annotations

from shop.documents import find, issue
from shop.documents.models import Document


def issued(order_id: int, cause: str) -> Document | None:
    """The document of an order with this cause, issued now if it was not yet. None if the order demands none, as for a
    refund of money that was in no receipt.
    """
    issue.bring_up_to_date(order_id)
    return find.by_cause(order_id, cause)
