"""Review of an order by staff, while money that pays for nothing is neither refunded nor lost. Pure."""

from __future__ import annotations

from datetime import timedelta

from shop.core.event_types import OrderReviewEnded
from shop.orders import states as order_states
from shop.payments.order_money.decision import Draft
from shop.payments.order_money.snapshot import CaptureRow, Snapshot
from shop.payments.providers.types import DisputeState
from shop.payments.records.types import Allocation

PAY_AFTER_REVIEW = timedelta(minutes=10)
"""The least time that the customer has to pay after a review."""


def is_needed(seen: Snapshot) -> bool:
    """True while a capture of unallocated funds, or a mismatch, is not fully refunded. Amounts charged back by a bank
    count as refunded.
    """
    return any(_is_here(seen, capture) for capture in seen.captures if not capture.pays_order)


def _is_here(seen: Snapshot, capture: CaptureRow) -> bool:
    ours = capture.amount - seen.charged_back(capture, DisputeState.LOST)
    is_mismatch = capture.allocation == Allocation.MISMATCH
    return capture.refunded_amount < ours or (is_mismatch and seen.refunded_for_good(capture) < ours)


def begin(draft: Draft) -> None:
    """Put the order under review, if any of its money needs that."""
    if draft.after.order.review_since is None and is_needed(draft.after):
        draft.change_order(review_since=draft.now)


def end(draft: Draft) -> None:
    """End the review when no money needs it any more; the customer then has some time to pay."""
    order = draft.after.order
    if order.review_since is None or is_needed(draft.after):
        return
    draft.change_order(review_since=None)
    if order.state in order_states.PAYABLE:
        draft.change_order(pay_by=max(order.pay_by, draft.now + PAY_AFTER_REVIEW))
    draft.record_event(OrderReviewEnded())
