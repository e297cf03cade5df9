"""Benchmarks: one script per claim. Each runs the real processes and prints its measurements: `python -m
bench.page_weight`.
"""
