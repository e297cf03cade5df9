"""The acquirer's present view of our payments and refunds, for comparisons. Read-only."""

from __future__ import annotations

from sqlalchemy import select

from shop.core.db import db
from shop.payments.calls import circuit_breaker
from shop.payments.calls import request as requests
from shop.payments.providers import registry
from shop.payments.providers.interface import Done, Found, NotFound, Pending, RefundRequest, Rejected, Unavailable
from shop.payments.records.models import Capture, Refund

_REMOVED = Unavailable("we no longer have this provider")


def payment(payment_id: str) -> Found | NotFound | Unavailable:
    """Query one of our payments, outside of any transaction. Failures of the acquirer are results, not exceptions."""
    loaded = requests.load(payment_id)
    provider = registry.get(loaded.provider) if loaded else None
    if loaded is None or provider is None:
        return _REMOVED
    return circuit_breaker.call(provider, "query", lambda: provider.query(loaded.request))


def refund(refund_id: str) -> Done | Pending | Rejected | NotFound | Unavailable:
    """Query one of our refunds. NotFound also for a refund that does not go through an acquirer."""
    found = db.session.execute(
        select(Refund, Capture.capture_id).join(Capture, Capture.id == Refund.capture_id).where(Refund.id == refund_id)
    ).one_or_none()
    if found is None or found.Refund.payment_id is None:
        db.session.rollback()
        return NotFound()
    refund_request = RefundRequest(refund_id, found.Refund.money, found.capture_id, found.Refund.reason)
    loaded = requests.load(found.Refund.payment_id)
    provider = registry.get(loaded.provider) if loaded else None
    if loaded is None or provider is None:
        return _REMOVED
    return circuit_breaker.call(provider, "query_refund", lambda: provider.query_refund(loaded.request, refund_request))
