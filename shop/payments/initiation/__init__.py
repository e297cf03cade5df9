"""Initiation of payments, and limits on new attempts."""
