"""The accounts, by name."""

from __future__ import annotations

SALES = "sales"
"""What buyers paid for orders."""
REFUNDS = "refunds"
"""What went back to buyers of what they had paid for orders."""
ASIDE = "aside"
"""Money that came and pays nothing: late, double, wrong. It belongs to whoever sent it."""
DIFFERENCES = "differences"
"""What people accepted above (credit) or below (debit) the price of an order."""
GOODWILL = "goodwill"
"""Store credit that we gave away."""
FEES = "fees"
"""What acquirers kept of what they took."""
DISPUTES = "disputes"
"""What customers' banks have taken back, and we may win again."""
BY_HAND = "by_hand"
"""What people have sent to buyers by bank transfer, from the owner's account. Nobody has made up for it out of SETTLED.
"""
SETTLED = "settled"
"""What acquirers have handed over to our bank account. Payouts go out from here."""
PAID_OUT = "paid_out"
"""What has left our bank account for the owner's."""


def receivable(provider: str) -> str:
    """What an acquirer has taken for us and not handed over yet."""
    return f"receivable:{provider}"


def store_credit(user_id: int) -> str:
    """What we owe a customer and hold as store credit."""
    return f"store_credit:{user_id}"
