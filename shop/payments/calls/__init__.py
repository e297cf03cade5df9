"""Calls to acquirers: circuit breaker, request data, and the acquirer's view of our payments."""
