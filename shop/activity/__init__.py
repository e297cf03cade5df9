"""Newest events of the shop and its figures of today, for the page Live of the console."""
