"""What an acquirer says about our payments and refunds now, for people who compare. Changes nothing anywhere."""

from __future__ import annotations

from sqlalchemy import select

from shop.core.db import db
from shop.payments import health, registry
from shop.payments import request as requests
from shop.payments.models import Capture, Refund
from shop.payments.provider import Done, Found, NotFound, Pending, RefundRequest, Rejected, Unavailable

_GONE = Unavailable("we no longer have this provider")


def payment(payment_id: str) -> Found | NotFound | Unavailable:
    """Ask about one of our payments, outside of any transaction. Never raises for what the acquirer does."""
    asked = requests.load(payment_id)
    provider = registry.get(asked.provider) if asked else None
    if asked is None or provider is None:
        return _GONE
    return health.call(provider, "query", lambda: provider.query(asked.request))


def refund(refund_id: str) -> Done | Pending | Rejected | NotFound | Unavailable:
    """Ask what became of one of our refunds. NotFound too for one that never goes through an acquirer."""
    found = db.session.execute(
        select(Refund, Capture.capture_id).join(Capture, Capture.id == Refund.capture_id).where(Refund.id == refund_id)
    ).one_or_none()
    if found is None or found.Refund.payment_id is None:
        db.session.rollback()
        return NotFound()
    wish = RefundRequest(refund_id, found.Refund.money, found.capture_id, found.Refund.reason)
    asked = requests.load(found.Refund.payment_id)
    provider = registry.get(asked.provider) if asked else None
    if asked is None or provider is None:
        return _GONE
    return health.call(provider, "query_refund", lambda: provider.query_refund(asked.request, wish))
