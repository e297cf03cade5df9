"""Integrity checks: invariants, comparison with the acquirer, and the state of a settlement day. Read-only."""
