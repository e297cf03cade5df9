"""Changes of `pay_by` by a store payment code: the time for which an order may wait for it.

A code costs nothing and reserves stock for days. Codes may hold a share of each product's stock for that long; an order
beyond it reserves stock for hours only, so that unpaid codes cannot reserve everything. A customer who replaces the
code by another method has as long as for a new order.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from shop.orders.states import PAYABLE
from shop.payments.updates.snapshot import OrderSeen, PaymentSeen, Rules, Share

ALWAYS_LONG = 2
"""Units of a product that codes may always hold for long: a share of a small stock rounds to zero."""


def is_large(shares: Iterable[Share], per_cent: int) -> bool:
    """True if an order takes a large share of the stock of any of its products: codes would then hold more than
    `per_cent` of the units on hand for long.
    """
    return any(one.units + one.held_long > max(ALWAYS_LONG, one.on_hand * per_cent // 100) for one in shares)


def extended(
    order: OrderSeen, deadline: datetime, now: datetime, rules: Rules, shares: Iterable[Share], *, is_first: bool
) -> datetime | None:
    """Return the later `pay_by` of an order that shows a code with this `deadline`; None when it stays.

    Never beyond the longest hold: counted from now for the first code of an order, from its placing for a later one,
    so that replacing one code by the next does not reserve stock for longer than one code can.
    """
    if not _waits_for_money(order, now):
        return None
    longest = rules.pay_within_store_large if is_large(shares, rules.store_code_share) else rules.pay_within_store
    until = min(deadline, (now if is_first else order.placed_at) + longest)
    return until if until > order.pay_by else None


def shortened(order: OrderSeen, payment: PaymentSeen, now: datetime, pay_within: timedelta) -> datetime | None:
    """Return the earlier `pay_by` when the acquirer has closed the code of `payment` because the customer has chosen
    another method; None when it stays.
    """
    is_given_up = payment.shows_code and payment.cancel_requested_at is not None
    if not is_given_up or order.review_since or not _waits_for_money(order, now):
        return None
    until = now + pay_within
    return until if until < order.pay_by else None


def _waits_for_money(order: OrderSeen, now: datetime) -> bool:
    return order.state in PAYABLE and order.cancel_requested_at is None and order.pay_by > now
