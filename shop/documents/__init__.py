"""Receipts, credit notes and cancellations: issued once for each cause, numbered without gaps, immutable."""
