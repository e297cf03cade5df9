"""Polling: queries of due payments, and closing payments before expiry."""
