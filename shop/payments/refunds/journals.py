"""Journals of a refund: one when it is done, another when it fails later. Pure."""

from __future__ import annotations

from shop.ledger import chart
from shop.payments.order_money import split_entries
from shop.payments.order_money.decision import Posting
from shop.payments.order_money.snapshot import CaptureRow, OrderRow, RefundRow
from shop.payments.order_money.split_entries import Entries
from shop.payments.records.types import RefundDestination


def key_of(refund_id: str, *, failed: bool = False) -> str:
    """Key of the journal of a refund that was done, or of one that failed later."""
    return f"refund:{refund_id}" + (":failed" if failed else "")


def done(refund: RefundRow, capture: CaptureRow | None, order: OrderRow, *, before: int) -> list[Posting]:
    """Journal of a refund that was done; without `capture`, of store credit that paid the order.

    `before` is the sum of the other refunds of the order's price, which decides the shares of tax, delivery and
    discount.
    """
    key, account = key_of(refund.id), _account(capture)
    split = _split(refund, capture, order, before)
    if refund.destination == RefundDestination.STORE_CREDIT and order.user_id is not None:
        credit = chart.store_credit(order.user_id)
        return [Posting(key, "refund", refund.money, account, credit, customer=order.user_id, split=split)]
    return [Posting(key, "refund", refund.money, account, _source(refund, capture), split=split)]


def failed(refund: RefundRow, capture: CaptureRow | None, order: OrderRow, *, before: int) -> list[Posting]:
    """Journal of a refund that failed after it was done: the money returned to the account that had sent it.

    `before` is the sum of the other refunds of the order's price.
    """
    key, source = key_of(refund.id, failed=True), _source(refund, capture)
    split = tuple((account, money * -1) for account, money in _split(refund, capture, order, before))
    return [Posting(key, "refund_failed", refund.money, source, _account(capture), split=split)]


def _split(refund: RefundRow, capture: CaptureRow | None, order: OrderRow, before: int) -> Entries:
    """The shares of a refund of the order's price; none for money that pays no order."""
    if capture is not None and not capture.pays_order:
        return ()
    return split_entries.refunded(order, refund.amount, after=before, price=order.price)


def _source(refund: RefundRow, capture: CaptureRow | None) -> str:
    """Account that sends the money: the acquirer's receivable, or manual refunds."""
    if capture is None or refund.destination == RefundDestination.BANK:
        return chart.MANUAL_REFUNDS
    return chart.receivable(capture.provider)


def _account(capture: CaptureRow | None) -> str:
    return chart.REFUNDS if capture is None or capture.pays_order else chart.UNALLOCATED_FUNDS
