"""Outgoing webhooks: events of orders and payments for other programs, signed, retried and logged per endpoint."""
