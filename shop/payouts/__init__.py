"""Payouts of settled money to the owner's bank account."""
