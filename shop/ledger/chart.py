"""Chart of accounts."""

from __future__ import annotations

SALES = "sales"
"""Sales: what customers paid for orders."""
REFUNDS = "refunds"
"""Refunds of sales."""
UNALLOCATED_FUNDS = "unallocated_funds"
"""Unallocated funds: captured money that pays no order (late, duplicate, mismatch). It belongs to its sender."""
DIFFERENCES = "differences"
"""Differences that staff accepted above (credit) or below (debit) the price of an order."""
GOODWILL = "goodwill"
"""Store credit given away."""
FEES = "fees"
"""Fees that acquirers kept."""
DISPUTES = "disputes"
"""Disputed money that customers' banks have taken back and that may be won back."""
MANUAL_REFUNDS = "manual_refunds"
"""Manual refunds: bank transfers to customers from the owner's account, not yet reimbursed from BANK."""
BANK = "bank"
"""Bank: money that acquirers have paid to our bank account. Payouts are made from it."""
OWNER_PAYOUTS = "owner_payouts"
"""Owner payouts: money transferred from our bank account to the owner."""


def receivable(provider: str) -> str:
    """Receivable of an acquirer: captured for us and not paid to us yet."""
    return f"receivable:{provider}"


def store_credit(user_id: int) -> str:
    """Store credit that we owe a customer."""
    return f"store_credit:{user_id}"
