"""Refunds: requests, sending, results, and refunds made at the acquirer."""
