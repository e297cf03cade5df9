"""One script per claim. Each runs the real processes and prints what it measured: `python -m bench.page_weight`."""
