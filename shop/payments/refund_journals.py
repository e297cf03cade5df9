"""What refunds do to the books: one journal when the money went, another one when it came back after all."""

from __future__ import annotations

from sqlalchemy import select

from shop.core.db import db
from shop.ledger import book, chart, store_credit
from shop.ledger.models import Journal
from shop.orders.models import Order
from shop.payments.models import TO_BANK, TO_STORE_CREDIT, Capture, Refund


def key_of(refund_id: str, *, failed: bool = False) -> str:
    """The journal of a refund that was done, or of the money of one that failed afterwards."""
    return f"refund:{refund_id}" + (":failed" if failed else "")


def is_posted(refund_id: str) -> bool:
    """Whether the books have it that the refund was done, whatever became of it."""
    return db.session.scalar(select(Journal.key).where(Journal.key == key_of(refund_id))) is not None


def post_done(refund: Refund, capture: Capture | None, order: Order) -> None:
    """The money went. `capture` is where it comes from; without one it is store credit that paid."""
    key, account = key_of(refund.id), _account(capture)
    if refund.destination == TO_STORE_CREDIT and order.user_id is not None:
        store_credit.give(order.user_id, refund.money, key=key, kind="refund", debit=account, order_id=order.id)
    elif capture:
        book.transfer(key, "refund", refund.money, debit=account, credit=_source(refund, capture), order_id=order.id)


def post_failed(refund: Refund, capture: Capture, order: Order) -> None:
    """What was sent came back to where it was sent from."""
    source, key = _source(refund, capture), key_of(refund.id, failed=True)
    book.transfer(key, "refund_failed", refund.money, debit=source, credit=_account(capture), order_id=order.id)


def _source(refund: Refund, capture: Capture) -> str:
    """Who sends the money: the acquirer that took it, or we."""
    return chart.BY_HAND if refund.destination == TO_BANK else chart.receivable(capture.provider)


def _account(capture: Capture | None) -> str:
    return chart.REFUNDS if capture is None or capture.standing == "paid" else chart.ASIDE
