"""Integrity checks: invariants, comparison with the acquirer, state of settlement days, and kept results. They change
nothing but their own results.
"""
