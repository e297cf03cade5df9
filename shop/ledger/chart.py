"""Chart of accounts."""

from __future__ import annotations

SALES = "sales"
"""Sales: prices of the goods of paid orders, without tax and before discounts."""
DELIVERY = "delivery"
"""Delivery: what customers paid for delivery, without tax, less refunds of it."""
DISCOUNTS = "discounts"
"""Discounts that codes took off the prices of goods, without tax, less the shares of refunds."""
TAX_PAYABLE = "tax_payable"
"""Tax payable: tax in the totals of paid orders, less the tax in refunds."""
REFUNDS = "refunds"
"""Refunds of sales, without tax and delivery, before the discount's share."""
UNALLOCATED_FUNDS = "unallocated_funds"
"""Unallocated funds: captured money that pays no order (late, duplicate, mismatch). It belongs to its sender."""
DIFFERENCES = "differences"
"""Differences that staff accepted above (credit) or below (debit) the price of an order."""
GOODWILL = "goodwill"
"""Store credit given away."""
FORFEITED_CREDIT = "forfeited_credit"
"""Store credit that customers gave up when they deleted their accounts."""
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
