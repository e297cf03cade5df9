"""Idempotency keys of API calls: one key has one effect, and repetitions get the first answer."""
