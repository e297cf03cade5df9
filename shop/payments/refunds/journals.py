"""Journals of a refund: one when it is done, another when it fails later. Pure."""

from __future__ import annotations

from shop.ledger import chart
from shop.payments.order_money.decision import Posting
from shop.payments.order_money.snapshot import CaptureRow, OrderRow, RefundRow
from shop.payments.records.types import RefundDestination


def key_of(refund_id: str, *, failed: bool = False) -> str:
    """Key of the journal of a refund that was done, or of one that failed later."""
    return f"refund:{refund_id}" + (":failed" if failed else "")


def done(refund: RefundRow, capture: CaptureRow | None, order: OrderRow) -> list[Posting]:
    """Journal of a refund that was done; without `capture`, of store credit that paid the order."""
    key, account = key_of(refund.id), _account(capture)
    if refund.destination == RefundDestination.STORE_CREDIT and order.user_id is not None:
        credit = chart.store_credit(order.user_id)
        return [Posting(key, "refund", refund.money, account, credit, customer=order.user_id)]
    return [Posting(key, "refund", refund.money, account, _source(refund, capture))] if capture else []


def failed(refund: RefundRow, capture: CaptureRow) -> list[Posting]:
    """Journal of a refund that failed after it was done: the money returned to the account that had sent it."""
    key, source = key_of(refund.id, failed=True), _source(refund, capture)
    return [Posting(key, "refund_failed", refund.money, source, _account(capture))]


def _source(refund: RefundRow, capture: CaptureRow) -> str:
    """Account that sends the money: the acquirer's receivable, or manual refunds."""
    return chart.MANUAL_REFUNDS if refund.destination == RefundDestination.BANK else chart.receivable(capture.provider)


def _account(capture: CaptureRow | None) -> str:
    return chart.REFUNDS if capture is None or capture.pays_order else chart.UNALLOCATED_FUNDS
